/**
 * One virtual router on one host: RFC 9568 §6 (version 3) and RFC 3768 §6 (version 2), as a machine.
 *
 *   initialize, fault ─ start ─→ backup ─ nobody is heard ─→ active          an owner (255) goes to active at once
 *                                backup ←─ a better is heard ─ active
 *   initialize, fault ←─ stop, fault ─ backup
 *   initialize ←─ a successor is heard ─ leaving ←─ stop ─ active ─ fault ─→ fault
 *
 * Invariants
 * - It answers for the addresses from `take` to `release`: in `active`, and in `leaving` after it. Nothing else is ever in force.
 * - A deadline is only decided on by `expire`, which comes after the sockets were drained; an advert counts from when it came in, not
 *   from when it was read. All deadlines are absolute; `deadlineOf` is the earliest.
 * - Who loses a duel releases first and does all else after that.
 * - What a Backup sends is at most a farewell (below), only in answer to its Active, and never more than FAREWELLS of them.
 *
 * Beyond the RFCs
 * - **Silence counts only while this process was awake.** Three adverts have to be missing, so a Backup looks up in the middle between
 *   any two that are due (`watch`), which costs nothing as long as they come. If it finds itself late there, or at the end, by more than
 *   half an interval, it may have slept (stopped, starved, or its whole host was frozen and heard nothing), and it listens for another
 *   interval and skew before it claims anything: a living Active speaks within that time. A sleep that goes unnoticed is shorter
 *   than 1.5 intervals and hides two adverts at most; the third was really missing. After MAX_NAPS such rounds in a row, each with
 *   its sockets drained and nothing in them, it acts all the same: a host that is always late is better than none.
 *   An Active that slept sends at once. It steps back for whom it hears, by the ordinary rules; without preemption also for a weaker one
 *   that took over while it was silent, since to stay would be to preempt it.
 * - **Leaving loses nothing.** The last advert of an Active that stops says priority 0, and its successor takes over after its skew,
 *   at most one interval. Until then nobody else would answer, so the old one does (`leaving`), until it hears its successor, or two
 *   intervals have passed. For a moment both answer; the successor's announcement, sent before its neighbours can tell, ends that.
 *   After a `fault` it has nothing to answer with: it releases at once.
 * - **The interval that is sent is never shorter than `holdable`**, what this host has shown it can hold. Backups adopt it (version 3).
 * - **A duel is not over when one of two Actives yields**, but when a neighbour was seen to use the other (`vrrp-announce.ts`). The other
 *   has to know that there was one: if its advert is the first that gets through, the loser yields unheard, and whoever learnt the
 *   loser's place keeps it. So the loser sends its own advert once more, with its own lesser priority; the winner answers that at once
 *   (RFC 9568 §6.4.3) and announces. Without that answer it says it again to the next advert, a few times; never from the virtual MAC,
 *   which would have the switches send to the loser again.
 * - **Another host under its own address is heard** like any other, since not to hear it would be two Actives. Only what may be its own
 *   advert, come back through a loop, is not acted on. (RFC 9568 says nothing of either.)
 */
import { GodwitError, unreachable } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type AnnounceEffect, type Announcing, announceDue, beginAnnouncing, changeAnnouncing, rivalHeard, used } from './vrrp-announce.ts';
import { becomeActive, common, farewell, left, listen, outranks, preempts, section, sent, stay, watchAfter } from './vrrp-roles.ts';
import {
  type Active, type Backup, type HeardAdvert, type VrrpEffect, type VrrpEvent, type VrrpSettings, type VrrpState, type VrrpStep, deadlineOf, phaseOf,
} from './vrrp-state.ts';
import { adoptedInterval, effectiveInterval, skewTime } from './vrrp-timers.ts';

export { deadlineOf, intervalOf, phaseOf } from './vrrp-state.ts';
export type { HeardAdvert, VrrpEffect, VrrpEvent, VrrpPhase, VrrpSettings, VrrpState, VrrpStep } from './vrrp-state.ts';

/** How often a loser tells its winner. An Active by RFC 5798 or 3768 never answers. */
const FAREWELLS = 10;
/** Rounds of listening anew because it had slept, before it acts all the same. */
const MAX_NAPS = 3;
/** Of the other's intervals: silent for so long it is gone, or yielded. */
const RIVAL_PATIENCE = 2;
/** Of its own intervals: a successor's skew is at most one, and its first advert may be late or lost. */
const LEAVING_PATIENCE = 2;

export const initialVrrp = (settings: VrrpSettings): VrrpState => ({ phase: 'initialize', settings, holdable: ms(0) });

