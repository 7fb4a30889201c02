/** One move of one VM: its phases, its ledger, its receipt. The receipt is written once, at the end, and never changed. */
import type { Milliseconds } from '../base/units.ts';

export type MoveOutcome =
  /** `undrained`: why the redirect at the source was taken away although frames may still have come the old way. */
  | { readonly kind: 'moved'; readonly undrained?: string }
  /** Back at the source, running; `reason` says why. */
  | { readonly kind: 'rolled-back'; readonly reason: string }
  /** It is there and does not run: for a person to look at. */
  | { readonly kind: 'stranded'; readonly reason: string }
  /** Its QEMU ended, at one end before the commit or at the other after it: it runs nowhere. */
  | { readonly kind: 'dead'; readonly reason: string; readonly at: 'source' | 'destination' };

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
  /** Group frames redirected from the guest's stop to the end of the group redirect: at most this many can have come both ways. */
  readonly overlap: number;
  /** Frames left in the destination's tap that the guest has not taken. */
  readonly untaken: boolean;
}

/**
 * What the hosts saw of one NIC by asking the guest for an address of its: at the source every 50 ms until the redirect begins, at
 * the destination every 2 ms from the release to the first answer. Times are ms since the epoch, by the clock of the host where
 * the answer came in; undefined where none did.
 */
export interface HostProbe {
  readonly nic: number;
  /** How, and from which two hosts: `ARP from h1/h2`, `NS from h1/h2`. */
  readonly name: string;
  /** Questions of both hosts, and those that were answered. */
  readonly sent: number;
  readonly answered: number;
  readonly lastAnswerAt: Milliseconds | undefined;
  readonly firstAnswerAt: Milliseconds | undefined;
  /**
   * Last answer → first answer: never less than the guest was unreachable, more by up to 50 ms and the time redirect → STOP. As
   * good as the two clocks agree.
   */
  readonly gap: Milliseconds | undefined;
  /** The guest runs at the destination (RESUME) → its first answer there. */
  readonly resumeToFirstAnswer: Milliseconds | undefined;
}

export interface Receipt {
  readonly move: string;
  readonly vm: string;
  readonly from: string;
  readonly to: string;
  readonly outcome: MoveOutcome;
  readonly startedAt: Milliseconds;
  readonly endedAt: Milliseconds;
  /** QEMU switched by itself, before the taps were seen empty behind the redirect: what they held is gone, and in no counter. */
  readonly unwatched: boolean;
  readonly phases: readonly Phase[];
  readonly copy: { readonly passes: number; readonly transferredBytes: number; readonly remainingAtSwitchBytes: number };
  readonly times: MoveTimes;
  readonly nics: readonly NicLedger[];
  readonly ledger: readonly LedgerEntry[];
  /** One per NIC with an address. */
  readonly hostProbes: readonly HostProbe[];
  readonly notes: readonly string[];
}

/** The pause and its parts; undefined where the move did not come so far. */
export interface MoveTimes {
  /** From the order to the running guest at the destination. */
  readonly total: Milliseconds;
  /** The redirect begins → the guest stops; negative when QEMU switched by itself before. */
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

/** Counters that are lower than before: reset, or another device's. What they count is not known. */
export const wentBack = (receipt: Receipt): readonly LedgerEntry[] => receipt.ledger.filter((e) => e.droppedAfter < e.droppedBefore);

/**
 * The proof of no loss: everything redirected was delivered and taken, the redirect stayed as long as it was needed, and no queue
 * between dropped anything. Nothing read is no proof, unless there is no NIC.
 */
export function lossless(receipt: Receipt): boolean {
  const { outcome, ledger, nics, unwatched } = receipt;
  return outcome.kind !== 'stranded' && outcome.kind !== 'dead'
    && (outcome.kind !== 'moved' || outcome.undrained === undefined)
    && !unwatched
    && (nics.length === 0 || ledger.length > 0)
    && losses(receipt).length === 0
    && wentBack(receipt).length === 0
    && nics.every((n) => n.redirected === n.delivered && !n.untaken);
}
