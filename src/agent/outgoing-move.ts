/**
 * One move of a VM away from this host, from the order to an end that is on the disk. Its record is written before anything is done
 * and removed when nothing is left to do; what an agent finds of one when it starts is brought to its end by `recover`.
 */
import { formatError, unreachable } from '../base/error.ts';
import type { Clock } from '../base/clock.ts';
import { bytesPerSecond, ms, seconds } from '../base/units.ts';
import type { MoveReport, WantedMove } from '../api/agent-protocol.ts';
import type { MigrationEnd, SagaPhase } from '../model/migration.ts';
import type { Receipt } from '../model/move.ts';
import { resolveVm } from '../model/vm-spec.ts';
import { QmpClosed } from '../vm/qmp-errors.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import type { AgentState } from './agent-state.ts';
import { CopyProgress } from '../move/copy-progress.ts';
import { VmBusy } from './errors.ts';
import type { MoveTerms } from '../move/ends.ts';
import { MoveRefused, PeerLost } from '../move/errors.ts';
import type { Guest, Hypervisor } from '../move/hypervisor.ts';
import type { Decision, Journal } from '../move/journal.ts';
import type { Log } from '../base/log.ts';
import { type MoveProgress, move, planTo, recoverMove } from '../move/move.ts';
import type { PeerDialer } from '../move/peer-connection.ts';
import { PeerSide } from '../move/peer-destination.ts';
import type { PeerTimes } from '../move/peer-rpc.ts';
import type { VmRecord } from './records.ts';
import type { SwitchoverRun } from '../move/switchover-run.ts';
import type { VmKeeper } from './vm-keeper.ts';

export interface MoveParts {
  readonly hypervisor: Hypervisor;
  readonly keeper: VmKeeper;
  readonly state: AgentState;
  readonly journal: Journal;
  readonly dialer: PeerDialer;
  readonly clock: Clock;
  readonly log: Log;
  /** This host's, on the network that carries migrations and tunnels. */
  readonly address: IpAddress;
  readonly changed: () => void;
  readonly peerTimes?: PeerTimes;
}

/** What the drain reads, ms. */
const DRAIN_INTERVAL = ms(20);
/** Between two words on a copy's progress. */
const TELL = ms(250);
/** From the end of a QEMU's QMP to its own. */
const ENDING = seconds(1);
/** Until the destination is asked again, when there is no guest here that waits. */
const ASK_AGAIN = ms(500);

const PHASES: Readonly<Record<MoveProgress['phase'], SagaPhase>> = {
  preparing: 'prepare', copying: 'copy', permitting: 'switch', redirecting: 'switch', emptying: 'switch', stopping: 'switch', finishing: 'switch',
  cancelling: 'switch', aborting: 'switch', 'in-doubt': 'switch', pausing: 'switch', returning: 'switch', resuming: 'switch',
  'handing-over': 'announce', draining: 'drain', done: 'drain', 'rolled-back': 'switch', stranded: 'switch', dead: 'switch',
};
const GOING_BACK: ReadonlySet<MoveProgress['phase']> = new Set<MoveProgress['phase']>(['cancelling', 'aborting', 'in-doubt', 'pausing', 'returning', 'resuming', 'rolled-back']);

const RESTARTED = 'The agent of the source was restarted';
const DIED: MigrationEnd = { kind: 'dead', at: 'source', reason: 'Its QEMU ended at the source while the agent there was restarted' };

export interface OutgoingEnd {
  readonly end: MigrationEnd;
  readonly receipt?: Receipt;
}

export class OutgoingMove {
  readonly #parts: MoveParts;
  readonly #cancel = new AbortController();
  readonly #progress: CopyProgress;
  #wanted: WantedMove;
  #run: SwitchoverRun | undefined;
  #phase: SagaPhase = 'plan';
  #inDoubt: string | undefined;
  #shown: MoveReport['progress'];
  #told: Decision | undefined;
  /** Bytes per second: what the copy was begun with, or is limited to since. */
  #limit: number;
  /** When the progress was last told, by the monotonic clock. */
  #toldAt = ms(-Infinity);
  readonly #closing = new AbortController();
  #peer: PeerSide | undefined;

  constructor(wanted: WantedMove, parts: MoveParts) {
    this.#wanted = wanted;
    this.#parts = parts;
    this.#limit = wanted.maxBandwidth;
    this.#progress = new CopyProgress(wanted.maxBandwidth);
  }