/** Events that mean nothing in a state change nothing. */
export function stepVrrp(state: VrrpState, event: VrrpEvent, now: Milliseconds): VrrpStep {
  switch (event.kind) {
    case 'start': return start(state, event.source, now);
    case 'fault': return fault(state, event.reason);
    case 'stop': return stop(state, event.reason, now);
    case 'advert': return advert(state, event.advert, now);
    case 'expire': return expire(state, now);
    case 'priority':
      if (event.priority === state.settings.priority) return stay(state);
      return change(state, { ...state.settings, priority: event.priority }, now, `Priority ${event.priority}: ${event.because}`);
    case 'group': return group(state, event, now);
    case 'settings': return change(state, event.settings, now, undefined);
    case 'holdable': return hold(state, event.interval, now);
    case 'used': {
      if (state.phase !== 'active') return stay(state);
      const [announcing, ...effects] = used(state.announcing, state.settings.announce, now);
      return stay({ ...state, announcing }, ...effects);
    }
    default: return unreachable(event);
  }
}

function start(state: VrrpState, source: IpAddress, now: Milliseconds): VrrpStep {
  switch (state.phase) {
    case 'backup':
    case 'active': return stay({ ...state, source });
    case 'leaving': {
      // What it still holds it holds for a successor: a Backup must not answer.
      const { state: after, effects } = start({ ...common(state), phase: 'initialize' }, source, now);
      return stay(after, { do: 'release' }, ...effects);
    }
    case 'initialize':
    case 'fault': {
      const from = state.phase;
      if (state.settings.priority === 255) {
        const rule = 'Startup, and it owns the addresses';
        return becomeActive(state, source, from, section(state, rule, rule, '6.4.1'), now);
      }
      return stay(
        listen(state, source, effectiveInterval(state.settings, state.holdable), now),
        { do: 'transition', from, to: 'backup', rule: section(state, 'Startup', 'Startup', '6.4.1') },
      );
    }
    default: return unreachable(state);
  }
}

function fault(state: VrrpState, reason: string): VrrpStep {
  const to: VrrpState = { ...common(state), phase: 'fault', reason };
  const from = phaseOf(state);
  const transition: VrrpEffect = { do: 'transition', from, to: 'fault', rule: reason };
  switch (state.phase) {
    case 'fault': return stay(to);
    case 'initialize':
    case 'backup': return stay(to, transition);
    case 'leaving': return stay(to, { do: 'release' }, transition);
    case 'active': return stay(to, { do: 'release' }, left(state), transition);
    default: return unreachable(state);
  }
}

function stop(state: VrrpState, reason: string, now: Milliseconds): VrrpStep {
  const end: VrrpState = { ...common(state), phase: 'initialize' };
  switch (state.phase) {
    case 'initialize':
    case 'leaving': return stay(state);
    case 'fault': return stay(end, { do: 'transition', from: 'fault', to: 'initialize', rule: reason });
    case 'backup': {
      const rule = `${section(state, 'Shutdown', 'Shutdown', '6.4.2')}: ${reason}`;
      return stay(end, { do: 'transition', from: 'backup', to: 'initialize', rule });
    }
    case 'active': {
      const rule = `${section(state, 'Shutdown', 'Shutdown', '6.4.3')}: ${reason}`;
      const until = ms(now + LEAVING_PATIENCE * effectiveInterval(state.settings, state.holdable));
      const transition: VrrpEffect = { do: 'transition', from: 'active', to: 'initialize', rule };
      return stay({ ...common(state), phase: 'leaving', source: state.source, until }, sent(state, 0), transition);
    }
    default: return unreachable(state);
  }
}

function advert(state: VrrpState, heard: HeardAdvert, now: Milliseconds): VrrpStep {
  switch (state.phase) {
    case 'initialize':
    case 'fault': return stay(state);
    case 'leaving': {
      if (heard.priority === 0 || heard.from.equals(state.source)) return stay(state);
      return stay({ ...common(state), phase: 'initialize' }, { do: 'release' }, { do: 'note', rule: `Left: ${heard.from} has taken over` });
    }
    case 'backup': return advertInBackup(state, heard, now);
    case 'active': return advertInActive(state, heard, now);
    default: return unreachable(state);
  }
}

