/**
 * Transitions of virtual routers: each becomes an event with its evidence, once, however often its agent tells it. A pulse numbers its
 * transitions; of each pulse the last that was stored is remembered with its host, in the transaction that stores it.
 */
import type { ReportAnswer } from '../api/agent-protocol.ts';
import type { Severity } from '../model/event.ts';
import type { RouterTransition } from '../model/virtual-router.ts';
import type { Draft, View } from './draft.ts';
import { record } from './events.ts';
import type { HostRecord } from './records.ts';

/** An agent tells of its last pulses, in order, and forgets up to what was acknowledged. */
const PULSES_KEPT = 32;
/** A transition that is told later than this has its own time in its text: the event's is that of its being told. ms. */
const LATE = 5000;

const reasons = { active: 'RouterActive', backup: 'RouterBackup', fault: 'RouterFault', initialize: 'RouterInitialize' } as const;

export function hearTransitions(draft: Draft, host: string, transitions: readonly RouterTransition[], now: number): void {
  const known = draft.get('hosts', host);
  if (!known || transitions.length === 0) return;
  const last = lastOf(known);
  let news = false;
  // Those of one pulse in their order, whatever order they came in: what is behind the last stored is taken to be stored.
  const byPulse = [...Map.groupBy(transitions, ({ pulse }) => pulse).values()];
  for (const transition of byPulse.flatMap((of) => of.toSorted((a, b) => a.sequence - b.sequence))) {
    const { pulse, sequence } = transition;
    if (isStored(last, transition)) continue;
    // Behind all others: the newest is kept longest.
    last.delete(pulse);
    last.set(pulse, sequence);
    news = true;
    tell(draft, host, transition, now);
  }
  if (!news) return;
  const told = new Set(transitions.map(({ pulse }) => pulse));
  const pulses = [...last].map(([pulse, sequence]) => ({ pulse, sequence }));
  draft.put('hosts', host, { ...known, pulses: pulses.filter(({ pulse }, n) => told.has(pulse) || n >= pulses.length - PULSES_KEPT) });
}

/** The last of these up to which all are stored; undefined when the first is not. */
export function storedTransition(view: View, host: string, transitions: readonly RouterTransition[]): ReportAnswer['transitions'] {
  const known = view.get('hosts', host);
  if (!known) return undefined;
  const last = lastOf(known);
  const missing = transitions.findIndex((t) => !isStored(last, t));
  const stored = transitions[missing < 0 ? transitions.length - 1 : missing - 1];
  return stored && { pulse: stored.pulse, sequence: stored.sequence };
}

const lastOf = ({ pulses = [] }: HostRecord): Map<string, number> => new Map(pulses.map(({ pulse, sequence }) => [pulse, sequence]));
const isStored = (last: ReadonlyMap<string, number>, { pulse, sequence }: RouterTransition): boolean => sequence <= (last.get(pulse) ?? -1);

function tell(draft: Draft, host: string, transition: RouterTransition, now: number): void {
  const { router: name, to, at } = transition;
  const severity: Severity = to === 'fault' ? 'warning' : 'info';
  const late = Math.abs(now - at) > LATE ? ` (at ${new Date(at).toISOString()} by its clock)` : '';
  record(draft, {
    at: now, severity, about: { kind: 'VirtualRouter', name }, host, reason: reasons[to],
    message: `${name} on ${host}: ${transition.from} to ${to}: ${why(transition)}${late}`, evidence: transition,
  });
}

/** The rule and what it was decided on, in one line. */
function why({ rule, priority, adverts, lateness, link, down }: RouterTransition): string {
  const [newest] = adverts;
  const heard = newest ? `last heard ${newest.from} (priority ${newest.priority}) ${newest.ago.toFixed(1)} ms before` : 'no advert heard';
  const lost = down.length > 0 ? [`down: ${down.join(', ')}`] : [];
  return [rule, `priority ${priority}`, heard, `${lateness.now.toFixed(1)} ms late`, `link ${link}`, ...lost].join('; ');
}