  report(): MoveReport {
    const { migration, move: id } = this.#wanted;
    return {
      migration, move: id, role: 'source', phase: this.#phase,
      ...(this.#inDoubt === undefined ? {} : { inDoubt: this.#inDoubt }), ...(this.#shown ? { progress: this.#shown } : {}),
    };
  }

  /** What is wanted now: perhaps that it is cancelled, or what the server has heard of the destination. */
  want(wanted: WantedMove): void {
    this.#wanted = wanted;
    if (wanted.cancel) this.#cancel.abort();
    if (wanted.decision !== undefined && this.#told === undefined) {
      this.#told = wanted.decision;
      this.#run?.tell(wanted.decision);
    }
    this.#followLimit();
  }

  /** The agent ends: what is under way goes on when the next one starts. `carryOut` or `recover` is over soon; its word is no end. */
  close(): void {
    this.#closing.abort();
    this.#run?.leave();
    this.#peer?.close();
  }

  /** To its end, which is not yet written down as one. Fails only when the disk does. */
  async carryOut(): Promise<OutgoingEnd> {
    const { keeper, state } = this.#parts;
    const { move: id, vm, dryRun } = this.#wanted;
    const record = state.vm(vm);
    let guest: Guest;
    try {
      guest = keeper.take(vm, id);
    } catch (error) {
      // Somebody else has it: not ours to give back.
      return { end: failed(error) };
    }
    try {
      if (!record || !this.#isOf(record)) throw new MoveRefused([`${vm} is not on this host as it was when this move was asked for: ask for it again`]);
      state.saveMove({ wanted: this.#wanted, place: record.place });
    } catch (error) {
      keeper.giveBack(vm);
      return { end: failed(error) };
    }
    const side = this.#side(record);
    try {
      const options = { ...this.#options(guest), to: side };
      if (dryRun) {
        const { warnings, notes } = await planTo(options);
        return { end: { kind: 'possible', warnings, notes } };
      }
      const result = await move(options);
      return await this.#ended(result.receipt, guest);
    } catch (error) {
      // Once it runs, the machine alone says how it ends: what fails behind it is brought to its end by looking again.
      if (this.#run) throw error;
      // Thrown before anything was changed; but not always without a reason that lies in the guest.
      return { end: !dryRun && (await this.#isGone(guest, error)) ? diedBefore(guest) : failed(error) };
    } finally {
      side.close();
    }
  }

  /** After a restart of the agent. The keeper has adopted the guest, if there is one. */
  async recover(): Promise<OutgoingEnd> {
    const { keeper, state, log, clock } = this.#parts;
    const { move: id, vm } = this.#wanted;
    log.warn({ move: id, vm }, 'The agent was restarted in the middle of a move; it is brought to its end');
    const record = state.vm(vm);
    this.#phase = 'switch';
    if (record?.givenAway?.move === id) {
      await this.#endLeftover(record);
      return { end: { kind: 'moved', undrained: RESTARTED } };
    }
    // Of an older stay of the VM's here, before it went away and came back: nothing of that is left to be settled.
    if (this.#wanted.dryRun || (record && !this.#isOf(record))) return { end: { kind: 'rolled-back', reason: RESTARTED } };
    // One that does not answer yet is not one that is gone: to say so of it would give up a guest that runs.
    while (keeper.seeks(vm)) {
      if (this.#closing.signal.aborted) throw new VmBusy(vm, 'its QEMU is still looked for');
      await clock.sleep(ASK_AGAIN, this.#closing.signal);
    }
    const guest = keeper.guest(vm);
    const side = this.#side(record);
    try {
      if (!guest || !record) return await this.#withoutGuest(side);
      keeper.take(vm, id);
      const { receipt } = await recoverMove({ ...this.#options(guest), destination: side.prepared() });
      return await this.#ended(receipt, guest);
    } finally {
      side.close();
    }
  }

  #isOf({ placement }: VmRecord): boolean {
    return placement.epoch === this.#wanted.epoch;
  }

  /** A QEMU closes QMP a little before it is gone. */
  async #isGone(guest: Guest, error: unknown): Promise<boolean> {
    const limit = new AbortController();
    const sleep = this.#parts.clock.sleep(error instanceof QmpClosed ? ENDING : ms(0), AbortSignal.any([limit.signal, this.#closing.signal]));
    const gone = await Promise.race([guest.exited.then(() => true), sleep.then(() => false)]);
    limit.abort();
    return gone;
  }

  /** Its QEMU is gone: it was handed over and ended, or it died. Only the destination knows. */
  async #withoutGuest(side: PeerSide): Promise<OutgoingEnd> {
    const { hypervisor, keeper, journal, clock, state } = this.#parts;
    const { move: id, vm, epoch } = this.#wanted;
    await hypervisor.clear(this.#terms());
    const destination = side.prepared();
    for (;;) {
      try {
        const decision = this.#told ?? (await destination.abort());
        this.#doubt(undefined);
        if (decision === 'committed' && state.vm(vm)) keeper.gaveAway(vm, epoch, id);
        await destination.finish().catch(unlessLost);
        return decision === 'committed'
          ? { end: { kind: 'moved', undrained: RESTARTED } }
          : { end: DIED };
      } catch (error) {
        if (!(error instanceof PeerLost)) throw error;
        // Without a permit it cannot have committed, and gives up by itself.
        if (!journal.permitted(id)) return { end: DIED };
        this.#doubt(`Its QEMU is gone here, and whether ${side.host} has taken it over cannot be asked: ${formatError(error)}`);
        await clock.sleep(ASK_AGAIN, this.#closing.signal);
      }
      if (this.#closing.signal.aborted) throw new PeerLost(side.host, 'the agent ends');
    }
  }

  /** What was handed over and not yet ended when the agent was. */
  async #endLeftover({ name, spec, networks, place }: VmRecord): Promise<void> {
    const { hypervisor } = this.#parts;
    const left = await hypervisor.adopt(resolveVm(name, spec, new Map(Object.entries(networks))), place);
    await left?.kill();
    await hypervisor.clear(this.#terms());
  }

  async #ended(receipt: Receipt, guest: Guest): Promise<OutgoingEnd> {
    const { keeper } = this.#parts;
    const { move: id, vm, epoch } = this.#wanted;
    const { outcome } = receipt;
    switch (outcome.kind) {
      case 'moved':
        // First that it is not ours any more, then its end: the other way round it would be told as the VM's.
        keeper.gaveAway(vm, epoch, id);
        await guest.kill();
        return { end: outcome, receipt };
      case 'dead':
        // What it was before it was handed over is not what it was when it ended: it must not be brought back.
        if (outcome.at === 'destination') {
          keeper.gaveAway(vm, epoch, id);
          await guest.kill();
        }
        return { end: outcome, receipt };
      case 'rolled-back':
        return { end: this.#cancel.signal.aborted && outcome.reason === 'Cancelled' ? { kind: 'cancelled' } : outcome, receipt };
      case 'stranded':
        return { end: outcome, receipt };
      default:
        return unreachable(outcome);
    }
  }

  #options(guest: Guest) {
    const { hypervisor, journal } = this.#parts;
    return {
      terms: this.#terms(), guest, hypervisor, journal,
      policy: { ...this.#wanted.policy, drainInterval: DRAIN_INTERVAL },
      signal: this.#cancel.signal,
      onProgress: (progress: MoveProgress) => this.#show(progress),
      onRun: (run: SwitchoverRun) => {
        this.#run = run;
        if (this.#told !== undefined) run.tell(this.#told);
        this.#followLimit();
        if (this.#closing.signal.aborted) run.leave();
      },
    };
  }

  #terms(): MoveTerms {
    const { move: id, peer, local, maxBandwidth } = this.#wanted;
    return { id, source: local === undefined ? this.#parts.address : parseIpAddress(local), destination: parseIpAddress(peer.address), maxBandwidth: bytesPerSecond(maxBandwidth) };
  }

  /** A copy under way goes on with what is wanted now. */
  #followLimit(): void {
    const { maxBandwidth, move: id, vm } = this.#wanted;
    if (!this.#run || maxBandwidth === this.#limit) return;
    this.#limit = maxBandwidth;
    this.#run.limit(bytesPerSecond(maxBandwidth)).then(
      (limited) => limited && this.#progress.limit(maxBandwidth),
      (error: unknown) => this.#parts.log.warn({ move: id, vm, maxBandwidth, error: formatError(error) }, 'The bandwidth of a move could not be changed'),
    );
  }

  #side(record: VmRecord | undefined): PeerSide {
    const { dialer, peerTimes } = this.#parts;
    const { peer, move: id, token, vm } = this.#wanted;
    const declared = { name: vm, spec: record?.spec ?? { cpus: 1, memory: '1MiB' }, networks: { ...record?.networks }, placement: record?.placement ?? { host: '', epoch: 0, start: 0 } };
    this.#peer = new PeerSide({ dialer, peer, move: id, token, vm: declared, ...(peerTimes ? { times: peerTimes } : {}) });
    if (this.#closing.signal.aborted) this.#peer.close();
    return this.#peer;
  }

  #show({ phase, sample, reason }: MoveProgress): void {
    const { changed, clock } = this.#parts;
    const before = this.#phase;
    if (!GOING_BACK.has(phase)) this.#phase = PHASES[phase];
    if (sample) this.#shown = this.#progress.at(sample, phase !== 'copying' && !GOING_BACK.has(phase));
    this.#doubt(phase === 'in-doubt' ? `${this.#wanted.vm} is paused: whether ${this.#wanted.peer.host} has taken it over cannot be asked (${reason ?? ''})` : undefined);
    // While the guest is about to stand still, or does, nothing is done that can wait.
    if (this.#phase === 'switch' && !GOING_BACK.has(phase)) return;
    if (this.#phase === before && clock.monotonic() - this.#toldAt < TELL) return;
    this.#toldAt = clock.monotonic();
    changed();
  }

  #doubt(reason: string | undefined): void {
    if (this.#inDoubt === reason) return;
    this.#inDoubt = reason;
    this.#parts.keeper.say(this.#wanted.vm, reason === undefined ? undefined : { state: 'in-doubt', reason });
    this.#parts.changed();
  }
}

function diedBefore(guest: Guest): MigrationEnd {
  const words = guest.lastWords().trim();
  return { kind: 'dead', at: 'source', reason: `Its QEMU ended at the source before anything was copied${words === '' ? '' : `: ${words}`}` };
}

function failed(error: unknown): MigrationEnd {
  return error instanceof MoveRefused ? { kind: 'refused', reasons: error.reasons } : { kind: 'rolled-back', reason: formatError(error) };
}

function unlessLost(error: unknown): void {
  if (!(error instanceof PeerLost)) throw error;
}
