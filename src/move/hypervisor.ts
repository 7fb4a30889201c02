/**
 * What the agent needs of its host: VMs started, adopted and ended, and the two ends of a move. A seam: `hypervisor-kernel.ts` does
 * it with the kernel and QEMU, `hypervisor-memory.ts` in memory, for the crash-point tests and the simulator.
 */
import type { HostStatus } from '../model/host.ts';
import type { Vm } from '../model/vm.ts';
import type { DestinationGuest, MoveTerms, SourceEnd } from './ends.ts';
import type { HostFacts, MoveFacts } from '../policy/plan.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { HostProbes } from './preflight.ts';

/** Where a VM's QEMU has its files, and what its taps are named after. Outlives the agent. */
export interface Place {
  readonly runDirectory: string;
  /** Unique on the host, at most 8 characters of [a-z0-9]. */
  readonly id: string;
}

/** `incoming`: waits for a migration, or has loaded one and stands still. */
export type GuestState = 'running' | 'paused' | 'incoming';

/** A VM's QEMU and its taps, held by this agent. */
export interface Guest {
  readonly vm: Vm;
  readonly place: Place;
  /** Resolves when QEMU is gone, whoever ended it; perhaps never after `close`. */
  readonly exited: Promise<void>;
  /** The host's ends of its NICs, in their order: names of interfaces that can be listened at. */
  readonly ports: readonly string[];
  /** Sends a frame as if the guest's NIC had sent it. Throws SystemError when its tap is gone or down. */
  speak(nic: number, frame: Uint8Array): void;
  state(): Promise<GuestState>;
  /** Tells neighbours and switches where its addresses are, as if the guest said it. */
  announce(): Promise<void>;
  /** Asks the guest to power down. */
  powerDown(): Promise<void>;
  /** Ends QEMU without asking the guest; its taps are gone with it. Idempotent. */
  kill(): Promise<void>;
  /** Lets go and leaves it running. Idempotent. */
  close(): void;
  /** What QEMU said last. */
  lastWords(): string;
}

export interface Hypervisor {
  /** The host's name. */
  readonly host: string;
  /** Boots the VM. Fails with GodwitError and leaves nothing behind then. */
  start(vm: Vm, place: Place): Promise<Guest>;
  /** The QEMU that runs in this place, whoever started it; undefined when none does. */
  adopt(vm: Vm, place: Place): Promise<Guest | undefined>;
  status(): Promise<Omit<HostStatus, 'state' | 'lastReport' | 'agent'>>;

  /** For the plan of a move: of this host, for this VM. */
  facts(vm: Vm): Promise<HostFacts>;
  /** Of the way to the other host, and of earlier moves of this guest that are still under way. */
  path(guest: Guest, to: IpAddress): Promise<Pick<MoveFacts, 'pathMtu' | 'outerFamily' | 'draining'>>;
  /** What of that can be tried, not only looked up. Always the same object. */
  readonly probes: HostProbes;
  sourceEnd(guest: Guest, terms: MoveTerms): Promise<SourceEnd>;
  /** After a restart of the agent in the middle of a move: what the earlier one left, whatever that is. */
  adoptSourceEnd(guest: Guest, terms: MoveTerms): Promise<SourceEnd>;
  /** Removes what is left of a move whose guest is gone from here: its tunnels. */
  clear(terms: MoveTerms): Promise<void>;
  prepareDestination(vm: Vm, place: Place, terms: MoveTerms): Promise<DestinationGuest>;
  /** Undefined when its QEMU is gone; then nothing of it is left. */
  adoptDestination(vm: Vm, place: Place, terms: MoveTerms): Promise<DestinationGuest | undefined>;
}
