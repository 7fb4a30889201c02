/** The agents' side of the server, as an agent calls it (agent-protocol.ts). */
import type { Duplex } from 'node:stream';
import type { History } from '../model/history.ts';
import type { AgentReport, ConsoleOrder, HistoryOrder, ReportAnswer, Wanted } from './agent-protocol.ts';
import { ApiError } from './api.ts';
import { type ClientIdentity, Connection } from './http-connection.ts';
import { CONSOLE_PROTOCOL, CONSOLE_REFUSED, agentConsolePath, agentHistoryPath } from './http-paths.ts';
import { eventStream } from './http-stream.ts';

export interface AgentClientOptions {
  /** Told of every loss of the stream of what is wanted; it goes on by itself. */
  readonly onLost?: (error: ApiError) => void;
  /** Told of consoles that are asked for, while what is wanted is listened to. */
  readonly onConsole?: (order: ConsoleOrder) => void;
  /** Told of histories that are asked for, likewise. */
  readonly onHistory?: (order: HistoryOrder) => void;
}

/** Why there is no history, instead of one. */
export interface NoHistory {
  readonly code: string;
  readonly message: string;
}

export class AgentClient {
  readonly #connection: Connection;
  readonly #onLost: AgentClientOptions['onLost'];
  readonly #onConsole: AgentClientOptions['onConsole'];
  readonly #onHistory: AgentClientOptions['onHistory'];

  /** `url` like `https://10.0.0.1:7443`. Throws ApiError `API_ADDRESS`. */
  constructor(url: string, identity: Required<ClientIdentity>, options: AgentClientOptions = {}) {
    this.#connection = new Connection({ url, identity });
    this.#onLost = options.onLost;
    this.#onConsole = options.onConsole;
    this.#onHistory = options.onHistory;
  }

  /** Fails with ApiError. May be sent again: the server knows a report by its sequence. */
  async report(report: AgentReport): Promise<ReportAnswer> {
    // From a server that has proved who it is, and answers as its OpenAPI document says.
    return (await this.#connection.json({ method: 'POST', path: '/agent/v1/report', body: report })) as ReportAnswer;
  }

  /**
   * The whole of what is wanted at once, then whenever it changed, until aborted. Waits for a server that is away, from the first
   * moment on; fails with ApiError when it refuses this agent (4xx) or is not this cluster's.
   */
  async *wanted(signal: AbortSignal): AsyncGenerator<Wanted, void, void> {
    const stream = eventStream({ connection: this.#connection, path: '/agent/v1/wanted', signal, patient: true, onLost: this.#onLost });
    for await (const event of stream) {
      if (signal.aborted) return;
      if (event.kind !== 'event') continue;
      // The casts: as above.
      if (event.event === 'wanted') yield readEvent(event.data) as Wanted;
      else if (event.event === 'console') this.#onConsole?.(readEvent(event.data) as ConsoleOrder);
      else if (event.event === 'history') this.#onHistory?.(readEvent(event.data) as HistoryOrder);
    }
  }

  /** A new certificate (PEM) of one year, for a request made with this host's key (trust/certificate-request.ts). */
  async renew(request: string): Promise<string> {
    // As above.
    const answer = await this.#connection.json({ method: 'POST', path: '/agent/v1/renew', body: { request } });
    const { certificate } = answer as { readonly certificate: string };
    return certificate;
  }

  /** This host's end of a console session; the caller's to end. Fails with ApiError. */
  console(session: string): Promise<Duplex> {
    return this.#connection.upgrade({ path: agentConsolePath(session) }, CONSOLE_PROTOCOL);
  }

  /** There is none, and why: whoever asked is told. Always fails with ApiError, once the server has it. */
  refuseConsole(session: string, why: string): Promise<Duplex> {
    return this.#connection.upgrade({ path: agentConsolePath(session), headers: { [CONSOLE_REFUSED]: encodeURIComponent(why) } }, CONSOLE_PROTOCOL);
  }

  /** To a `history` order. Fails with ApiError, also when nobody waits for it any more. */
  async answerHistory(id: string, answer: History | NoHistory): Promise<void> {
    await this.#connection.json({ method: 'POST', path: agentHistoryPath(id), body: answer });
  }

  /** A renewed one. What is under way breaks off, as when the server goes away for a moment. */
  useIdentity(identity: Required<ClientIdentity>): void {
    this.#connection.useIdentity(identity);
  }

  close(): void {
    this.#connection.close();
  }
}

function readEvent(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError(
      0, 'API_PROTOCOL', 'The server sent what is wanted and it is not JSON: are agent and server of one version?', { cause },
    );
  }
}
