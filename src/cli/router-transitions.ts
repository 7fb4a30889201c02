/** The timeline of a virtual router: each transition with what was known when it was decided. */
import type { EventEvidence, EventResource } from '../model/event.ts';
import type { RouterTransition } from '../model/virtual-router.ts';
import { formatAge, formatExactTime } from './age.ts';
import { type Style, arrow } from './style.ts';
import { formatFine, formatMs, oneLine, wrap } from './text.ts';

/** It is the one kind of evidence without a word for its kind. */
export const isRouterTransition = (evidence: EventEvidence): evidence is RouterTransition => !('kind' in evidence);

/** Oldest first, by the hosts' own clocks: at most `most`. */
export function transitionLines(events: readonly EventResource[], now: number, most: number, style: Style): string[] {
  const all = events
    .flatMap(({ spec: { evidence, host } }) => (evidence && isRouterTransition(evidence) ? [{ evidence, host: host ?? '?' }] : []))
    .sort((a, b) => a.evidence.at - b.evidence.at);
  if (all.length === 0) return ['none'];
  const shown = all.slice(-most);
  const earlier = all.length - shown.length;
  return [
    ...(earlier > 0 ? [`${earlier} earlier ones: godwit get events -o json has all of them`] : []),
    ...shown.flatMap(({ evidence, host }) => entry(evidence, host, now, style)),
  ];
}

function entry(t: RouterTransition, host: string, now: number, style: Style): string[] {
  const at = formatExactTime(t.at);
  const lateness = `decided ${formatFine(t.lateness.now)} late, at worst ${formatFine(t.lateness.worst)} in the minute before`;
  return [
    `${at} (${formatAge(now - t.at)} ago)  ${oneLine(host)}  ${t.from} ${arrow(style)} ${t.to}`,
    ...wrap(t.rule, '  Rule:   '),
    ...wrap(`priority ${t.priority}; link ${t.link}; ${lateness}`, '  With:   '),
    ...wrap(heardAdverts(t.adverts), '  Heard:  '),
    ...(t.down.length > 0 ? wrap(t.down.join(', '), '  Down:   ') : []),
  ];
}

/** `10.0.0.2 (priority 100, every 1.00 s) 3.61 s, 4.61 s before`. */
export function heardAdverts(adverts: RouterTransition['adverts']): string {
  const bySender = Map.groupBy(adverts, ({ from, priority, interval }) => `${from} (priority ${priority}, every ${formatMs(interval)})`);
  const parts = [...bySender].map(([sender, of]) => `${sender} ${of.map(({ ago }) => formatMs(ago)).join(', ')} before`);
  return parts.length === 0 ? 'no advert' : parts.join('; ');
}
