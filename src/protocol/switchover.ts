/**
 * protocol/: how peers behave, as state machines: (state, event, now) → (state, effects). No I/O, no clock.
 *
 * The switchover of one live migration, from the running copy to the last drained frame, or back to where it began. It is run by
 * the source's agent; the destination answers for its own side and, once permitted and loaded, commits by itself.
 *
 *   copying ─ permitting ─ redirecting ─ emptying ─ stopping ─ finishing ─ handing-over ─ draining ─ done
 *      │           │            │           │          │           │            ↑
 *      └───────────┴────────────┴───────────┴──────────┴───────────┴─ aborting ⇄ in-doubt
 *                                                                        └ cancelling ─ pausing ─ returning ─ resuming ─ rolled-back
 *
 * Invariants
 * - Godwit picks the moment: `stop` is sent only after the redirect of all NICs was acknowledged and every source tap was
 *   seen empty. A guest that stands still before that is taken back: frames may sit in its taps or in QEMU, where nobody
 *   fetches them. Only where QEMU cannot be kept from switching (`selfSwitch: 'accept'`) is it redirected at once and moved,
 *   `unwatched`: what came before the redirect is then lost, uncounted.
 * - The commit point is a record in the destination's journal, and the destination's alone. It can be written only between
 *   `permit` and the answer to `abort-destination`. That answer is the journal's word: `aborted`, and the guest is the source's
 *   again; or `committed`, and the move goes on, whatever was wrong. It is had before the copy is cancelled: a QEMU that stopped the
 *   guest by itself lets it run on when its copy is cancelled or fails.
 * - Without that word nothing runs: `in-doubt` asks until it has it. Before `stop` there is nothing to doubt: the source sends
 *   its last page after that.
 * - Frames that were redirected come back before the guest does, in the order in which they came (`return-held`).
 * - Group frames are handed over once: after the destination's ports are open, the source's group redirect ends.
 */
import { unreachable } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import { judge, unconverged } from './convergence.ts';
import type { RollBack, SwitchoverEffect, SwitchoverEvent, SwitchoverPolicy, SwitchoverState } from './switchover-state.ts';

export type { RollBack, SwitchoverEffect, SwitchoverEvent, SwitchoverPolicy, SwitchoverState } from './switchover-state.ts';

/** Looks at a tap in a row that must all find it empty: a frame may be between the filter and the queue at the first. */
const EMPTIES = 3;
/** Rounds of announcing, one per drain reading, even in a silent network; more while late frames still come. */
const ANNOUNCE_ROUNDS = 4;
const AT_ONCE = ms(0);

type Step = readonly [SwitchoverState, ...SwitchoverEffect[]];

export function begin(): Step {
  return [{ phase: 'copying', convergence: unconverged }, { do: 'sample', after: AT_ONCE }];
}

/** After a restart of the source's agent: nothing is known but what is written down. The move goes back, or turns out to be committed. */
export function beginBack(why: RollBack): Step {
  return back(why);
}

