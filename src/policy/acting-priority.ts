/** The virtual routers of a host that is sick on `main` get a lower priority, so that a well one takes over where there is one. */
import { MAIN_PATH } from '../model/path.ts';
import { type ActingFacts, type Standing, type Subject, limitKey, subjectKey } from './acting-facts.ts';
import type { Limits } from './acting-limit.ts';
import type { Sickness } from './acting-sickness.ts';

/** Subtracted, down to 1; of an owner nothing is (RFC 9568 §5.2.4: 255 and no other). */
export const PRIORITY_LOWERED = 50;

export function priorityStandings({ policy, hosts, pairs, standings }: ActingFacts, sickness: Sickness, limits: Limits): Standing[] {
  const mode = policy.modes.priority;
  if (mode === 'off') return [];
  return hosts.flatMap(({ candidate: { name: host }, routers }): Standing[] => {
    if (routers.length === 0) return [];
    const subject: Subject = { action: 'priority', host };
    const key = limitKey(subject);
    const known = standings.get(subjectKey(subject));
    const before = known?.mode === mode ? known : undefined;
    const because = sickness.get(MAIN_PATH)?.get(host);
    if (because === undefined) {
      if (!before || before.heldBack !== undefined) return [];
      const isKnown = pairs.some(({ a, b, paths }) => (a === host || b === host) && paths.some(({ path, state }) => path === MAIN_PATH && state !== 'unknown'));
      return isKnown && limits.full(key) === undefined ? [] : [before];
    }
    if (before && before.heldBack === undefined) return [before];
    const heldBack = limits.full(key);
    if (heldBack === undefined) limits.take(key);
    return [{
      action: 'priority', mode, subject, what: `the priority of ${host} is lowered by ${PRIORITY_LOWERED} in ${routers.join(', ')}`, because: [because],
      ...(heldBack === undefined ? {} : { heldBack }),
    }];
  });
}
