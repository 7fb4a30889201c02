/** The words of the switchover (`switchover.ts`): what it is told, what it asks for, and what it remembers. */
import type { Milliseconds } from '../base/units.ts';
import type { Convergence, CopySample, SwitchPolicy } from './convergence.ts';

export type SwitchoverState =
  | { readonly phase: 'copying'; readonly convergence: Convergence }
  /** `stopped`: the guest stands still, unasked; `waits`: QEMU waits for leave to send the device state. */
  | { readonly phase: 'permitting'; readonly stopped: boolean; readonly waits: boolean }
  | { readonly phase: 'redirecting'; readonly stopped: boolean; readonly waits: boolean }
  | { readonly phase: 'emptying'; readonly since: Milliseconds; readonly empties: number }
  /** `unwatched`: the guest stood still before its taps were seen empty. */
  | { readonly phase: 'stopping'; readonly waits: boolean; readonly unwatched: boolean }
  /** `guestGone`: the source's QEMU has ended; whether it had sent everything only the destination can tell. */
  | { readonly phase: 'finishing'; readonly sourceDone: boolean; readonly guestGone: boolean }
  | { readonly phase: 'handing-over' }
  | { readonly phase: 'draining'; readonly through: number; readonly quietSince: Milliseconds; readonly since: Milliseconds; readonly announced: number }
  /** `undrained`: why the redirect ends although frames may still come the old way. */
  | { readonly phase: 'done'; readonly undrained?: string }
  | { readonly phase: 'cancelling'; readonly why: RollBack }
  | { readonly phase: 'aborting'; readonly why: RollBack }
  | { readonly phase: 'in-doubt'; readonly why: RollBack }
  | { readonly phase: 'pausing'; readonly why: RollBack }
  | { readonly phase: 'returning'; readonly why: RollBack }
  | { readonly phase: 'resuming'; readonly why: RollBack }
  | { readonly phase: 'rolled-back'; readonly reason: string }
  /** The guest is at the source, and nobody can say whether it runs: for a person to look at. */
  | { readonly phase: 'stranded'; readonly reason: string }
  /** The guest is gone. `at` the destination, it had been taken over: what is left of it at the source must never run again. */
  | { readonly phase: 'dead'; readonly reason: string; readonly at: 'source' | 'destination' };

/** What has to be undone, and why. */
export interface RollBack {
  readonly reason: string;
  readonly redirected: boolean;
  /** The destination may have committed: it has leave to, and the guest was told to stop. */
  readonly permitted: boolean;
  /** The source's QEMU has ended: unless the destination has committed, there is nothing to come back. */
  readonly guestGone: boolean;
  /** The destination's QEMU has ended: if the destination had committed, the guest went with it. */
  readonly destinationGone: boolean;
}

export type SwitchoverEvent =
  | { readonly kind: 'sample'; readonly sample: CopySample }
  | { readonly kind: 'permitted' }
  | { readonly kind: 'redirected' }
  /** Is a frame waiting in any of the source's taps? */
  | { readonly kind: 'taps'; readonly waiting: boolean }
  /** The source's guest is stopped, whoever asked: QEMU's event, or the answer to `stop`. */
  | { readonly kind: 'stopped' }
  /** The source's QEMU waits for leave to send the device state. */
  | { readonly kind: 'pre-switchover' }
  | { readonly kind: 'source-completed' }
  /** The destination's journal says so, unasked or in answer to `abort-destination` or `ask`. The guest runs there. */
  | { readonly kind: 'committed' }
  | { readonly kind: 'group-ended' }
  /** Frames that have gone through all tunnels so far. */
  | { readonly kind: 'drain'; readonly through: number }
  | { readonly kind: 'cancelled' }
  /** The destination's journal says so, and its QEMU is gone. */
  | { readonly kind: 'aborted' }
  | { readonly kind: 'returned' }
  | { readonly kind: 'resumed' }
  | { readonly kind: 'cancel'; readonly reason: string }
  /** An effect of the phase named could not be carried out. What an earlier phase asked for may fail when it is no longer wanted. */
  | { readonly kind: 'failed'; readonly reason: string; readonly during: SwitchoverState['phase'] }
  /** QEMU, at either end, says that the migration failed; also because it was cancelled. */
  | { readonly kind: 'copy-failed'; readonly reason: string }
  /** A QEMU is gone, asked or not. */
  | { readonly kind: 'source-ended' }
  | { readonly kind: 'destination-ended' }
  /** The destination cannot be spoken with. */
  | { readonly kind: 'destination-lost'; readonly reason: string }
  /** The deadline that was armed has passed. */
  | { readonly kind: 'deadline' };

export type SwitchoverEffect =
  /** Ask the source's QEMU how far it is; not before `after`, or at once when a pass ends. */
  | { readonly do: 'sample'; readonly after: Milliseconds }
  /** Remember durably that the destination may commit from now on; then tell it. */
  | { readonly do: 'permit' }
  | { readonly do: 'redirect' }
  | { readonly do: 'poll-taps' }
  | { readonly do: 'stop' }
  | { readonly do: 'continue' }
  | { readonly do: 'end-group-redirect' }
  | { readonly do: 'announce' }
  | { readonly do: 'read-drain'; readonly after: Milliseconds }
  | { readonly do: 'cancel-copy' }
  /** Answered by `aborted` or `committed`. */
  | { readonly do: 'abort-destination' }
  /** The same, a little later. */
  | { readonly do: 'ask' }
  | { readonly do: 'return-held' }
  | { readonly do: 'resume-source' }
  | { readonly do: 'arm'; readonly at: Milliseconds }
  | { readonly do: 'disarm' };

export interface SwitchoverPolicy extends SwitchPolicy {
  /**
   * When the guest stops unasked before its network is ready: take the move back, or go on and lose what its taps hold. The
   * latter is for a QEMU that cannot be kept from switching by itself.
   */
  readonly selfSwitch: 'refuse' | 'accept';
  /** The pause may not last longer than this, `stop` to commit; else the move goes back. */
  readonly maxPause: Milliseconds;
  /** How long the guest may take to read what was in its taps when the redirect began. */
  readonly maxEmptying: Milliseconds;
  /** The redirect stays until the tunnels have been silent for this long … */
  readonly quiet: Milliseconds;
  /** … but no longer than this. */
  readonly maxDrain: Milliseconds;
  readonly drainInterval: Milliseconds;
}