/** Events that belong to no transition of the state are ignored: answers that come late, QEMU's word repeated. */
export function step(state: SwitchoverState, event: SwitchoverEvent, now: Milliseconds, policy: SwitchoverPolicy): Step {
  switch (event.kind) {
    case 'failed': return event.during === state.phase ? interrupted(state, event.reason) : [state];
    case 'copy-failed':
    case 'cancel': return settled(state) ? [state] : interrupted(state, event.reason);
    case 'destination-lost': return 'why' in state || isEnd(state) ? [state] : interrupted(state, event.reason);
    case 'destination-ended': return destinationEnded(state);
    case 'source-ended': return sourceEnded(state);
    case 'deadline': return state.phase === 'stopping' || state.phase === 'finishing' ? interrupted(state, 'The pause outgrew its limit') : [state];
    default: break;
  }
  switch (state.phase) {
    case 'copying': {
      if (standsStill(event)) {
        return policy.selfSwitch === 'refuse'
          ? interrupted(state, UNASKED)
          : [{ phase: 'permitting', stopped: true, waits: event.kind === 'pre-switchover' }, { do: 'permit' }];
      }
      if (event.kind !== 'sample') return [state];
      const verdict = judge(state.convergence, event.sample, policy);
      switch (verdict.decide) {
        case 'wait': return [{ phase: 'copying', convergence: verdict.convergence }, { do: 'sample', after: verdict.after }];
        case 'switch': return [{ phase: 'permitting', stopped: false, waits: false }, { do: 'permit' }];
        case 'give-up': return interrupted(state, verdict.reason);
        default: return unreachable(verdict);
      }
    }
    case 'permitting':
    case 'redirecting':
      if (standsStill(event)) {
        return policy.selfSwitch === 'refuse'
          ? interrupted(state, UNASKED)
          : [{ ...state, stopped: true, waits: state.waits || event.kind === 'pre-switchover' }];
      }
      if (state.phase === 'permitting') return event.kind === 'permitted' ? [{ ...state, phase: 'redirecting' }, { do: 'redirect' }] : [state];
      if (event.kind !== 'redirected') return [state];
      // A guest that stands still empties nothing any more.
      return state.stopped
        ? stop({ waits: state.waits, unwatched: true }, now, policy)
        : [{ phase: 'emptying', since: now, empties: 0 }, { do: 'poll-taps' }];
    case 'emptying':
      if (standsStill(event)) {
        return policy.selfSwitch === 'refuse'
          ? interrupted(state, UNASKED)
          : stop({ waits: event.kind === 'pre-switchover', unwatched: true }, now, policy);
      }
      if (event.kind !== 'taps') return [state];
      if (event.waiting) {
        return now - state.since > policy.maxEmptying
          ? interrupted(state, 'The guest does not read its network queues, they did not empty: is it still booting, or does it hang?')
          : [{ ...state, empties: 0 }, { do: 'poll-taps' }];
      }
      return state.empties + 1 >= EMPTIES
        ? stop({ waits: false, unwatched: false }, now, policy)
        : [{ ...state, empties: state.empties + 1 }, { do: 'poll-taps' }];
    case 'stopping':
      // The copy may be at its end before QEMU has said that the guest stopped.
      if (event.kind === 'pre-switchover') return [{ ...state, waits: true }];
      if (event.kind === 'committed') return handOver();
      if (event.kind !== 'stopped') return [state];
      return [{ phase: 'finishing', sourceDone: false, guestGone: false }, ...(state.waits ? [{ do: 'continue' } as const] : [])];
    case 'finishing':
      if (event.kind === 'pre-switchover') return [state, { do: 'continue' }];
      if (event.kind === 'source-completed') return [{ ...state, sourceDone: true }];
      return event.kind === 'committed' ? handOver() : [state];
    case 'handing-over':
      return event.kind === 'group-ended'
        ? [{ phase: 'draining', through: -1, quietSince: now, since: now, announced: 1 }, { do: 'announce' }, { do: 'read-drain', after: policy.drainInterval }]
        : [state];
    case 'draining':
      return event.kind === 'drain' ? drain(state, event.through, now, policy) : [state];
    case 'aborting':
    case 'in-doubt':
      if (event.kind === 'committed') return taken(state.why);
      return event.kind === 'aborted' ? cancelCopy(state.why) : [state];
    case 'cancelling':
      return event.kind === 'cancelled' ? comeBack(state.why) : [state];
    case 'pausing':
      return event.kind === 'stopped' ? [{ phase: 'returning', why: state.why }, { do: 'return-held' }] : [state];
    case 'returning':
      return event.kind === 'returned' ? [{ phase: 'resuming', why: state.why }, { do: 'resume-source' }] : [state];
    case 'resuming':
      return event.kind === 'resumed' ? [{ phase: 'rolled-back', reason: state.why.reason }] : [state];
    case 'done':
    case 'rolled-back':
    case 'stranded':
    case 'dead':
      return [state];
    default:
      return unreachable(state);
  }
}

export type SwitchoverEnd = Extract<SwitchoverState, { phase: 'done' | 'rolled-back' | 'stranded' | 'dead' }>;

/** The states that nothing leaves. */
export const isEnd = (state: SwitchoverState): state is SwitchoverEnd =>
  state.phase === 'done' || state.phase === 'rolled-back' || state.phase === 'stranded' || state.phase === 'dead';

/** The guest stands still; in the phases before `stopping` nobody here has asked for that. */
const standsStill = (event: SwitchoverEvent): boolean => event.kind === 'stopped' || event.kind === 'pre-switchover';
const UNASKED = 'The guest was stopped by somebody else, or QEMU switched by itself, before its network was ready';
const SOURCE_ENDED = 'The QEMU at the source ended';
const DESTINATION_ENDED = 'The QEMU at the destination ended';
const diedThere: SwitchoverState = { phase: 'dead', at: 'destination', reason: `${DESTINATION_ENDED} after it had taken the guest over` };

/** Also of a guest that stands still: a `stop` more does no harm, and what waits for its answer need not know. */
const stop = (how: { readonly waits: boolean; readonly unwatched: boolean }, now: Milliseconds, policy: SwitchoverPolicy): Step =>
  [{ phase: 'stopping', ...how }, { do: 'arm', at: ms(now + policy.maxPause) }, { do: 'stop' }];

