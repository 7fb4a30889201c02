/**
 * protocol/: how peers behave, as state machines: (state, event, now) → (state, effects). No I/O, no clock.
 *
 * The switchover of one live migration, from the running copy to the last drained frame, or back to where it began.
 *
 *   copying ─ redirecting ─ emptying ─ stopping ─ finishing ─ committing ─ releasing ─ handing-over ─ draining ─ done
 *      │           │            │          │           │
 *      └───────────┴────────────┴──────────┴───────────┴── cancelling ─ aborting ─ pausing ─ returning ─ resuming ─ rolled-back
 *
 * Invariants
 * - Godwit picks the moment: `stop` is sent only after the redirect of all NICs was acknowledged and every source tap was
 *   seen empty. A guest that stands still before that is taken back: frames may sit in its taps or in QEMU, where nobody
 *   fetches them. Only where QEMU cannot be kept from switching (`selfSwitch: 'accept'`) is it redirected at once and moved,
 *   `unwatched`: what came before the redirect is then lost, uncounted.
 * - The commit point is the answer to `commit`. Before it every way out ends with the guest at the source; after it none does:
 *   whatever fails then is reported as `stranded`, and the destination is the only one that may run.
 * - The source runs on only after `abort-destination` was answered: the destination's QEMU is gone by then.
 * - Frames that were redirected come back before the guest does, in the order in which they came (`return-held`).
 * - Group frames are handed over once: after the destination's ports are open, the source's group redirect ends.
 */
import { unreachable } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import { type Convergence, type CopySample, judge, type SwitchPolicy, unconverged } from './convergence.ts';

export type SwitchoverState =
  | { readonly phase: 'copying'; readonly convergence: Convergence }
  /** `stopped`: the guest stands still, unasked; `waits`: QEMU waits for leave to send the device state. */
  | { readonly phase: 'redirecting'; readonly stopped: boolean; readonly waits: boolean }
  | { readonly phase: 'emptying'; readonly since: Milliseconds; readonly empties: number }
  /** `unwatched`: the guest stood still before its taps were seen empty. */
  | { readonly phase: 'stopping'; readonly waits: boolean; readonly unwatched: boolean }
  | { readonly phase: 'finishing'; readonly loaded: boolean; readonly sourceDone: boolean }
  | { readonly phase: 'committing' }
  | { readonly phase: 'releasing' }
  | { readonly phase: 'handing-over' }
  | { readonly phase: 'draining'; readonly through: number; readonly quietSince: Milliseconds; readonly since: Milliseconds; readonly announced: number }
  /** `undrained`: why the redirect ends although frames may still come the old way. */
  | { readonly phase: 'done'; readonly undrained?: string }
  | { readonly phase: 'stranded'; readonly reason: string }
  | { readonly phase: 'cancelling'; readonly why: RollBack }
  | { readonly phase: 'aborting'; readonly why: RollBack }
  | { readonly phase: 'pausing'; readonly why: RollBack }
  | { readonly phase: 'returning'; readonly why: RollBack }
  | { readonly phase: 'resuming'; readonly why: RollBack }
  | { readonly phase: 'rolled-back'; readonly reason: string };

/** What has to be undone, and why. */
interface RollBack {
  readonly reason: string;
  readonly redirected: boolean;
}

export type SwitchoverEvent =
  | { readonly kind: 'sample'; readonly sample: CopySample }
  | { readonly kind: 'redirected' }
  /** Is a frame waiting in any of the source's taps? */
  | { readonly kind: 'taps'; readonly waiting: boolean }
  /** The source's guest is stopped, whoever asked: QEMU's event, or the answer to `stop`. */
  | { readonly kind: 'stopped' }
  /** The source's QEMU waits for leave to send the device state. */
  | { readonly kind: 'pre-switchover' }
  | { readonly kind: 'source-completed' }
  | { readonly kind: 'loaded' }
  | { readonly kind: 'committed' }
  | { readonly kind: 'released' }
  | { readonly kind: 'group-ended' }
  /** Frames that have gone through all tunnels so far. */
  | { readonly kind: 'drain'; readonly through: number }
  | { readonly kind: 'cancelled' }
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
  /** The deadline that was armed has passed. */
  | { readonly kind: 'deadline' };

