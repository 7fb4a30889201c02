/**
 * All moves that this host takes part in: begins what is wanted, brings to an end what an earlier agent left, and tells each end until
 * the server has it on its disk. What is told lies on this host's disk until then (`ended/ID.json`).
 */
import { formatError } from '../base/error.ts';
import { seconds } from '../base/units.ts';
import type { MoveReport, VmReport, WantedMove } from '../api/agent-protocol.ts';
import type { Moves } from './agent-process.ts';
import type { Disk } from '../host/disk.ts';
import { IncomingMoves } from './incoming-moves.ts';
import { type MoveParts, OutgoingMove } from './outgoing-move.ts';
import type { PeerHost, PeerHostTimes } from '../move/peer-host.ts';

export interface MoverParts extends MoveParts {
  readonly disk: Disk;
  readonly hostTimes?: PeerHostTimes;
}

const TRY_AGAIN = seconds(2);
const path = (move: string): string => `ended/${move}.json`;

export class Mover implements Moves {
  readonly #parts: MoverParts;
  readonly #incoming: IncomingMoves;
  readonly #outgoing = new Map<string, OutgoingMove>();
  /** By move: ends that the server may not have yet. */
  readonly #ended = new Map<string, MoveReport>();
  /** What an earlier agent left of moves into this host has been settled: sources may be let in. */
  readonly ready: Promise<void>;
  #wanted: readonly WantedMove[] = [];
  /** Something of it could not be written down, and will be tried again. */
  #wantsAgain = false;
  readonly #closing = new AbortController();
  /** One per outgoing move, until it has ended or been let go. */
  readonly #driving = new Set<Promise<void>>();

  /** When the keeper has adopted what runs. Begins at once to bring to an end what an earlier agent left. */
  constructor(parts: MoverParts) {
    this.#parts = parts;
    this.#incoming = new IncomingMoves({ ...parts, onEnd: (wanted, end, decision) => this.#end(wanted, { ...told(wanted), decision, end }) });
    for (const file of parts.disk.list('ended')) this.#readEnded(file);
    for (const { wanted } of parts.state.moves()) {
      if (wanted.role !== 'source') continue;
      // Told already, and only its record was still to be removed.
      if (this.#ended.has(wanted.move)) parts.state.removeMove(wanted.move);
      else this.#begin(wanted, 'recover');
    }
    this.ready = this.#incoming.recover();
  }

  /** Where the agents of other hosts are to be let in. */
  get peers(): PeerHost {
    return this.#incoming.peers;
  }

  want(moves: readonly WantedMove[]): void {
    this.#wanted = moves;
    this.#incoming.want(moves.filter(({ role }) => role === 'destination'));
    for (const wanted of moves) {
      try {
        this.#want(wanted);
      } catch (error) {
        // The disk. Others must not wait for it.
        this.#parts.log.error({ move: wanted.move, vm: wanted.vm, error: formatError(error) }, 'What is wanted of a move could not be written down; it is tried again');
        void this.#wantAgain();
      }
    }
    // Not wanted any more: everybody has it.
    const ids = new Set(moves.map(({ move }) => move));
    for (const id of [...this.#ended.keys()].filter((known) => !ids.has(known))) this.#forget(id);
  }

  async #wantAgain(): Promise<void> {
    if (this.#wantsAgain) return;
    this.#wantsAgain = true;
    await this.#parts.clock.sleep(TRY_AGAIN, this.#closing.signal);
    this.#wantsAgain = false;
    if (!this.#closing.signal.aborted) this.want(this.#wanted);
  }

  #want(wanted: WantedMove): void {
    if (this.#ended.has(wanted.move)) return;
    if (wanted.role === 'destination') {
      // It never came here, and will not any more.
      if (!wanted.end || this.#parts.state.move(wanted.move)) return;
      const decision = this.#incoming.settle(wanted.move);
      return this.#end(wanted, { ...told(wanted), decision, end: wanted.end });
    }
    const known = this.#outgoing.get(wanted.move);
    if (known) known.want(wanted);
    else if (wanted.end) this.#end(wanted, { ...told(wanted), end: wanted.end });
    else this.#begin(wanted, 'carryOut');
  }

  reports(): MoveReport[] {
    return [...[...this.#outgoing.values()].map((move) => move.report()), ...this.#incoming.reports(), ...this.#ended.values()];
  }

  incoming(): readonly VmReport[] {
    return this.#incoming.vms();
  }

  acknowledged(migrations: readonly string[]): void {
    const known = new Set(migrations);
    for (const [id, { migration }] of this.#ended) if (known.has(migration)) this.#forget(id);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const move of this.#outgoing.values()) move.close();
    await Promise.all([this.#incoming.close(), this.ready, ...this.#driving]);
  }

  #begin(wanted: WantedMove, how: 'carryOut' | 'recover'): void {
    const move = new OutgoingMove(wanted, this.#parts);
    this.#outgoing.set(wanted.move, move);
    move.want(wanted);
    const driving = this.#toEnd(wanted, move, how).finally(() => this.#driving.delete(driving));
    this.#driving.add(driving);
  }

  async #toEnd(wanted: WantedMove, move: OutgoingMove, how: 'carryOut' | 'recover'): Promise<void> {
    const { log, clock, keeper } = this.#parts;
    for (let act = how; !this.#closing.signal.aborted; act = 'recover') {
      try {
        const { end, receipt } = await move[act]();
        // What comes of letting go is no end: the next agent finds the move as it is, and brings it to one.
        if (this.#closing.signal.aborted) return;
        this.#outgoing.delete(wanted.move);
        log.info({ move: wanted.move, vm: wanted.vm, end: end.kind }, 'A move has ended');
        this.#end(wanted, { ...told(wanted), end, ...(receipt ? { receipt } : {}) });
        keeper.giveBack(wanted.vm);
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        // The disk, or something unforeseen: nobody knows how far it came but by looking.
        log.error({ move: wanted.move, vm: wanted.vm, error: formatError(error) }, 'A move could not be brought to its end; it is tried again');
        await clock.sleep(TRY_AGAIN, this.#closing.signal);
      }
    }
  }

  #end({ move }: WantedMove, report: MoveReport): void {
    this.#ended.set(move, report);
    this.#parts.disk.write(path(move), Buffer.from(JSON.stringify(report)));
    this.#parts.state.removeMove(move);
    this.#parts.changed();
  }

  #forget(id: string): void {
    this.#ended.delete(id);
    try {
      this.#parts.disk.remove(path(id));
    } catch (error) {
      // Then it is told once more after the next start, and acknowledged again.
      this.#parts.log.warn({ move: id, error: formatError(error) }, 'The end of a move, which the server has, could not be removed');
    }
  }

  #readEnded(file: string): void {
    const data = this.#parts.disk.read(`ended/${file}`);
    const id = file.replace(/\.json$/, '');
    try {
      const report: unknown = JSON.parse(Buffer.from(data ?? []).toString('utf8'));
      // The cast: this agent's own words; one that the server cannot use it refuses.
      if (typeof report === 'object' && report !== null && 'migration' in report) this.#ended.set(id, report as MoveReport);
    } catch (error) {
      this.#parts.log.warn({ file, error: formatError(error) }, 'The end of a move could not be read; the other host knows it too');
    }
  }
}

const told = ({ migration, move, role }: WantedMove): Pick<MoveReport, 'migration' | 'move' | 'role' | 'phase'> => ({ migration, move, role, phase: 'done' });
