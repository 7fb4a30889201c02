/** The moves into this host: which are expected, what there is of them, and what becomes of those that an earlier agent had in hand. */
import { timingSafeEqual } from 'node:crypto';
import type { MoveReport, VmReport, WantedMove } from '../api/agent-protocol.ts';
import { formatError } from '../base/error.ts';
import { bytesPerSecond, ms, seconds } from '../base/units.ts';
import type { MigrationEnd } from '../model/migration.ts';
import { type VmSpec, resolveVm } from '../model/vm-spec.ts';
import type { Vm } from '../model/vm.ts';
import type { HostFacts } from '../policy/plan.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { DestinationEnd, DestinationGuest, MoveTerms } from '../move/ends.ts';
import { MoveAborted, NoSuchMove } from '../move/errors.ts';
import type { Decision } from '../move/journal.ts';
import { LocalDestination } from '../move/local-destination.ts';
import type { MoveParts } from './outgoing-move.ts';
import { type IncomingMoves as Asked, PeerHost, type PeerHostTimes } from '../move/peer-host.ts';
import type { Declared, Hello, PeerParams } from '../move/peer-message.ts';
import type { HostProbes } from '../move/preflight.ts';
import type { MoveRecord } from './records.ts';

/** A source may call before the server has told us of the move. */
const EXPECT = seconds(5);
const LOOK = ms(20);
const TRY_AGAIN = seconds(2);

export interface IncomingParts extends MoveParts {
  readonly hostTimes?: PeerHostTimes;
  /** An end is on the disk. */
  readonly onEnd: (wanted: WantedMove, end: MigrationEnd, decision: Decision) => void;
}

