/** What is told of actions, in words; and what many paths share at once, in one. */
import type { ActionTold, Subject } from './acting-facts.ts';

const USED_AGAIN = 'is used again';
/** So many paths of one name that share a fate at once, by a switch or a host, are told in one. */
const TOGETHER = 4;
/** Of those, named. */
const NAMED = 8;

export function together(told: readonly ActionTold[]): readonly ActionTold[] {
  const groups = Map.groupBy(told, ({ reason, subject, report: { mode, heldBack, what } }, n) =>
    (subject.action === 'path' ? `${reason} ${subject.path} ${mode} ${heldBack === undefined} ${what.endsWith(USED_AGAIN)}` : String(n)));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first || first.subject.action !== 'path' || group.length <= TOGETHER) return group;
    const pairs = group.flatMap(({ subject }) => (subject.action === 'path' ? [`${subject.a} and ${subject.b}`] : []));
    const rest = pairs.length > NAMED ? ` and ${pairs.length - NAMED} more` : '';
    const { what } = first.report;
    const which = what.endsWith(USED_AGAIN) ? USED_AGAIN : 'is taken out of use';
    return [{
      ...first,
      report: {
        ...first.report, what: `path ${first.subject.path} ${which} between ${pairs.length} pairs of hosts: ${pairs.slice(0, NAMED).join(', ')}${rest}`,
        because: group.slice(0, TOGETHER).flatMap(({ report }) => report.because),
      },
    }];
  });
}

export function undone(subject: Subject): string {
  switch (subject.action) {
    case 'path': return `path ${subject.path} between ${subject.a} and ${subject.b} ${USED_AGAIN}`;
    case 'bandwidth': return `${subject.migration} may send again what it might`;
    case 'evacuate': return `no more VMs are moved off ${subject.host}`;
    case 'priority': return `the priority of ${subject.host} in its virtual routers is what is declared`;
  }
}

export function wellAgain(subject: Subject): string {
  switch (subject.action) {
    case 'path': return 'it is well again, and has been for its hold';
    case 'bandwidth': return 'its path is well again';
    case 'evacuate': return 'its network is well again, or none of its VMs is left on it';
    case 'priority': return 'path main is well again to most hosts';
  }
}
