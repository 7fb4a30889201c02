/** Transitions of virtual routers and BFD sessions: each becomes an event with its evidence, once, however often its agent tells it. */
import type { ReportAnswer } from '../api/agent-protocol.ts';
import type { Milliseconds } from '../base/units.ts';
import type { BfdTransition } from '../model/bfd-session.ts';
import type { EventSpec, Severity } from '../model/event.ts';
import type { RouterTransition } from '../model/virtual-router.ts';
import { bfdDiagnostics } from '../wire/bfd.ts';
import type { Draft, View } from './draft.ts';
import type { EventLimit } from './event-limit.ts';
import { record } from './events.ts';
import type { HostRecord } from './records.ts';
import { type Mark, newOf, storedOf } from './told-once.ts';

/** One that is told later than this has its own time in its text: the event's is that of its being told. ms. */
const LATE = 5000;

export type Transition = RouterTransition | BfdTransition;

export interface Telling {
  readonly limit: EventLimit;
  /** ms since the epoch. */
  readonly time: number;
  /** Monotonic. */
  readonly at: Milliseconds;
}

const routerReasons = { active: 'RouterActive', backup: 'RouterBackup', fault: 'RouterFault', initialize: 'RouterInitialize' } as const;

export function hearTransitions(draft: Draft, host: string, transitions: readonly Transition[], telling: Telling): void {
  const known = draft.get('hosts', host);
  if (!known || transitions.length === 0) return;
  const { items, marks } = newOf(transitions, markOf, marksOf(known));
  if (items.length === 0) return;
  for (const transition of items) {
    const event = 'router' in transition ? routerEvent(host, transition, telling.time) : sessionEvent(host, transition, telling.time);
    if (!event) continue;
    const limited = 'session' in transition && !telling.limit.admits(event, `${transition.pulse} ${transition.sequence}`, telling.at);
    if (!limited) record(draft, event);
  }
  draft.put('hosts', host, { ...known, pulses: marks.map(({ maker, sequence }) => ({ pulse: maker, sequence })) });
}

export function storedTransition(view: View, host: string, transitions: readonly Transition[]): ReportAnswer['transitions'] {
  const known = view.get('hosts', host);
  const stored = known && storedOf(transitions, markOf, marksOf(known));
  return stored && { pulse: stored.maker, sequence: stored.sequence };
}

const markOf = ({ pulse, sequence }: Transition): Mark => ({ maker: pulse, sequence });
const marksOf = ({ pulses = [] }: HostRecord): Mark[] => pulses.map(({ pulse, sequence }) => ({ maker: pulse, sequence }));

/** By its host's clock, where that is not just now. */
export const whenLate = (at: number, now: number): string =>
  (Math.abs(now - at) > LATE ? ` (at ${new Date(at).toISOString()} by its clock)` : '');

function routerEvent(host: string, transition: RouterTransition, now: number): EventSpec {
  const { router: name, from, to, at } = transition;
  const severity: Severity = to === 'fault' ? 'warning' : 'info';
  return {
    at: now, severity, about: { kind: 'VirtualRouter', name }, host, reason: routerReasons[to],
    message: `${name} on ${host}: ${from} to ${to}: ${whyRouter(transition)}${whenLate(at, now)}`, evidence: transition,
  };
}

/** The rule and what it was decided on, in one line. */
function whyRouter({ rule, priority, adverts, lateness, link, down }: RouterTransition): string {
  const [newest] = adverts;
  const heard = newest ? `last heard ${newest.from} (priority ${newest.priority}) ${newest.ago.toFixed(1)} ms before` : 'no advert heard';
  const lost = down.length > 0 ? [`down: ${down.join(', ')}`] : [];
  return [rule, `priority ${priority}`, heard, `${lateness.now.toFixed(1)} ms late`, `link ${link}`, ...lost].join('; ');
}

/** undefined: on its way up, or taken out of AdminDown: that is no news. */
function sessionEvent(host: string, transition: BfdTransition, now: number): EventSpec | undefined {
  const { session: name, from, to, at } = transition;
  const reason = to === 'up' ? 'BfdUp' : to === 'admin-down' ? 'BfdAdminDown' : from === 'up' ? 'BfdDown' : undefined;
  if (reason === undefined) return undefined;
  const between = name.includes('/');
  return {
    at: now, severity: reason === 'BfdDown' ? 'warning' : 'info', host, reason,
    about: between ? { kind: 'Path', name: `${host}/${name}` } : { kind: 'BfdSession', name },
    message: `BFD session ${between ? `with ${name}` : name} on ${host}: ${from} to ${to}: ${whySession(transition)}${whenLate(at, now)}`,
    evidence: { kind: 'session', transition },
  };
}

function whySession({ rule, diagnostic, down, lateness }: BfdTransition): string {
  const allowed = down?.detectionTime === undefined ? '' : ` of ${down.detectionTime.toFixed(1)}`;
  const heard = down?.silence === undefined ? [] : [`silent for ${down.silence.toFixed(1)} ms${allowed}`];
  const missed = down?.missed === undefined ? [] : [`${down.missed} missing`];
  const words = diagnostic === 'none' ? [] : [`diagnostic ${bfdDiagnostics[diagnostic]}`];
  return [rule, ...heard, ...missed, ...words, `${lateness.now.toFixed(1)} ms late, ${lateness.worst.toFixed(1)} at worst`].join('; ');
}
