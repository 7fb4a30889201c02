/** Agents' connections in memory, over wires that can be cut, one way or both: what is sent into a cut wire is gone, and nobody is told. */
import { PeerLost } from './errors.ts';
import type { PeerAddress, PeerConnection, PeerDialer } from './peer-connection.ts';

const LEG = 0.5;

export class PeerNetwork {
  /** `h1>h2`. */
  readonly cuts: Set<string>;
  readonly #listeners = new Map<string, (connection: PeerConnection) => void>();
  readonly #open = new Set<MemoryConnection>();

  /** `cuts` may be shared with others that the same wires carry. */
  constructor(cuts = new Set<string>()) {
    this.cuts = cuts;
  }

  /** One at a time per host. What it returns ends it, and with it every connection of that host, as a process that dies does. */
  listen(host: string, onConnection: (connection: PeerConnection) => void): () => void {
    this.#listeners.set(host, onConnection);
    return () => {
      if (this.#listeners.get(host) === onConnection) this.#listeners.delete(host);
      for (const connection of this.#open) if (connection.own === host) connection.drop('the connection was reset');
    };
  }

  dialer(from: string): PeerDialer {
    return {
      dial: async ({ host }: PeerAddress) => {
        await pause();
        const listener = this.#listeners.get(host);
        if (!listener || this.cuts.has(`${from}>${host}`) || this.cuts.has(`${host}>${from}`)) throw new PeerLost(host, 'it does not answer');
        const [near, far] = [new MemoryConnection(this, from, host), new MemoryConnection(this, host, from)];
        near.other = far;
        far.other = near;
        this.#open.add(near).add(far);
        listener(far);
        return near;
      },
    };
  }

  forget(connection: MemoryConnection): void {
    this.#open.delete(connection);
  }
}

class MemoryConnection implements PeerConnection {
  readonly own: string;
  readonly peer: string;
  other: MemoryConnection | undefined;
  readonly #network: PeerNetwork;
  readonly #lines: string[] = [];
  #closed: string | undefined;
  #receiver: { onLine(line: string): void; onClose(why: string): void } | undefined;

  constructor(network: PeerNetwork, own: string, peer: string) {
    this.#network = network;
    this.own = own;
    this.peer = peer;
  }

  send(line: string): void {
    if (this.#closed === undefined && !this.#cut()) void pause().then(() => this.other?.take(line));
  }

  receive(onLine: (line: string) => void, onClose: (why: string) => void): void {
    this.#receiver = { onLine, onClose };
    for (const line of this.#lines.splice(0)) onLine(line);
    if (this.#closed !== undefined) onClose(this.#closed);
  }

  close(): void {
    if (this.#closed !== undefined) return;
    this.#end('closed');
    if (!this.#cut()) void pause().then(() => this.other?.drop('the connection was closed'));
  }

  take(line: string): void {
    if (this.#closed !== undefined) return;
    if (this.#receiver) this.#receiver.onLine(line);
    else this.#lines.push(line);
  }

  /** From the other side, or with the process. */
  drop(why: string): void {
    if (this.#closed !== undefined) return;
    this.#end(why);
    this.#receiver?.onClose(why);
    if (!this.#cut()) void pause().then(() => this.other?.drop('the connection was reset'));
  }

  #end(why: string): void {
    this.#closed = why;
    this.#network.forget(this);
  }

  #cut(): boolean {
    return this.#network.cuts.has(`${this.own}>${this.peer}`);
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, LEG));