function advertInBackup(state: Backup, heard: HeardAdvert, now: Milliseconds): VrrpStep {
  const { settings } = state;
  const { priority, interval, at } = heard;
  if (priority === 0) {
    // Its own, come back: it has left already.
    if (heard.from.equals(state.source)) return stay(state);
    return stay({ ...state, activeDown: ms(at + skewTime(settings, state.activeInterval)), watch: watchAfter(at, state.activeInterval), naps: 0 });
  }
  const weaker = priority < settings.priority && preempts(settings);
  const weakerSince = weaker ? state.weakerSince ?? at : undefined;
  // RFC 9568 §6.4.2: discarded, so that the timer runs on.
  if (weakerSince !== undefined && at >= weakerSince + settings.preemptDelay) return stay({ ...state, weakerSince });
  const after: Backup = { ...listen(state, state.source, adoptedInterval(settings, interval), at), weakerSince };
  const { farewell: pending } = state;
  // Between two adverts that are due there is none, but the answer. Nor is there a farewell to one that it has come to outrank.
  const answered = pending && at - pending.said < interval / 2;
  if (!pending || answered || pending.left === 0 || !outranks(heard, state)) return stay(after);
  return stay({ ...after, farewell: { left: pending.left - 1, said: now } }, farewell(state, interval));
}

function advertInActive(state: Active, heard: HeardAdvert, now: Milliseconds): VrrpStep {
  const { settings, source } = state;
  const { priority, from, at } = heard;
  const interval = effectiveInterval(settings, state.holdable);
  // Perhaps its own, come back through a loop: to answer it would be to answer it for ever. Another priority must be another host's.
  if (from.equals(source) && (priority === settings.priority || priority === 0)) return stay(state);
  const asleep = !preempts(settings) && priority > 0 && at > state.nextAdvert + RIVAL_PATIENCE * interval;
  if (outranks(heard, state) || asleep) {
    const text = `Advert of ${priority} from ${from}`;
    const rule = asleep ? `${from} took over while this process slept` : section(state, text, text, '6.4.3');
    const backup = listen(state, source, adoptedInterval(settings, heard.interval), at);
    const lost: VrrpEffect[] = [{ do: 'duel', with: from, won: false }, { do: 'transition', from: 'active', to: 'backup', rule }];
    // Who is weaker must not hear of a stronger one, it would step back too; but that it was not alone.
    return outranks(heard, state)
      ? stay({ ...backup, farewell: { left: FAREWELLS - 1, said: now } }, { do: 'release' }, farewell(state, heard.interval), ...lost)
      : stay(backup, { do: 'release' }, left(state), ...lost);
  }
  // RFC 9568 §6.4.3: at once, to turn the switches back as well, and to one that leaves too. (RFC 3768 only discards the advert of a
  // weaker one; nobody minds an advert more.)
  const patience = priority === 0 ? ms(0) : ms(RIVAL_PATIENCE * heard.interval);
  const [announcing, ...effects] = rivalHeard(state.announcing, from, at, patience, now);
  return stay({ ...state, nextAdvert: ms(now + interval), announcing }, sent(state), ...effects);
}

function expire(state: VrrpState, now: Milliseconds): VrrpStep {
  const due = deadlineOf(state);
  if (due === undefined || now < due) return stay(state);
  switch (state.phase) {
    case 'initialize':
    case 'fault': return stay(state);
    case 'leaving':
      return stay({ ...common(state), phase: 'initialize' }, { do: 'release' }, { do: 'note', rule: 'Left: nobody was heard to take over' });
    case 'backup': return expireBackup(state, ms(now - due), now);
    case 'active': return expireActive(state, now);
    default: return unreachable(state);
  }
}

function expireBackup(state: Backup, late: Milliseconds, now: Milliseconds): VrrpStep {
  const { settings, activeInterval, naps } = state;
  const watch = ms(now + activeInterval);
  if (late > activeInterval / 2 && naps < MAX_NAPS) {
    const activeDown = ms(Math.max(state.activeDown, now + activeInterval + skewTime(settings, activeInterval)));
    return stay({ ...state, activeDown, watch, naps: naps + 1 }, { do: 'note', rule: `overslept by ${late.toFixed(1)} ms: it listens again` });
  }
  if (now < state.activeDown) return stay({ ...state, watch });
  return becomeActive(state, state.source, 'backup', section(state, 'Active_Down_Timer', 'Master_Down_Timer', '6.4.2'), now);
}

