/**
 * One VM in the keeper's care: its record, its QEMU, what is wanted of it. One thing is done at a time; when something changes, what
 * to do next is decided anew from everything that is known (vm-order.ts).
 *
 * While a move has the VM, nothing is done here, and the end of its QEMU is noted only when the move gives it back.
 */
import { formatError } from '../base/error.ts';
import type { Clock } from '../base/clock.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { VmReport, WantedVm } from '../api/agent-protocol.ts';
import type { AnnounceAgain } from '../model/cluster-policy.ts';
import { type Placement, resolveVm } from '../model/vm-spec.ts';
import { QemuAlreadyRuns } from '../vm/vm-errors.ts';
import type { AgentState } from './agent-state.ts';
import { VmAbsent, VmBusy } from './errors.ts';
import type { Guest, GuestState, Hypervisor, Place } from '../move/hypervisor.ts';
import type { Log } from '../base/log.ts';
import type { Run, VmRecord } from './records.ts';
import type { Turns } from './turns.ts';
import { type Known, orderFor, reportOf } from './vm-order.ts';

/** How long a guest that was asked to power down may take. */
const POWER_DOWN = seconds(30);
/** Until something that failed is tried again. */
const TRY_AGAIN = seconds(2);

export interface Care {
  readonly hypervisor: Hypervisor;
  readonly state: AgentState;
  readonly clock: Clock;
  readonly log: Log;
  readonly starts: Turns;
  /** The server should hear of it. */
  readonly changed: () => void;
  /** Removes what a VM that is gone for good left in its run directory. */
  readonly clear: (place: Place) => void;
  /** The keeper ends. */
  readonly closing: AbortSignal;
}

export class KeptVm {
  readonly name: string;
  readonly #care: Care;
  #wanted: WantedVm | undefined;
  #guest: Guest | undefined;
  #guestState: GuestState = 'running';
  /** Whether a QEMU runs in its place has been looked for. */
  #settled = false;
  #taken: string | undefined;
  #said: Pick<VmReport, 'state' | 'reason'> | undefined;
  #trouble: string | undefined;
  #doing: string | undefined;
  /** By the monotonic clock: when a guest that was asked to power down has had time enough. */
  #downBy: Milliseconds | undefined;
  #lastWords = '';
  /** The last order to announce it that was followed: forgotten with the agent, since to do it once more harms nobody. */
  #announced: number | undefined;
  #announcing: Promise<void> = Promise.resolve();
  #again = false;
  #busy = false;
  #work: Promise<void> = Promise.resolve();
  #poke = new AbortController();
  readonly #looked = Promise.withResolvers<void>();

  constructor(name: string, care: Care) {
    this.name = name;
    this.#care = care;
  }

  get guest(): Guest | undefined {
    return this.#guest;
  }

  /** Whether its QEMU runs is not known yet: it has not been looked for, or it does not answer. */
  get sought(): boolean {
    return !this.#settled && !this.#guest && (this.#record() !== undefined || this.#care.state.blocked(this.name) !== undefined);
  }

  get wanted(): WantedVm | undefined {
    return this.#wanted;
  }

  want(wanted: WantedVm | undefined): void {
    this.#wanted = wanted;
    this.kick();
  }

