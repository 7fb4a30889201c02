/**
 * The destination's agent, as the sources of moves meet it: who may ask, what there is of a move here, and what happens when the
 * source falls silent. Silence never leaves a move open: without a permit, and with one that cannot be used any more, it is aborted;
 * with one that was used, the guest runs and the rest is cleared up.
 */
import { formatError } from '../base/error.ts';
import { type Milliseconds, seconds } from '../base/units.ts';
import type { ReceivedFrame } from '../native/native.ts';
import type { HostFacts } from '../policy/plan.ts';
import type { DestinationEnd } from './ends.ts';
import { NoSuchMove } from './errors.ts';
import type { Decision } from './journal.ts';
import type { PeerConnection } from './peer-connection.ts';
import { type Declared, type Hello, type PeerMethod, type PeerParams, decodeHello, encodeValue } from './peer-message.ts';
import { PeerRpc, type PeerTimes, peerTimes } from './peer-rpc.ts';
import type { HostProbes } from './preflight.ts';

export interface PeerHostTimes extends PeerTimes {
  /** A source that does not come back within this has lost its move. */
  readonly orphaned: Milliseconds;
}
export const peerHostTimes: PeerHostTimes = { ...peerTimes, orphaned: seconds(10) };

/** Frames in one message: some 300 kB of full-size ones, and below the limit even of 64 KiB each. */
const PORTION = 150;

/** What the sources' requests stand on. */
export interface IncomingMoves {
  /** Resolves when the caller may speak about this move; fails with NoSuchMove when not, or not soon enough. */
  expected(peer: string, hello: Hello): Promise<void>;
  facts(vm: Declared): Promise<HostFacts>;
  readonly probes: HostProbes;
  prepare(move: string, params: PeerParams<'prepare'>): Promise<DestinationEnd>;
  /** Of this move, if there is one. */
  end(move: string): DestinationEnd | undefined;
  /** The journal's word on a move of which there is no end here: it is aborted unless it was committed. */
  settle(move: string): Decision;
  /** No more is to be done for this move here. */
  finished(move: string): void;
  /** For the log. */
  note(move: string, text: string): void;
}

export class PeerHost {
  readonly #moves: IncomingMoves;
  readonly #times: PeerHostTimes;
  readonly #sessions = new Set<PeerRpc>();
  readonly #orphans = new Map<string, NodeJS.Timeout>();
  /** Per move: how many connections there are. */
  readonly #attached = new Map<string, number>();
  /** Frames taken out of a tap and not yet sent, by move, then NIC; until the move has ended here. */
  readonly #portions = new Map<string, Map<number, ReceivedFrame[]>>();
  /** What is just being done, for sources or because they are silent. */
  readonly #doing = new Set<Promise<unknown>>();
  #closed = false;

  constructor(moves: IncomingMoves, times: PeerHostTimes = peerHostTimes) {
    this.#moves = moves;
    this.#times = times;
  }

  accept(connection: PeerConnection): void {
    const lines: string[] = [];
    let closed: string | undefined;
    let session: { onLine(line: string): void; onClose(why: string): void } | undefined;
    const begin = async (hello: string): Promise<void> => {
      // It may take a while, and a caller that hears nothing goes away.
      const alive = setInterval(() => connection.send(encodeValue({ kind: 'alive' })), this.#times.alive);
      try {
        const greeting = decodeHello(hello);
        await this.#moves.expected(connection.peer, greeting);
        if (closed !== undefined) return;
        if (this.#closed) return connection.close();
        this.#open(greeting, {
          peer: connection.peer, send: (text) => connection.send(text), close: () => connection.close(),
          receive: (onLine, onClose) => {
            session = { onLine, onClose };
            for (const text of lines.splice(0)) onLine(text);
          },
        });
      } catch (error) {
        this.#moves.note('-', `A connection from ${connection.peer} was refused: ${formatError(error)}`);
        connection.close();
      } finally {
        clearInterval(alive);
      }
    };
    let greeted = false;
    connection.receive((line) => {
      if (session) return session.onLine(line);
      if (greeted) return void lines.push(line);
      greeted = true;
      void begin(line);
    }, (why) => {
      closed = why;
      session?.onClose(why);
    });
  }

  /** After a restart: a move that is there already, whose source may or may not come back for it. */
  expectSource(move: string): void {
    this.#awaitReturn(move);
  }