export type SwitchoverEffect =
  /** Ask the source's QEMU how far it is; not before `after`, or at once when a pass ends. */
  | { readonly do: 'sample'; readonly after: Milliseconds }
  | { readonly do: 'redirect' }
  | { readonly do: 'poll-taps' }
  | { readonly do: 'stop' }
  | { readonly do: 'continue' }
  /** Destination: write and sync the record that it is its VM from now on. */
  | { readonly do: 'commit' }
  /** Destination: open the ports, teach the bridge, `cont`: in this order. */
  | { readonly do: 'release' }
  | { readonly do: 'end-group-redirect' }
  | { readonly do: 'announce' }
  | { readonly do: 'read-drain'; readonly after: Milliseconds }
  | { readonly do: 'cancel-copy' }
  | { readonly do: 'abort-destination' }
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

/** Looks at a tap in a row that must all find it empty: a frame may be between the filter and the queue at the first. */
const EMPTIES = 3;
/** Rounds of announcing, one per drain reading, even in a silent network; more while late frames still come. */
const ANNOUNCE_ROUNDS = 4;
const AT_ONCE = ms(0);

type Step = readonly [SwitchoverState, ...SwitchoverEffect[]];

export function begin(): Step {
  return [{ phase: 'copying', convergence: unconverged }, { do: 'sample', after: AT_ONCE }];
}

