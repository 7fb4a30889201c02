/** Requests and answers over a PeerConnection, with a limit to each, and a watch on whether the other side is there at all. */
import { GodwitError } from '../base/error.ts';
import { type Milliseconds, seconds } from '../base/units.ts';
import { MoveRefused, PeerLost } from './errors.ts';
import type { PeerConnection } from './peer-connection.ts';
import { type PeerMessage, type PeerMethod, type PeerParams, decodePeerMessage, encodeValue } from './peer-message.ts';

export interface PeerTimes {
  /** Both sides say that they are there so often … */
  readonly alive: Milliseconds;
  /** … and take the other for lost when they have heard nothing for so long. */
  readonly lost: Milliseconds;
  /** For an answer; the other side is alive all the while. */
  readonly answer: Milliseconds;
}
export const peerTimes: PeerTimes = { alive: seconds(0.5), lost: seconds(3), answer: seconds(30) };

/** The other agent could not do it; its code and words. */
export class PeerRefused extends GodwitError {}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

export interface PeerHandlers {
  readonly onRequest?: (method: PeerMethod, params: unknown) => Promise<unknown>;
  readonly onEvent?: (event: unknown) => void;
  /** Once; no answer and no event comes after it. */
  readonly onLost: (why: string) => void;
}

export class PeerRpc {
  readonly #connection: PeerConnection;
  readonly #times: PeerTimes;
  readonly #handlers: PeerHandlers;
  readonly #waiting = new Map<number, Waiting>();
  readonly #alive: NodeJS.Timeout;
  #heard = performance.now();
  #numbers = 0;
  #lost: string | undefined;

  /** The hellos have been said. */
  constructor(connection: PeerConnection, handlers: PeerHandlers, times: PeerTimes = peerTimes) {
    this.#connection = connection;
    this.#times = times;
    this.#handlers = handlers;
    this.#alive = setInterval(() => this.#beAlive(), times.alive);
    this.#alive.unref();
    connection.receive((line) => this.#receive(line), (why) => this.#break(why));
  }

  get lost(): string | undefined {
    return this.#lost;
  }

  /** Fails with PeerLost, PeerRefused, or MoveRefused when that is what the other side failed with. */
  request<M extends PeerMethod>(method: M, params: PeerParams<M>): Promise<unknown> {
    if (this.#lost !== undefined) return Promise.reject(new PeerLost(this.#connection.peer, this.#lost));
    const id = ++this.#numbers;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => this.#break(`no answer to ${method} within ${this.#times.answer / 1000} s`), this.#times.answer);
    this.#waiting.set(id, { resolve, reject, timer });
    this.#send({ kind: 'request', id, method, params });
    return promise;
  }

  event(event: unknown): void {
    if (this.#lost === undefined) this.#send({ kind: 'event', event });
  }

  close(): void {
    this.#break('closed');
  }

  #send(message: PeerMessage): void {
    this.#connection.send(encodeValue(message));
  }

  #beAlive(): void {
    // A process that slept has not listened: what came meanwhile is read before this looks again.
    if (performance.now() - this.#heard > this.#times.lost) return this.#break(`nothing heard for ${this.#times.lost / 1000} s`);
    this.#send({ kind: 'alive' });
  }

  #receive(line: string): void {
    if (this.#lost !== undefined) return;
    this.#heard = performance.now();
    let message: PeerMessage;
    try {
      message = decodePeerMessage(line);
    } catch (error) {
      return this.#break(error instanceof Error ? error.message : 'garbage');
    }
    switch (message.kind) {
      case 'alive': return;
      case 'event': return this.#handlers.onEvent?.(message.event);
      case 'request':
        void this.#answer(message.id, message.method, message.params);
        return;
      case 'result':
        this.#take(message.id)?.resolve(message.result);
        return;
      case 'error': {
        const { code, message: text, reasons } = message;
        this.#take(message.id)?.reject(code === 'MOVE_REFUSED' && reasons ? new MoveRefused(reasons) : new PeerRefused(code, text));
        return;
      }
    }
  }

  async #answer(id: number, method: PeerMethod, params: unknown): Promise<void> {
    let answer: PeerMessage;
    try {
      const result = await (this.#handlers.onRequest?.(method, params) ?? Promise.reject(new PeerRefused('MOVE_PEER_MESSAGE', 'Nothing can be asked for here')));
      answer = { kind: 'result', id, result };
    } catch (error) {
      const code = error instanceof GodwitError ? error.code : 'MOVE_PEER_FAILED';
      const text = error instanceof Error ? error.message : String(error);
      answer = { kind: 'error', id, code, message: text, ...(error instanceof MoveRefused ? { reasons: error.reasons } : {}) };
    }
    if (this.#lost === undefined) this.#send(answer);
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }

  #break(why: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = why;
    clearInterval(this.#alive);
    this.#connection.close();
    for (const id of this.#waiting.keys()) this.#take(id)?.reject(new PeerLost(this.#connection.peer, why));
    this.#handlers.onLost(why);
  }
}