function expireActive(state: Active, now: Milliseconds): VrrpStep {
  const interval = effectiveInterval(state.settings, state.holdable);
  const late = now - state.nextAdvert;
  const [announcing, ...announce] = announceDue(state.announcing, state.settings.announce, now);
  if (late < 0) return stay({ ...state, announcing }, ...announce);
  // In step with itself as long as it keeps pace.
  const nextAdvert = ms(late < interval / 2 ? state.nextAdvert + interval : now + interval);
  const slept: VrrpEffect[] = late > interval ? [{ do: 'note', rule: `overslept by ${late.toFixed(1)} ms: its advert was late` }] : [];
  return stay({ ...state, nextAdvert, announcing }, sent(state), ...announce, ...slept);
}

function group(state: VrrpState, { to, because, again }: Extract<VrrpEvent, { kind: 'group' }>, now: Milliseconds): VrrpStep {
  const rule = `Sync group: ${because}`;
  const own = effectiveInterval(state.settings, state.holdable);
  if (to === 'active') return state.phase === 'backup' ? becomeActive(state, state.source, 'backup', rule, now) : stay(state);
  if (state.phase === 'backup') return stay(listen(state, state.source, state.activeInterval, now), ...(again ? [] : [{ do: 'note', rule } as const]));
  if (state.phase !== 'active') return stay(state);
  // Priority 0, so that the other host's member need not wait, or knows that it was not alone.
  const backup: Backup = { ...listen(state, state.source, own, now), farewell: { left: FAREWELLS, said: now } };
  return stay(backup, { do: 'release' }, left(state), { do: 'transition', from: 'active', to: 'backup', rule });
}

function hold(state: VrrpState, holdable: Milliseconds, now: Milliseconds): VrrpStep {
  const before = effectiveInterval(state.settings, state.holdable);
  const after = { ...state, holdable };
  const { interval, version } = state.settings;
  if (version === 2) {
    const told = holdable > interval && state.holdable <= interval;
    const rule = `This host cannot hold ${interval} ms between adverts, only ${holdable} ms, and version 2 cannot say so`;
    return told ? stay(after, { do: 'note', rule }) : stay(after);
  }
  const effective = effectiveInterval(after.settings, holdable);
  if (effective === before) return stay(after);
  const note: VrrpEffect = { do: 'note', rule: `Interval ${effective} ms, configured ${interval} ms: this host can hold ${holdable} ms` };
  return after.phase === 'active' ? stay({ ...after, nextAdvert: ms(now + effective) }, sent(after), note) : stay(after, note);
}

/** Other settings, or another priority: whatever of it others must know is sent at once, and nothing else is touched. */
function change(state: VrrpState, settings: VrrpSettings, now: Milliseconds, rule: string | undefined): VrrpStep {
  const old = state.settings;
  if (settings.vrid !== old.vrid || settings.version !== old.version) {
    const [is, wanted] = [old, settings].map(({ vrid, version }) => `VRID ${vrid} of version ${version}`);
    throw new GodwitError('VRRP_ANOTHER_ROUTER', `${is} cannot become ${wanted}. Stop it and begin the other.`);
  }
  const note: VrrpEffect[] = rule === undefined ? [] : [{ do: 'note', rule }];
  if (state.phase === 'backup') {
    if (settings.priority === 255 && old.priority !== 255) {
      return becomeActive({ ...state, settings }, state.source, 'backup', 'It owns the addresses now', now);
    }
    // Ranks among Backups are in the skew: the timer that runs gets the new one.
    const skewed = skewTime(settings, state.activeInterval) - skewTime(old, state.activeInterval);
    return stay({ ...state, settings, activeDown: ms(state.activeDown + skewed) }, ...note);
  }
  if (state.phase !== 'active') return stay({ ...state, settings }, ...note);
  const add = settings.addresses.filter((one) => !old.addresses.some((other) => other.equals(one)));
  const remove = old.addresses.filter((one) => !settings.addresses.some((other) => other.equals(one)));
  const readdressed = add.length + remove.length > 0;
  const interval = effectiveInterval(settings, state.holdable);
  const told = readdressed || settings.priority !== old.priority || interval !== effectiveInterval(old, state.holdable);
  const [announcing, ...announce]: readonly [Announcing, ...AnnounceEffect[]] = add.length > 0 && !state.announcing.duel
    ? beginAnnouncing(settings.announce, now)
    : [changeAnnouncing(state.announcing, settings.announce, now), ...(add.length > 0 ? [{ do: 'announce' } as const] : [])];
  const after: Active = { ...state, settings, announcing, nextAdvert: told ? ms(now + interval) : state.nextAdvert };
  const readdress: VrrpEffect[] = readdressed ? [{ do: 'readdress', add, remove }] : [];
  return stay(after, ...readdress, ...(told ? [sent(after)] : []), ...announce, ...note);
}
