/** One move of one VM: its phases, its ledger, its receipt. The receipt is written once, at the end, and never changed. */
import type { Milliseconds } from '../base/units.ts';

export type MoveOutcome =
  | { readonly kind: 'moved' }
  /** Back at the source, running; `reason` says why. */
  | { readonly kind: 'rolled-back'; readonly reason: string }
  /** Past the commit point and not running: for a person to look at. */
  | { readonly kind: 'stranded'; readonly reason: string };

/** A step of the move as it happened, by the clock of the host named. Times are ms since the epoch, with fractions. */
export interface Phase {
  readonly name: string;
  readonly host: string;
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** One queue that a redirected frame passes, and what it dropped during the move. */
export interface LedgerEntry {
  readonly host: string;
  /** `tap`, `filter`, `tunnel`, `uplink`, `reassembly`. */
  readonly queue: string;
  readonly device: string;
  readonly droppedBefore: number;
  readonly droppedAfter: number;
}

/** What became of the frames of one NIC. Frames as on the wire, not GSO frames. */
export interface NicLedger {
  readonly nic: number;
  /** Into the tunnel at the source. */
  readonly redirected: number;
  /** Out of the tunnel and into the destination's tap. */
  readonly delivered: number;
  /** Of those: before the guest ran there … */
  readonly held: number;
  /** … and after. */
  readonly drained: number;
  /** Group frames that came both ways between the opening of the port and the end of the group redirect: at most this many twice. */
  readonly overlap: number;
  /** Frames left in the destination's tap that the guest has not taken. */
  readonly untaken: boolean;
}

/** What a named prober saw of the move from outside. */
export interface ProbeReport {
  readonly name: string;
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly largestGap: Milliseconds;
}

export interface Receipt {
  readonly move: string;
  readonly vm: string;
  readonly from: string;
  readonly to: string;
  readonly outcome: MoveOutcome;
  readonly startedAt: Milliseconds;
  readonly endedAt: Milliseconds;
  readonly attempts: number;
  readonly phases: readonly Phase[];
  readonly copy: { readonly passes: number; readonly transferredBytes: number; readonly remainingAtSwitchBytes: number };
  readonly times: MoveTimes;
  readonly nics: readonly NicLedger[];
  readonly ledger: readonly LedgerEntry[];
  readonly notes: readonly string[];
}

/** The pause and its parts; undefined where the move did not come so far. */
export interface MoveTimes {
  /** From the order to the running guest at the destination. */
  readonly total: Milliseconds;
  /** The redirect begins → the guest stops. */
  readonly redirectToStop: Milliseconds | undefined;
  /** The guest stops → everything dirty is sent, QEMU asks for leave to go on. */
  readonly lastPass: Milliseconds | undefined;
  /** Leave → the devices' state is sent. */
  readonly deviceState: Milliseconds | undefined;
  /** All is sent → all is loaded; negative when the destination says so first. */
  readonly load: Milliseconds | undefined;
  /** The sum of these three. */
  readonly stopToLoaded: Milliseconds | undefined;
  /** The destination has loaded it → it runs. */
  readonly loadedToResume: Milliseconds | undefined;
  /** The guest stops → it runs: QEMU's STOP and RESUME events. */
  readonly stopToResume: Milliseconds | undefined;
  /** The port at the destination is open → group frames no longer come through the tunnel. */
  readonly groupOverlap: Milliseconds | undefined;
}

/** The drops that happened during the move, queue by queue; empty means that none of them lost anything. */
export const losses = (receipt: Receipt): readonly LedgerEntry[] => receipt.ledger.filter((e) => e.droppedAfter > e.droppedBefore);

/** Frames redirected that never arrived at the destination's tap, over all NICs. */
export const missing = (receipt: Receipt): number => receipt.nics.reduce((sum, n) => sum + Math.max(0, n.redirected - n.delivered), 0);

/** The proof of no loss: everything redirected was delivered and taken, and no queue between dropped anything. */
export function lossless(receipt: Receipt): boolean {
  return receipt.outcome.kind !== 'stranded'
    && losses(receipt).length === 0
    && receipt.nics.every((n) => n.redirected === n.delivered && !n.untaken);
}
