/**
 * The two ends of a move, as its driver sees them. The source's end is always this host's own. The destination's is another
 * agent's, reached over the peer channel; in tests also this process's own. Ends decide nothing, but for one thing: the
 * destination, once permitted and loaded, commits by itself, so that no wire stands between the guest and its running on.
 */
import type { BytesPerSecond, Milliseconds } from '../base/units.ts';
import type { ReceivedFrame } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { MigrationSample } from '../vm/migration.ts';
import type { Decision } from './journal.ts';
import type { Guest } from './hypervisor.ts';
import type { LedgerReading } from './ledger.ts';
import type { Asked } from './reachability.ts';

/** What both hosts agree on for one move. */
export interface MoveTerms {
  /** Six hex digits: names tunnels and taps, and the journal's record. NIC n uses VNI (id & 0xfffff0) + n. */
  readonly id: string;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly maxBandwidth: BytesPerSecond;
}

/** `at`: CLOCK_REALTIME of the host, ms. */
export type SourceEvent =
  | { readonly kind: 'stopped'; readonly at: Milliseconds }
  | { readonly kind: 'pre-switchover'; readonly at: Milliseconds }
  | { readonly kind: 'completed'; readonly at: Milliseconds }
  | { readonly kind: 'pass-ended' }
  | { readonly kind: 'failed'; readonly reason: string }
  /** Its QEMU is gone. */
  | { readonly kind: 'ended' };

export interface SourceEnd {
  readonly host: string;
  readonly guest: Guest;
  readonly nics: number;
  /** QEMU can be kept from switching by itself. */
  readonly holds: boolean;
  listen(listener: (event: SourceEvent) => void): () => void;
  copy(uri: string): Promise<void>;
  /** Of the copy, from now on. */
  limit(maxBandwidth: BytesPerSecond): Promise<void>;
  sample(): Promise<MigrationSample>;
  /** Precedence for the threads the switchover waits for, until what it returns is called. */
  hurry(): () => void;
  /** In force when it returns: the kernel has acknowledged every filter. Of all NICs, or of one. */
  redirect(nic?: number): void;
  endRedirect(nic?: number): void;
  /** Some filter of the redirect is in force. */
  redirects(): boolean;
  tapsWaiting(): boolean;
  /** Behind the last frame of every tap, one that nobody misses: see MoveSource. */
  flush(): void;
  running(): Promise<boolean>;
  stop(): Promise<void>;
  resume(): Promise<void>;
  continueSwitchover(): Promise<void>;
  /** Gives the copy up, and waits until QEMU has. Harmless when there is none, or it is too late. */
  cancelCopy(): Promise<void>;
  groupFrames(): number[];
  endGroupRedirect(): void;
  redirectedFrames(): number[];
  /** Only while the guest stands still, these three. */
  prime(): Promise<void>;
  takeAll(nic: number): ReceivedFrame[];
  inject(nic: number, frame: ReceivedFrame): void;
  ledger(): LedgerReading;
  readonly probes: SourceProbes;
  /** Removes redirects and tunnels; the guest, if there is one, keeps its taps. Idempotent. */
  close(): void;
}

/** The host asks the guest itself, to see when it answers last; nothing where that is not wanted. */
export interface SourceProbes {
  watch(): void;
  stop(): void;
  close(): readonly AskedNic[];
}

export interface AskedNic extends Asked {
  readonly nic: number;
  readonly protocol: 'ARP' | 'NS';
}

export type DestinationEvent =
  | { readonly kind: 'loaded'; readonly at: Milliseconds }
  | { readonly kind: 'committed'; readonly commit: Commit }
  /** The guest could not be loaded. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Its QEMU is gone. */
  | { readonly kind: 'ended' }
  /** It cannot be spoken with any more; what it does then, it does by itself. */
  | { readonly kind: 'lost'; readonly reason: string };

/** The moments of the handover, CLOCK_REALTIME of the destination, ms. `held`: per NIC, frames that waited for the guest. */
export interface Commit {
  readonly loadedAt?: Milliseconds;
  readonly committedAt: Milliseconds;
  readonly openedAt: Milliseconds;
  readonly resumedAt?: Milliseconds;
  readonly held: readonly number[];
}

/** Methods fail with PeerLost when the other host cannot be spoken with. */
export interface DestinationEnd {
  readonly host: string;
  /** Where its QEMU takes the migration stream. */
  readonly uri: string;
  listen(listener: (event: DestinationEvent) => void): () => void;
  /** From the answer on it may commit, as soon as all is loaded. */
  permit(): Promise<void>;
  /** What stands in its journal now: `aborted` for ever, its QEMU gone, what its taps held kept for `takeHeld`; or `committed`. */
  abort(): Promise<Decision>;
  /** When it committed; only after it has. */
  commit(): Promise<Commit>;
  announce(): Promise<void>;
  takeHeld(nic: number): Promise<ReceivedFrame[]>;
  deliveredFrames(): Promise<number[]>;
  /** Waits until the guest has taken what its taps hold, within bounds. */
  summary(): Promise<DestinationSummary>;
  /** Removes tunnels, and after an abort everything. Nothing can be asked of this end afterwards. Idempotent. */
  finish(): Promise<void>;
}

export interface DestinationSummary {
  readonly delivered: readonly number[];
  readonly untaken: readonly boolean[];
  /** Before the first frame could be redirected, and now. */
  readonly before: LedgerReading;
  readonly after: LedgerReading;
  readonly probes: readonly AskedNic[];
  readonly announceFailure?: string;
}

/** The destination's own side of its end: what the kernel and QEMU do there. Decides nothing at all. */
export interface DestinationGuest {
  readonly guest: Guest;
  readonly uri: string;
  listen(listener: (event: Exclude<DestinationEvent, { kind: 'committed' | 'lost' }> | { readonly kind: 'resumed'; readonly at: Milliseconds }) => void): () => void;
  /** Everything has been loaded: true also for one adopted after that. */
  loaded(): Promise<boolean>;
  /** Precedence for this agent, which is about to be waited for, until what it returns is called. */
  hurry(): () => void;
  /** Opens the ports, teaches the bridge, lets it run: in this order. Harmless when done already. */
  release(): Promise<void>;
  announce(): void;
  /** Ends QEMU; the taps keep what they hold. */
  kill(): Promise<void>;
  takeHeld(nic: number): ReceivedFrame[];
  deliveredFrames(): number[];
  tapsWaiting(): boolean[];
  ledger(): LedgerReading;
  awaitAnswers(): void;
  answers(): readonly AskedNic[];
  /** Removes the tunnels; the guest runs on. */
  close(): void;
  /** The agent ends: its QEMU, taps and tunnels stay as they are, and nothing of them is held any more. Idempotent. */
  leave(): void;
  /** After `kill` and `takeHeld`: nothing of the VM is left here. */
  discard(): Promise<void>;
}

