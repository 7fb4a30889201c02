/**
 * pulse/: everything on a host that has a deadline under a second, in a process of its own: small heap, real-time scheduling where the
 * host allows it, memory locked, no API and no store in it. It outlives the agent; the agent starts it, tells it what is wanted, and
 * takes back what it held when it dies.
 *
 * What agent and pulse tell each other: lines of JSON on the unix socket `pulse.sock` in the agent's run directory. Both directions are
 * whole states, so a line may be lost with a connection: each end tells all it has when one is made. Only transitions are kept until
 * they are `seen`.
 */
import type { BfdSessionPlan, BfdStatus, BfdTransition } from '../model/bfd-session.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import type { PeerOpinion } from '../protocol/failure-detector.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../model/virtual-router.ts';

export type PulseCommand =
  /** All that this host is to take part in. Routers whose plan did not change are not touched. */
  | { readonly kind: 'routers'; readonly routers: readonly RouterPlan[] }
  /**
   * All BFD sessions of this host. Those whose plan did not change are not touched. `keys`: by file name, base64: the pulse reads no files.
   */
  | {
    readonly kind: 'sessions'; readonly sessions: readonly BfdSessionPlan[]; readonly keys: Readonly<Record<string, string>>;
    readonly detector: WatchPlan['detector'];
  }
  /** Of what a pulse does not look at itself (processes, scripts), by `trackKey`; those not listed are not known and count as up. */
  | { readonly kind: 'tracks'; readonly up: Readonly<Record<string, boolean>> }
  /** Transitions up to this sequence need not be told again. */
  | { readonly kind: 'seen'; readonly sequence: number }
  /** Leave every router in good order (priority 0) and end. */
  | { readonly kind: 'end'; readonly reason: string };

export type PulseMessage =
  /** First on each connection. `pulse`: new with every start. */
  | { readonly kind: 'hello'; readonly pulse: string; readonly pid: number; readonly version: string }
  /** Every second, and at once when something changed (at most every 50 ms). */
  | { readonly kind: 'status'; readonly routers: Readonly<Record<string, RouterStatus>> }
  | { readonly kind: 'transition'; readonly transition: RouterTransition }
  /** As `status`, of BFD. `drops`: of all that came to BFD's ports and was not taken, by reason. `opinions`: of each other host. */
  | {
    readonly kind: 'sessions'; readonly sessions: Readonly<Record<string, BfdStatus>>; readonly drops: Readonly<Record<string, number>>;
    readonly opinions: readonly PeerOpinion[];
  }
  /** Numbered in one count with those of routers. */
  | { readonly kind: 'session-transition'; readonly transition: BfdTransition }
  /** A session's plan that cannot be carried out; all others are as they were. */
  | { readonly kind: 'refused-session'; readonly session: string; readonly reason: string }
  /** A plan that cannot be carried out: its router is in `fault` for this reason, all others are as they were. */
  | { readonly kind: 'refused'; readonly router: string; readonly reason: string };