/** The destination's journal says `committed`. Where that cannot be, it is another's word: what runs here must not be ended for it. */
function taken(why: RollBack): Step {
  if (!why.permitted) return [{ phase: 'stranded', reason: `${why.reason}; then the destination says that it has taken over what it was never given` }];
  return why.destinationGone ? [diedThere] : handOver();
}

/** The guest runs at the destination. */
const handOver = (): Step => [{ phase: 'handing-over' }, { do: 'disarm' }, { do: 'end-group-redirect' }];

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

/** The guest runs at the destination, and that is known. */
const runsElsewhere = (state: SwitchoverState): boolean => state.phase === 'handing-over' || state.phase === 'draining';

/** The move can no longer be called off: it goes back already, or is past the point of no return. */
const settled = (state: SwitchoverState): boolean => 'why' in state || runsElsewhere(state) || isEnd(state);

function destinationEnded(state: SwitchoverState): Step {
  if (runsElsewhere(state)) return [diedThere];
  if ('why' in state) return [{ ...state, why: { ...state.why, destinationGone: true } }];
  return isEnd(state) ? [state] : interrupted(state, DESTINATION_ENDED, { destinationGone: true });
}

function sourceEnded(state: SwitchoverState): Step {
  switch (state.phase) {
    case 'finishing':
      // It may have sent everything: the destination will load it, or say that it could not.
      return [{ ...state, guestGone: true }];
    case 'aborting':
    case 'in-doubt':
      return [{ ...state, why: { ...state.why, guestGone: true } }];
    case 'cancelling':
    case 'pausing':
    case 'returning':
    case 'resuming':
      return [dead(state.why)];
    default:
      return settled(state) ? [state] : interrupted(state, SOURCE_ENDED, { guestGone: true });
  }
}

const dead = ({ reason }: RollBack): SwitchoverState =>
  ({ phase: 'dead', at: 'source', reason: reason === SOURCE_ENDED ? reason : `${reason}; then ${SOURCE_ENDED[0]?.toLowerCase()}${SOURCE_ENDED.slice(1)}` });

type Gone = Partial<Pick<RollBack, 'guestGone' | 'destinationGone'>>;

function interrupted(state: SwitchoverState, reason: string, { guestGone = false, destinationGone = false }: Gone = {}): Step {
  switch (state.phase) {
    case 'copying':
    // A destination with a permit has nothing to commit before the source has sent all, which it does not before our `stop`.
    case 'permitting':
      return back({ reason, redirected: false, permitted: false, guestGone, destinationGone });
    case 'redirecting':
    case 'emptying':
      return back({ reason, redirected: true, permitted: false, guestGone, destinationGone });
    case 'stopping':
      return back({ reason, redirected: true, permitted: true, guestGone, destinationGone });
    case 'finishing':
      return back({ reason, redirected: true, permitted: true, guestGone: guestGone || state.guestGone, destinationGone });
    case 'aborting':
      // Without a permit it never commits, and gives up by itself when it hears nothing.
      return state.why.permitted ? [{ phase: 'in-doubt', why: state.why }, { do: 'ask' }] : cancelCopy(state.why);
    case 'in-doubt':
      return [state, { do: 'ask' }];
    // The destination never runs it, whatever the copy does. At worst QEMU lets the guest run on later, and it reads frames out of
    // their order: better than a guest that stays away.
    case 'cancelling':
      return comeBack(state.why);
    case 'pausing':
    case 'returning':
    case 'resuming':
      return [{ phase: 'stranded', reason: `${state.why.reason}; then ${state.phase} failed: ${reason}` }];
    // The guest runs; what could not be finished is the clearing up behind it.
    case 'handing-over':
    case 'draining':
      return [{ phase: 'done', undrained: reason }];
    case 'done':
    case 'rolled-back':
    case 'stranded':
    case 'dead':
      return [state];
    default:
      return unreachable(state);
  }
}

const back = (why: RollBack): Step => [{ phase: 'aborting', why }, { do: 'disarm' }, { do: 'abort-destination' }];

/** The destination will never run it. */
const cancelCopy = (why: RollBack): Step => (why.guestGone ? [dead(why)] : [{ phase: 'cancelling', why }, { do: 'cancel-copy' }]);

function comeBack(why: RollBack): Step {
  // The guest must not read while frames are put back in order: stopped, again if QEMU let it run on when it was cancelled.
  return why.redirected
    ? [{ phase: 'pausing', why }, { do: 'stop' }]
    : [{ phase: 'resuming', why }, { do: 'resume-source' }];
}