/** Events that belong to no transition of the state are ignored: answers that come late, QEMU's word repeated. */
export function step(state: SwitchoverState, event: SwitchoverEvent, now: Milliseconds, policy: SwitchoverPolicy): Step {
  if (event.kind === 'failed') return event.during === state.phase ? interrupted(state, event.reason) : [state];
  if (event.kind === 'copy-failed') return settled(state) ? [state] : interrupted(state, event.reason);
  if (event.kind === 'source-ended') return sourceSpent(state) ? [state] : interrupted(state, 'The QEMU at the source ended');
  if (event.kind === 'destination-ended') return 'why' in state ? [state] : lost(state, 'The QEMU at the destination ended');
  if (event.kind === 'cancel') return settled(state) ? [state] : interrupted(state, event.reason);
  if (event.kind === 'deadline') {
    return state.phase === 'stopping' || state.phase === 'finishing' ? interrupted(state, 'The pause outgrew its limit') : [state];
  }
  switch (state.phase) {
    case 'copying': {
      if (standsStill(event)) {
        return policy.selfSwitch === 'refuse'
          ? rollBack({ reason: UNASKED, redirected: false })
          : [{ phase: 'redirecting', stopped: true, waits: event.kind === 'pre-switchover' }, { do: 'redirect' }];
      }
      if (event.kind !== 'sample') return [state];
      const verdict = judge(state.convergence, event.sample, policy);
      switch (verdict.decide) {
        case 'wait': return [{ phase: 'copying', convergence: verdict.convergence }, { do: 'sample', after: verdict.after }];
        case 'switch': return [{ phase: 'redirecting', stopped: false, waits: false }, { do: 'redirect' }];
        case 'give-up': return rollBack({ reason: verdict.reason, redirected: false });
        default: return unreachable(verdict);
      }
    }
    case 'redirecting':
      if (standsStill(event)) {
        return policy.selfSwitch === 'refuse'
          ? rollBack({ reason: UNASKED, redirected: true })
          : [{ phase: 'redirecting', stopped: true, waits: state.waits || event.kind === 'pre-switchover' }];
      }
      if (event.kind !== 'redirected') return [state];
      // A guest that stands still empties nothing any more.
      return state.stopped
        ? stop({ waits: state.waits, unwatched: true }, now, policy)
        : [{ phase: 'emptying', since: now, empties: 0 }, { do: 'poll-taps' }];
    case 'emptying':
      if (standsStill(event)) {
        return policy.selfSwitch === 'refuse'
          ? rollBack({ reason: UNASKED, redirected: true })
          : stop({ waits: event.kind === 'pre-switchover', unwatched: true }, now, policy);
      }
      if (event.kind !== 'taps') return [state];
      if (event.waiting) {
        return now - state.since > policy.maxEmptying
          ? rollBack({ reason: 'The guest does not read its network queues: they did not empty', redirected: true })
          : [{ ...state, empties: 0 }, { do: 'poll-taps' }];
      }
      return state.empties + 1 >= EMPTIES
        ? stop({ waits: false, unwatched: false }, now, policy)
        : [{ ...state, empties: state.empties + 1 }, { do: 'poll-taps' }];
    case 'stopping':
      // The copy may be at its end before QEMU has said that the guest stopped.
      if (event.kind === 'pre-switchover') return [{ ...state, waits: true }];
      if (event.kind !== 'stopped') return [state];
      return [{ phase: 'finishing', loaded: false, sourceDone: false }, ...(state.waits ? [{ do: 'continue' } as const] : [])];
    case 'finishing': {
      if (event.kind === 'pre-switchover') return [state, { do: 'continue' }];
      if (event.kind === 'source-completed') return finishing({ ...state, sourceDone: true });
      return event.kind === 'loaded' ? finishing({ ...state, loaded: true }) : [state];
    }
    case 'committing':
      return event.kind === 'committed' ? [{ phase: 'releasing' }, { do: 'disarm' }, { do: 'release' }] : [state];
    case 'releasing':
      return event.kind === 'released' ? [{ phase: 'handing-over' }, { do: 'end-group-redirect' }] : [state];
    case 'handing-over':
      return event.kind === 'group-ended'
        ? [{ phase: 'draining', through: -1, quietSince: now, since: now, announced: 1 }, { do: 'announce' }, { do: 'read-drain', after: policy.drainInterval }]
        : [state];
    case 'draining':
      return event.kind === 'drain' ? drain(state, event.through, now, policy) : [state];
    case 'cancelling':
      return event.kind === 'cancelled' ? [{ phase: 'aborting', why: state.why }, { do: 'abort-destination' }] : [state];
    case 'aborting':
      if (event.kind !== 'aborted') return [state];
      // The guest must not read while frames are put back in order: stopped, again if QEMU let it run on when it was cancelled.
      return state.why.redirected
        ? [{ phase: 'pausing', why: state.why }, { do: 'stop' }]
        : [{ phase: 'resuming', why: state.why }, { do: 'resume-source' }];
    case 'pausing':
      return event.kind === 'stopped' ? [{ phase: 'returning', why: state.why }, { do: 'return-held' }] : [state];
    case 'returning':
      return event.kind === 'returned' ? [{ phase: 'resuming', why: state.why }, { do: 'resume-source' }] : [state];
    case 'resuming':
      return event.kind === 'resumed' ? [{ phase: 'rolled-back', reason: state.why.reason }] : [state];
    case 'done':
    case 'stranded':
    case 'rolled-back':
      return [state];
    default:
      return unreachable(state);
  }
}

export type SwitchoverEnd = Extract<SwitchoverState, { phase: 'done' | 'stranded' | 'rolled-back' }>;

/** The states that nothing leaves. */
export const isEnd = (state: SwitchoverState): state is SwitchoverEnd => state.phase === 'done' || state.phase === 'stranded' || state.phase === 'rolled-back';