export class IncomingMoves implements Asked {
  readonly peers: PeerHost;
  readonly #parts: IncomingParts;
  readonly #wanted = new Map<string, WantedMove>();
  readonly #ends = new Map<string, LocalDestination>();
  readonly #guests = new Map<string, DestinationGuest>();
  readonly #closing = new AbortController();
  #recovering: Promise<unknown> | undefined;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    this.peers = new PeerHost(this, parts.hostTimes);
  }

  want(wanted: readonly WantedMove[]): void {
    this.#wanted.clear();
    for (const one of wanted) this.#wanted.set(one.move, one);
  }

  reports(): MoveReport[] {
    return this.#parts.state.moves().filter(({ wanted }) => wanted.role === 'destination').map(({ wanted: { move, migration } }) => {
      const decision = this.#parts.journal.decision(move);
      return { migration, move, role: 'destination', phase: decision === 'committed' ? 'drain' : 'prepare', ...(decision ? { decision } : {}) };
    });
  }

  /** VMs that are coming in and not yet this host's. */
  vms(): VmReport[] {
    const { state, journal } = this.#parts;
    return state.moves().filter(({ wanted }) => wanted.role === 'destination' && journal.decision(wanted.move) === undefined)
      .map((record) => ({ name: record.wanted.vm, placement: this.#placement(record), state: 'incoming', move: record.wanted.move }));
  }

  /** What an earlier agent had in hand: what it had not committed never will be. */
  async recover(): Promise<void> {
    const left = this.#parts.state.moves().filter(({ wanted }) => wanted.role === 'destination');
    await (this.#recovering = Promise.all(left.map((record) => this.#recovered(record))));
  }

  async expected(peer: string, { move, token }: Hello): Promise<void> {
    const { clock, state, journal } = this.#parts;
    const { signal } = this.#closing;
    for (const until = clock.monotonic() + EXPECT; ; await clock.sleep(LOOK, signal)) {
      if (signal.aborted) throw new NoSuchMove(move);
      const wanted = this.#wanted.get(move) ?? state.move(move)?.wanted;
      if (wanted?.role === 'destination') {
        if (wanted.peer.host !== peer || !sameToken(wanted.token, token)) throw new NoSuchMove(move);
        return;
      }
      // Decided and forgotten by everybody else: of that an agent of this cluster may hear, and nothing more can come of it.
      if (clock.monotonic() > until && journal.decision(move) === undefined) throw new NoSuchMove(move);
      if (clock.monotonic() > until) return;
    }
  }

  facts(vm: Declared): Promise<HostFacts> {
    return this.#parts.hypervisor.facts(resolved(vm));
  }

  get probes(): HostProbes {
    return this.#parts.hypervisor.probes;
  }

  async prepare(move: string, { vm: declared, source, destination, maxBandwidth }: PeerParams<'prepare'>): Promise<DestinationEnd> {
    const { hypervisor, journal, state } = this.#parts;
    const wanted = this.#wanted.get(move);
    if (!wanted || journal.decision(move) !== undefined || this.#ends.has(move)) throw new MoveAborted(move);
    const vm = resolved(declared);
    const place = state.newPlace(vm.name);
    const terms: MoveTerms = { id: move, source: parseIpAddress(source), destination: parseIpAddress(destination), maxBandwidth: bytesPerSecond(maxBandwidth) };
    const record = { wanted, place, incoming: { spec: declared.spec, networks: declared.networks, placement: declared.placement } };
    state.saveMove(record);
    let guest: DestinationGuest;
    try {
      guest = await hypervisor.prepareDestination(vm, place, terms);
    } catch (error) {
      this.#ended(record, this.settle(move));
      throw error;
    }
    const end = this.#hold(record, guest);
    // Asked to abort while it was being made ready.
    if (journal.decision(move) === undefined) return end;
    await end.finish();
    this.finished(move);
    throw new MoveAborted(move);
  }

  end(move: string): DestinationEnd | undefined {
    return this.#ends.get(move);
  }

  settle(move: string): Decision {
    const { journal, state } = this.#parts;
    const decided = journal.decision(move);
    if (decided !== undefined) return decided;
    journal.decide(move, this.#wanted.get(move)?.vm ?? state.move(move)?.wanted.vm ?? '', 'aborted');
    return 'aborted';
  }

  finished(move: string): void {
    const record = this.#parts.state.move(move);
    if (record) this.#ended(record, this.settle(move));
    this.#ends.delete(move);
  }

  note(move: string, text: string): void {
    this.#parts.log.warn({ move }, text);
  }

  /** The agent ends: every move is let go as it is, for the next one. Nothing is written once this has resolved. */
  async close(): Promise<void> {
    this.#closing.abort();
    // First that nothing more is decided, then what is still being done; that may be a QEMU that only now is there.
    const left = [...this.#ends.values()].map((end) => end.leave());
    await Promise.all([this.peers.close(), this.#recovering, ...left]);
    for (const guest of this.#guests.values()) guest.leave();
  }

  /** A QEMU that does not answer, or a disk without room, is tried again: nothing else may be done with the move until then. */
  async #recovered(record: MoveRecord): Promise<void> {
    const { clock, log } = this.#parts;
    const { move, vm } = record.wanted;
    const { signal } = this.#closing;
    log.warn({ move, vm }, 'The agent was restarted in the middle of a move into this host');
    while (!signal.aborted) {
      try {
        return await this.#recover(record);
      } catch (error) {
        log.error({ move, vm, error: formatError(error) }, 'What an earlier agent left of a move could not be settled; it is tried again');
        await clock.sleep(TRY_AGAIN, signal);
      }
    }
  }

  async #recover(record: MoveRecord): Promise<void> {
    const { hypervisor, keeper, state, address } = this.#parts;
    const { wanted: { move, vm: name, peer, local, maxBandwidth }, incoming, place } = record;
    const committed = this.settle(move) === 'committed';
    if (!incoming) return this.finished(move);
    const vm = resolved({ name, ...incoming });
    const terms: MoveTerms = { id: move, source: parseIpAddress(peer.address), destination: local === undefined ? address : parseIpAddress(local), maxBandwidth: bytesPerSecond(maxBandwidth) };
    const guest = this.#guests.get(move) ?? (await hypervisor.adoptDestination(vm, place, terms));
    if (this.#closing.signal.aborted) return guest?.leave();
    if (!guest) {
      if (committed && state.vm(name)?.placement.epoch !== record.wanted.epoch + 1) {
        keeper.receivedDead({ name, spec: incoming.spec, networks: incoming.networks, placement: this.#placement(record), place }, 'its QEMU ended after it had come with a move');
      }
      return this.finished(move);
    }
    const end = this.#ends.get(move) ?? this.#hold(record, guest);
    if (committed) {
      this.#received(record, guest);
      await guest.release();
    } else await end.abort();
    this.peers.expectSource(move);
  }

  #hold(record: MoveRecord, guest: DestinationGuest): LocalDestination {
    const { journal, hypervisor, changed, log } = this.#parts;
    const { move } = record.wanted;
    const end = new LocalDestination({
      move, host: hypervisor.host, guest, journal,
      // When the word has left: it takes the disk, and nobody waits for it.
      onCommitted: () => void setImmediate(() => {
        try {
          if (this.#guests.has(move) && !this.#closing.signal.aborted) this.#received(record, guest);
        } catch (error) {
          // The journal says it all the same, and the record of the move stays until this has been written down.
          log.error({ move, error: formatError(error) }, 'The VM has come, and that could not be written down; it is tried again');
        }
        changed();
      }),
    });
    this.#ends.set(move, end);
    this.#guests.set(move, guest);
    return end;
  }

  #received({ wanted, place, incoming }: MoveRecord, { guest }: DestinationGuest): void {
    if (incoming) this.#parts.keeper.received({ name: wanted.vm, spec: incoming.spec, networks: incoming.networks, placement: this.#placement({ wanted, place, incoming }), place }, guest, wanted.move);
  }

  #placement({ wanted, incoming }: MoveRecord): { host: string; epoch: number; start: number } {
    return { host: this.#parts.hypervisor.host, epoch: wanted.epoch + 1, start: incoming?.placement.start ?? 0 };
  }

  #ended(record: MoveRecord, decision: Decision): void {
    const { keeper, onEnd, state } = this.#parts;
    const { wanted } = record;
    const guest = this.#guests.get(wanted.move);
    if (decision === 'committed' && guest && state.vm(wanted.vm)?.placement.epoch !== wanted.epoch + 1) this.#received(record, guest);
    this.#guests.delete(wanted.move);
    onEnd(wanted, decision === 'committed' ? { kind: 'moved' } : { kind: 'rolled-back', reason: 'It was given up' }, decision);
    keeper.giveBack(wanted.vm);
    if (decision === 'committed' && wanted.announce) keeper.announceAgain(wanted.vm, wanted.announce);
  }
}

function resolved({ name, spec, networks }: { readonly name: string; readonly spec: VmSpec; readonly networks: Declared['networks'] }): Vm {
  return resolveVm(name, spec, new Map(Object.entries(networks)));
}

function sameToken(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
}