  /** Nobody is listened to any more, and silence means nothing any more. Resolves when what was just being done has been done. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const session of this.#sessions) session.close();
    for (const timer of this.#orphans.values()) clearTimeout(timer);
    this.#orphans.clear();
    await Promise.allSettled(this.#doing);
  }

  #open({ move }: Hello, connection: PeerConnection): void {
    this.#clearOrphan(move);
    this.#attached.set(move, (this.#attached.get(move) ?? 0) + 1);
    let unlisten: (() => void) | undefined;
    const tellEvents = (end: DestinationEnd): void => {
      unlisten ??= end.listen((event) => rpc.event(event));
    };
    const rpc: PeerRpc = new PeerRpc(connection, {
      onRequest: (method, params) => this.#awaited(this.#request(move, method, params, tellEvents)),
      onLost: () => {
        unlisten?.();
        this.#sessions.delete(rpc);
        const left = (this.#attached.get(move) ?? 1) - 1;
        if (left > 0) this.#attached.set(move, left);
        else this.#attached.delete(move);
        if (left === 0 && this.#moves.end(move)) this.#awaitReturn(move);
      },
    }, this.#times);
    this.#sessions.add(rpc);
    const end = this.#moves.end(move);
    if (end) tellEvents(end);
  }

  async #request(move: string, method: PeerMethod, params: unknown, tellEvents: (end: DestinationEnd) => void): Promise<unknown> {
    // The casts: decodePeerMessage has checked the parameters against the method's schema.
    if (method === 'facts') return this.#moves.facts((params as PeerParams<'facts'>).vm);
    if (method === 'sendFrames') return this.#moves.probes.sendFrames(params as PeerParams<'sendFrames'>);
    if (method === 'gateway') {
      const { bridge, address } = params as PeerParams<'gateway'>;
      return this.#moves.probes.gateway(bridge, address);
    }
    if (method === 'prepare') {
      const made = await this.#moves.prepare(move, params as PeerParams<'prepare'>);
      tellEvents(made);
      // The connection may have broken meanwhile: then nobody would ever ask for it.
      if (!this.#attached.has(move)) this.#awaitReturn(move);
      return { uri: made.uri };
    }
    const end = this.#moves.end(move);
    if (!end) {
      if (method === 'abort') return this.#moves.settle(move);
      if (method === 'finish') return undefined;
      throw new NoSuchMove(move);
    }
    switch (method) {
      case 'attach': return { uri: end.uri };
      case 'permit': return end.permit();
      case 'abort': return end.abort();
      case 'commit': return end.commit();
      case 'announce': return end.announce();
      case 'takeHeld': return this.#portion(move, (params as PeerParams<'takeHeld'>).nic, end);
      case 'deliveredFrames': return end.deliveredFrames();
      case 'summary': return end.summary();
      case 'finish':
        await end.finish();
        this.#finished(move);
        return undefined;
    }
  }

  /** A tap's queue may hold more than one message should. */
  async #portion(move: string, nic: number, end: DestinationEnd): Promise<{ frames: ReceivedFrame[]; more: boolean }> {
    const portions = this.#portions.get(move) ?? new Map<number, ReceivedFrame[]>();
    this.#portions.set(move, portions);
    const left = portions.get(nic) ?? (await end.takeHeld(nic));
    const frames = left.splice(0, PORTION);
    if (left.length > 0) portions.set(nic, left);
    else portions.delete(nic);
    return { frames, more: left.length > 0 };
  }

  #awaitReturn(move: string): void {
    if (this.#closed) return;
    this.#clearOrphan(move);
    this.#orphans.set(move, setTimeout(() => {
      this.#orphans.delete(move);
      this.#awaited(this.#orphaned(move)).catch((error: unknown) => {
        this.#moves.note(move, `Its source is silent and it could not be ended: ${formatError(error)}`);
        this.#awaitReturn(move);
      });
    }, this.#times.orphaned));
  }

  async #orphaned(move: string): Promise<void> {
    const end = this.#moves.end(move);
    if (!end) return;
    const decision = await end.abort();
    this.#moves.note(move, `Its source is silent: ${decision === 'committed' ? 'the guest runs here' : 'given up'}`);
    await end.finish();
    this.#finished(move);
  }

  #awaited<T>(work: Promise<T>): Promise<T> {
    const done = work.finally(() => this.#doing.delete(done));
    this.#doing.add(done);
    return done;
  }

  #finished(move: string): void {
    this.#portions.delete(move);
    this.#moves.finished(move);
  }

  #clearOrphan(move: string): void {
    clearTimeout(this.#orphans.get(move));
    this.#orphans.delete(move);
  }
}
