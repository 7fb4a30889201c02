/**
 * Keeps this host's VMs as they are wanted: adopts what runs when the agent starts, starts and stops, notices ends.
 *
 * QEMUs outlive the agent, and the server's being away changes nothing for them. A VM is started at most once per order of the server
 * (records.ts, `run`), and ended only because the server says so of it by name: not being listed means nothing.
 */
import { seconds } from '../base/units.ts';
import type { Clock } from '../base/clock.ts';
import type { VmReport, Wanted } from '../api/agent-protocol.ts';
import type { AnnounceAgain } from '../model/cluster-policy.ts';
import type { AgentState } from './agent-state.ts';
import { VmAbsent } from './errors.ts';
import type { Guest, Hypervisor, Place } from '../move/hypervisor.ts';
import { type Care, KeptVm } from './kept-vm.ts';
import type { Log } from '../base/log.ts';
import type { VmRecord } from './records.ts';
import { Turns } from './turns.ts';

/** QEMUs that may be starting at a time. */
const STARTS = 4;
/** Between two questions to every QEMU how its guest is. */
const LOOK = seconds(10);

export interface KeeperParts {
  readonly hypervisor: Hypervisor;
  readonly state: AgentState;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the server should hear of something. */
  readonly changed: () => void;
  /** Removes what a deleted VM left in its run directory. */
  readonly clear: (place: Place) => void;
}

export class VmKeeper {
  readonly #parts: KeeperParts;
  readonly #closing = new AbortController();
  readonly #care: Care;
  readonly #vms = new Map<string, KeptVm>();
  #listed = false;
  readonly #looking: Promise<void>;

  /** Begins at once to adopt what the records name. */
  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#care = { ...parts, starts: new Turns(STARTS), closing: this.#closing.signal };
    for (const { name } of parts.state.vms()) this.#kept(name).kick();
    this.#looking = this.#look();
  }

  /** The QEMU of every VM known from before has been looked for once; one that does not answer is looked for again, later. */
  async adopted(): Promise<void> {
    await Promise.all([...this.#vms.values()].map((vm) => vm.looked()));
  }

  /** All that could be done at once has been done: nothing is being started, adopted or ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#vms.values()].map((vm) => vm.idle()));
  }

  /** The whole of what the server wants, each time. */
  want({ vms }: Wanted): void {
    this.#listed = true;
    const { hypervisor, log } = this.#parts;
    const wanted = new Map(vms.filter((vm) => vm.placement.host === hypervisor.host).map((vm) => [vm.name, vm]));
    if (wanted.size < vms.length) log.warn({ host: hypervisor.host }, 'VMs of another host are wanted of this one: passed over');
    for (const name of wanted.keys()) this.#kept(name);
    for (const [name, vm] of this.#vms) {
      vm.want(wanted.get(name));
      if (!wanted.has(name) && vm.forgotten()) this.#vms.delete(name);
    }
  }

  /** Every VM that this host has, or had until the server took note; those that a move brings in only once `received`. */
  reports(): VmReport[] {
    return [...this.#vms.values()].map((vm) => vm.report(this.#listed)).filter((report) => report !== undefined);
  }

  /** Its QEMU, as far as it is held. */
  guest(name: string): Guest | undefined {
    return this.#vms.get(name)?.guest;
  }

  /** All of them that are held, with what they were started from. */
  held(): readonly { readonly guest: Guest; readonly record: VmRecord }[] {
    return this.#parts.state.vms().flatMap((record) => {
      const guest = this.guest(record.name);
      return guest ? [{ guest, record }] : [];
    });
  }

  /** That there is no `guest` says nothing yet: its QEMU has not been found, and has not been found to be gone. */
  seeks(name: string): boolean {
    return this.#parts.state.blocked(name) !== undefined || this.#vms.get(name)?.sought === true;
  }

  /**
   * From now on only the move touches the VM, until `giveBack`; also after a restart of the agent, as long as `AgentState` has the
   * move. The end of its QEMU is for the move to notice. Throws VmBusy, VmAbsent. The same move may take it again.
   */
  take(name: string, move: string): Guest {
    const vm = this.#vms.get(name);
    if (!vm) throw new VmAbsent(name, 'it is not on this host');
    return vm.take(move);
  }

  /** What is reported of a VM that a move has taken, like `in-doubt`; undefined: as it is. */
  say(name: string, said: Pick<VmReport, 'state' | 'reason'> | undefined): void {
    this.#vms.get(name)?.say(said);
  }

  /**
   * The move has ended on this host, whichever way, and is out of `AgentState`: the VM runs on here, or has ended, or was given away;
   * the keeper looks.
   */
  giveBack(name: string): void {
    this.#vms.get(name)?.giveBack();
  }

  /**
   * Never again here for `epoch` or an older one: on the disk when it returns. Before the guest is killed, or its end would be told as
   * the VM's. The guest is the move's to end. Throws DiskFull, DiskFailed: then it has not been given away.
   */
  gaveAway(name: string, epoch: number, move: string): void {
    this.#kept(name).gaveAway(epoch, move);
  }

  /**
   * The VM that came with the move is this host's: on the disk when it returns. It stays in the move's hands until `giveBack`.
   * Harmless when said again, with the guest as adopted after a restart. Throws DiskFull, DiskFailed, RecordInvalid.
   */
  received(vm: Pick<VmRecord, 'name' | 'spec' | 'networks' | 'placement' | 'place'>, guest: Guest, move: string): void {
    const { epoch, start } = vm.placement;
    this.#kept(vm.name).received({ ...vm, running: true, run: { epoch, start, state: 'up' } }, guest, move);
  }

  /** Of a VM that has come: see `KeptVm.announceAgain`. */
  announceAgain(name: string, schedule: AnnounceAgain): void {
    this.#vms.get(name)?.announceAgain(schedule);
  }

  /**
   * It became this host's with the move and its QEMU is gone already: reported so, and not booted for the order that the move brought
   * along. On the disk when it returns. Throws as `received` does.
   */
  receivedDead(vm: Pick<VmRecord, 'name' | 'spec' | 'networks' | 'placement' | 'place'>, reason: string): void {
    const { epoch, start } = vm.placement;
    this.#kept(vm.name).receivedDead({ ...vm, running: true, run: { epoch, start, state: 'ended', reason } });
  }

  /** Lets go of every QEMU and leaves it running; waits for starts in progress. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#looking;
    await this.idle();
    for (const vm of this.#vms.values()) vm.close();
  }

  #kept(name: string): KeptVm {
    const kept = this.#vms.get(name) ?? new KeptVm(name, this.#care);
    this.#vms.set(name, kept);
    return kept;
  }

  async #look(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await this.#parts.clock.sleep(LOOK, signal);
      if (signal.aborted) return;
      await Promise.all([...this.#vms.values()].map((vm) => vm.look()));
    }
  }
}
