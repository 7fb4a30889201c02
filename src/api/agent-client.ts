/** The agents' side of the server, as an agent calls it (agent-protocol.ts). */
import type { AgentReport, ReportAnswer, Wanted } from './agent-protocol.ts';
import { ApiError } from './api.ts';
import { type ClientIdentity, Connection } from './http-connection.ts';
import { eventStream } from './http-stream.ts';

export interface AgentClientOptions {
  /** Told of every loss of the stream of what is wanted; it goes on by itself. */
  readonly onLost?: (error: ApiError) => void;
}

export class AgentClient {
  readonly #connection: Connection;
  readonly #onLost: AgentClientOptions['onLost'];

  /** `url` like `https://10.0.0.1:7443`. Throws ApiError `API_ADDRESS`. */
  constructor(url: string, identity: Required<ClientIdentity>, options: AgentClientOptions = {}) {
    this.#connection = new Connection({ url, identity });
    this.#onLost = options.onLost;
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
      if (event.kind === 'event' && event.event === 'wanted') yield readWanted(event.data);
    }
  }

  /** A new certificate (PEM) of one year, for a request made with this host's key (trust/certificate-request.ts). */
  async renew(request: string): Promise<string> {
    // As above.
    const answer = await this.#connection.json({ method: 'POST', path: '/agent/v1/renew', body: { request } });
    const { certificate } = answer as { readonly certificate: string };
    return certificate;
  }

  close(): void {
    this.#connection.close();
  }
}

function readWanted(text: string): Wanted {
  try {
    // As above.
    return JSON.parse(text) as Wanted;
  } catch (cause) {
    throw new ApiError(
      0, 'API_PROTOCOL', 'The server sent what is wanted and it is not JSON: are agent and server of one version?', { cause },
    );
  }
}