  /** Decides anew. */
  kick(): void {
    this.#again = true;
    this.#poke.abort();
    if (!this.#busy) this.#work = this.#run();
  }

  /** What is being done now has been done, or given up because the keeper ends. */
  async idle(): Promise<void> {
    await this.#work;
    if (this.#care.closing.aborted) await this.#announcing;
  }

  /** Its QEMU has been looked for once, with whatever result. */
  looked(): Promise<void> {
    return this.#looked.promise;
  }

  report(listed: boolean): VmReport | undefined {
    const destination = this.#care.state.moveOf(this.name)?.wanted.role === 'destination';
    // What is coming in, the move itself tells.
    if (destination && !this.#guest) return undefined;
    return reportOf({ ...this.#known(), settled: this.#settled, listed, move: this.#move(), said: this.#said, trouble: this.#trouble }, this.name);
  }

  /** Asks QEMU how the guest is: it may have been paused by somebody else, or by a disk. */
  async look(): Promise<void> {
    const guest = this.#guest;
    if (!guest || this.#doing !== undefined || this.#move() !== undefined) return;
    let trouble: string | undefined;
    let state = this.#guestState;
    try {
      state = await guest.state();
    } catch (error) {
      trouble = `its QEMU does not answer: ${formatError(error)}`;
    }
    if (this.#guest !== guest || (state === this.#guestState && trouble === this.#trouble)) return;
    this.#guestState = state;
    this.#trouble = trouble;
    this.#care.changed();
  }

  take(move: string): Guest {
    if (this.#taken !== undefined && this.#taken !== move) throw new VmBusy(this.name, `move ${this.#taken} has it`);
    if (this.#doing !== undefined) throw new VmBusy(this.name, `it is being ${this.#doing}`);
    if (!this.#guest) throw new VmAbsent(this.name, this.#trouble ?? 'it does not run here');
    const order = orderFor(this.#known());
    if (this.#move() === undefined && (order === 'stop' || order === 'await-end')) throw new VmBusy(this.name, 'it is to be stopped');
    this.#taken = move;
    return this.#guest;
  }

  say(said: Pick<VmReport, 'state' | 'reason'> | undefined): void {
    this.#said = said;
    this.#care.changed();
  }

  giveBack(): void {
    this.#taken = undefined;
    this.#said = undefined;
    // Whatever the move left: its QEMU runs in its place, or it has ended.
    if (!this.#guest) this.#settled = false;
    this.#care.changed();
    this.kick();
  }

  /** Throws DiskFull, DiskFailed; the VM is still the move's then. */
  gaveAway(epoch: number, move: string): void {
    const record = this.#record();
    if (!record) throw new VmAbsent(this.name, 'this host has no record of it');
    this.#care.state.saveVm({ ...record, givenAway: { epoch, move } });
    this.#guest = undefined;
    this.#said = undefined;
    this.#care.changed();
  }

  /** Throws DiskFull, DiskFailed, RecordInvalid. */
  received(record: VmRecord, guest: Guest, move: string): void {
    this.#care.state.saveVm(record);
    this.#taken = move;
    this.#settled = true;
    this.#guestState = 'running';
    if (this.#guest !== guest) this.#hold(guest);
    this.#care.changed();
  }

  receivedDead(record: VmRecord): void {
    this.#care.state.saveVm(record);
    this.#guest = undefined;
    this.#care.changed();
  }

  /**
   * For neighbours and switches that missed what the move said: `count` times, the first after `interval`, the gaps doubled. It ends
   * with the guest's staying here.
   */
  announceAgain({ count, interval }: AnnounceAgain): void {
    const guest = this.#guest;
    const { clock, closing, log } = this.#care;
    const repeat = async (): Promise<void> => {
      for (let round = 0; round < count; round++) {
        await clock.sleep(ms(interval * 2 ** round), closing);
        if (closing.aborted || !guest || this.#guest !== guest || this.#move() !== undefined) return;
        try {
          await guest.announce();
        } catch (error) {
          log.warn({ vm: this.name, error: formatError(error) }, 'The addresses of a VM that has come could not be announced again');
        }
      }
    };
    this.#announcing = this.#announcing.then(repeat);
  }

  /** True when nothing is left to remember. A deleted VM is forgotten once it is not listed any more: then the server knows. */
  forgotten(): boolean {
    const record = this.#record();
    if (!record) return this.#wanted === undefined && !this.#busy && !this.#guest && this.#move() === undefined;
    const { givenAway, placement } = record;
    if (!givenAway || givenAway.move !== undefined || placement.epoch > givenAway.epoch || this.#guest) return false;
    try {
      this.#care.state.removeVm(this.name);
      return true;
    } catch (error) {
      this.#care.log.warn({ vm: this.name, error: formatError(error) }, 'The record of a deleted VM could not be removed');
      return false;
    }
  }

  close(): void {
    this.#poke.abort();
    this.#guest?.close();
    this.#guest = undefined;
  }

  async #run(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#again && !this.#care.closing.aborted) {
        this.#again = false;
        this.#poke = new AbortController();
        try {
          await this.#step();
        } catch (error) {
          this.#care.log.error({ vm: this.name, error: formatError(error) }, 'Something unforeseen happened to a VM; it is tried again');
          await this.#tryAgain();
        }
      }
    } finally {
      this.#busy = false;
      this.#looked.resolve();
    }
  }

  async #step(): Promise<void> {
    const blocked = this.#care.state.blocked(this.name) !== undefined;
    const destination = this.#care.state.moveOf(this.name)?.wanted.role === 'destination';
    if (!this.#settled && !this.#guest && !blocked && !destination) await this.#settle();
    else if (this.#move() === undefined) await this.#obey();
  }

  async #obey(): Promise<void> {
    const { wanted } = this;
    const order = orderFor(this.#known());
    if (order === 'rest') await this.#announce();
    if (!wanted || order === 'rest' || order === 'lost') return;
    if (order === 'start') return this.#start();
    if (order === 'stop' || order === 'await-end') return this.#end(order === 'stop');
    if (order === 'forget') return this.#forget(wanted.placement);
    this.#downBy = undefined;
    this.#note({ ...wanted.placement, state: 'up' }, { placement: wanted.placement, running: true });
    await this.#announce();
  }

  async #announce(): Promise<void> {
    const order = this.#wanted?.announce;
    if (!this.#guest || this.#guestState !== 'running' || order === undefined || order === this.#announced) return;
    this.#announced = order;
    try {
      await this.#guest.announce();
      this.#care.log.info({ vm: this.name, order }, 'Announced the addresses of a VM');
    } catch (error) {
      this.#care.log.warn({ vm: this.name, order, error: formatError(error) }, 'The addresses of a VM could not be announced');
    }
  }

  /** Finds the QEMU that runs in its place, whoever started it, or that there is none. */
  async #settle(): Promise<void> {
    const { hypervisor, state, log } = this.#care;
    const record = this.#record();
    const from = record ?? this.#wanted;
    if (!from) return;
    const place = record?.place ?? state.newPlace(this.name);
    let guest: Guest | undefined;
    try {
      const gone = record?.givenAway && record.placement.epoch <= record.givenAway.epoch;
      if (!gone) guest = await hypervisor.adopt(resolveVm(this.name, from.spec, new Map(Object.entries(from.networks))), place);
      this.#guestState = (await guest?.state()) ?? 'running';
    } catch (error) {
      guest?.close();
      // Without a record there was nothing to find: that the VM cannot be run is for `start` to say.
      if (record) return this.#inTrouble(`its QEMU was looked for: ${formatError(error)}`);
    }
    if (this.#care.closing.aborted) return guest?.close();
    this.#trouble = undefined;
    this.#settled = true;
    this.#again = true;
    const { run } = record ?? {};
    if (guest) {
      log.info({ vm: this.name, run: place.runDirectory }, 'Adopted a running QEMU');
      if (!record) state.noteVm({ ...recordOf(from, place), running: true });
      this.#hold(guest);
      if (run?.state !== 'up') this.#note({ ...from.placement, ...(run && { epoch: run.epoch, start: run.start }), state: 'up' });
    } else if (run && this.#move() === undefined && (run.state === 'up' || run.state === 'starting')) {
      const when = run.state === 'starting' ? 'the agent was restarted while it started it' : 'its QEMU ended while nobody looked after it';
      this.#ended(run, this.#lastWords || when);
    }
    this.#care.changed();
  }

  async #start(): Promise<void> {
    const { hypervisor, state, starts, clock, log } = this.#care;
    await starts.take(async () => {
      // What is wanted may have changed while it waited for its turn.
      const { wanted } = this;
      if (this.#care.closing.aborted || !wanted || this.#move() !== undefined || orderFor(this.#known()) !== 'start') return;
      const before = this.#record();
      const { epoch, start } = wanted.placement;
      const run: Run = { epoch, start, state: 'starting' };
      const record = { ...recordOf(wanted, before?.place ?? state.newPlace(this.name)), running: true, run };
      this.#doing = 'started';
      const begun = clock.monotonic();
      try {
        const vm = resolveVm(this.name, wanted.spec, new Map(Object.entries(wanted.networks)));
        // From here on there is no second try of this order.
        state.saveVm(record);
        this.#care.changed();
        const guest = await hypervisor.start(vm, record.place);
        this.#settled = true;
        this.#guestState = 'running';
        this.#hold(guest);
        this.#note({ epoch, start, state: 'up' });
        log.info({ vm: this.name, epoch, start, took: clock.monotonic() - begun }, 'Started a VM');
      } catch (error) {
        log.warn({ vm: this.name, epoch, start, error: formatError(error) }, 'A VM did not start');
        // Started by an agent that died before it could be found: it only needs to be adopted.
        if (error instanceof QemuAlreadyRuns) this.#settled = false;
        else this.#ended({ epoch, start }, `it did not start: ${formatError(error)}`, record);
      } finally {
        this.#doing = undefined;
        this.#again = true;
      }
      this.#care.changed();
    });
  }

  /** `kill`: when it has had its time, or at once if that is wanted; without, only waits to see whether it goes down. */
  async #end(kill: boolean): Promise<void> {
    const { clock, log } = this.#care;
    const guest = this.#guest;
    if (!guest) return;
    const record = this.#record();
    // Said before it is done, so that its end is told as wanted even by the next agent.
    if (kill && record?.running) this.#care.state.noteVm({ ...record, running: false });
    this.#doing = kill ? 'stopped' : undefined;
    try {
      if (!this.#wanted?.force || !kill) {
        const begins = this.#downBy === undefined;
        const downBy = (this.#downBy ??= ms(clock.monotonic() + POWER_DOWN));
        if (begins) {
          log.info({ vm: this.name }, 'Asked a guest to power down');
          await guest.powerDown().catch((error: unknown) =>
            log.warn({ vm: this.name, error: formatError(error) }, 'A guest could not be asked to power down'));
        }
        const left = ms(downBy - clock.monotonic());
        if (left > 0) {
          await Promise.race([guest.exited, this.#pause(left)]);
          this.#again = true;
          return;
        }
      }
      this.#downBy = undefined;
      this.#again = true;
      if (!kill) return;
      log.info({ vm: this.name, force: this.#wanted?.force === true }, 'Ends a QEMU whose guest did not power down');
      await guest.kill();
      this.#left(guest);
    } catch (error) {
      await this.#inTrouble(`it could not be stopped: ${formatError(error)}`);
    } finally {
      this.#doing = undefined;
    }
  }

  async #forget({ epoch }: Placement): Promise<void> {
    const record = this.#record();
    if (!record) return;
    try {
      this.#care.state.saveVm({ ...record, givenAway: { epoch } });
      this.#care.clear(record.place);
      this.#care.log.info({ vm: this.name, epoch }, 'Forgot a deleted VM');
      this.#care.changed();
    } catch (error) {
      await this.#inTrouble(`it could not be removed: ${formatError(error)}`);
    }
  }

  #hold(guest: Guest): void {
    this.#guest = guest;
    this.#lastWords = '';
    void guest.exited.then(() => this.#left(guest));
  }

  #left(guest: Guest): void {
    if (this.#guest !== guest || this.#care.closing.aborted) return;
    this.#lastWords = guest.lastWords().trim();
    this.#guest = undefined;
    this.#downBy = undefined;
    this.#trouble = undefined;
    guest.close();
    const run = this.#record()?.run;
    if (run && this.#move() === undefined) this.#ended(run, this.#lastWords || 'its QEMU ended and said nothing');
    this.#care.changed();
    this.kick();
  }

  #ended({ epoch, start }: Pick<Run, 'epoch' | 'start'>, reason: string, record = this.#record()): void {
    if (!record) return;
    const stopped = !record.running;
    this.#care.log.info({ vm: this.name, epoch, start, stopped, reason }, 'The QEMU of a VM is gone');
    this.#care.state.noteVm({ ...record, run: { epoch, start, state: stopped ? 'stopped' : 'ended', ...(stopped ? {} : { reason }) } });
  }

  #note(run: Run, changes: Partial<VmRecord> = {}): void {
    const record = this.#record();
    if (record) this.#care.state.noteVm({ ...record, ...changes, run });
    this.#care.changed();
  }

  #record(): VmRecord | undefined {
    return this.#care.state.vm(this.name);
  }

  /** The move that has it in hand, by the disk or by word. */
  #move(): string | undefined {
    return this.#taken ?? this.#care.state.moveOf(this.name)?.wanted.move;
  }

  #known(): Known {
    return {
      record: this.#record(), wanted: this.#wanted, guest: this.#guest && this.#guestState,
      goingDown: this.#downBy !== undefined, blocked: this.#care.state.blocked(this.name),
    };
  }

  async #inTrouble(trouble: string): Promise<void> {
    if (this.#trouble !== trouble) {
      this.#care.log.warn({ vm: this.name, trouble }, 'A VM is in trouble; it is tried again');
      this.#trouble = trouble;
      this.#care.changed();
    }
    this.#looked.resolve();
    await this.#tryAgain();
  }

  async #tryAgain(): Promise<void> {
    await this.#pause(TRY_AGAIN);
    this.#again = true;
  }

  /** Until then, or until something changed, or the keeper ends. */
  #pause(time: Milliseconds): Promise<void> {
    return this.#care.clock.sleep(time, AbortSignal.any([this.#poke.signal, this.#care.closing]));
  }
}

type Declared = Pick<WantedVm, 'name' | 'spec' | 'networks' | 'placement'>;

const recordOf = ({ name, spec, networks, placement }: Declared, place: Place) => ({ name, spec, networks, placement, place });