/** The guest stands still; in the phases before `stopping` nobody here has asked for that. */
const standsStill = (event: SwitchoverEvent): boolean => event.kind === 'stopped' || event.kind === 'pre-switchover';
const UNASKED = 'The guest was stopped by somebody else, or QEMU switched by itself, before its network was ready';

/** Also of a guest that stands still: a `stop` more does no harm, and what waits for its answer need not know. */
const stop = (how: { readonly waits: boolean; readonly unwatched: boolean }, now: Milliseconds, policy: SwitchoverPolicy): Step =>
  [{ phase: 'stopping', ...how }, { do: 'arm', at: ms(now + policy.maxPause) }, { do: 'stop' }];

function finishing(state: Extract<SwitchoverState, { phase: 'finishing' }>): Step {
  // Both ends must have said it: a destination that loaded while the source failed has not got a whole guest.
  return state.loaded && state.sourceDone ? [{ phase: 'committing' }, { do: 'commit' }] : [state];
}

function drain(state: Extract<SwitchoverState, { phase: 'draining' }>, through: number, now: Milliseconds, policy: SwitchoverPolicy): Step {
  const moved = through !== state.through;
  const quietSince = moved ? now : state.quietSince;
  if (now - quietSince >= policy.quiet && state.announced >= ANNOUNCE_ROUNDS) return [{ phase: 'done' }];
  if (now - state.since >= policy.maxDrain) {
    return [{ phase: 'done', undrained: `Frames still came the old way after ${policy.maxDrain / 1000} s` }];
  }
  const next: SwitchoverState = { ...state, through, quietSince, announced: state.announced + 1 };
  const again: SwitchoverEffect = { do: 'read-drain', after: policy.drainInterval };
  // A late frame of the source's turns the switches back: say it again while anything still comes the old way.
  return moved || state.announced < ANNOUNCE_ROUNDS ? [next, { do: 'announce' }, again] : [next, again];
}

/** The guest runs at the destination, or has been told to. */
const runsElsewhere = (state: SwitchoverState): boolean =>
  state.phase === 'releasing' || state.phase === 'handing-over' || state.phase === 'draining';

/** The source has sent everything: its QEMU may go. */
const sourceSpent = (state: SwitchoverState): boolean =>
  runsElsewhere(state) || state.phase === 'committing' || (state.phase === 'finishing' && state.sourceDone);

/** The destination's QEMU is gone, and the guest with it once it ran there. */
const lost = (state: SwitchoverState, reason: string): Step => (runsElsewhere(state) ? [{ phase: 'stranded', reason }] : interrupted(state, reason));

/** The move can no longer be called off: it goes back already, or is past the point of no return. */
const settled = (state: SwitchoverState): boolean => 'why' in state || state.phase === 'committing' || runsElsewhere(state) || isEnd(state);

function interrupted(state: SwitchoverState, reason: string): Step {
  switch (state.phase) {
    case 'copying':
      return rollBack({ reason, redirected: false });
    case 'redirecting':
    case 'emptying':
    case 'stopping':
    case 'finishing':
      return rollBack({ reason, redirected: true });
    // In `committing` the record may or may not be on the disk: only the destination knows. Nothing may run until it has said so.
    case 'committing':
    case 'releasing':
      return [{ phase: 'stranded', reason }, { do: 'disarm' }];
    case 'cancelling':
    case 'aborting':
    case 'pausing':
    case 'returning':
    case 'resuming':
      return [{ phase: 'stranded', reason: `${state.why.reason}; then ${state.phase} failed: ${reason}` }, { do: 'disarm' }];
    // The guest runs; what could not be finished is the clearing up behind it.
    case 'handing-over':
    case 'draining':
      return [{ phase: 'done', undrained: reason }];
    case 'done':
    case 'stranded':
    case 'rolled-back':
      return [state];
    default:
      return unreachable(state);
  }
}

const rollBack = (why: RollBack): Step => [{ phase: 'cancelling', why }, { do: 'disarm' }, { do: 'cancel-copy' }];
