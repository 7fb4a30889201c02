/** A virtual router as fields and sections, for `describe`: what was declared, how each host is, and why. */
import type { ResourceOf } from '../api/api.ts';
import { parseDuration } from '../model/quantity.ts';
import { type ShownRouterStatus, routerDefaults } from '../model/virtual-router.ts';
import { virtualRouterMac } from '../wire/vrrp.ts';
import { formatAge } from './age.ts';
import { routerInterval, routerState } from './router-state.ts';
import { type Section, ago, commas, fields, labels, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { count, formatFine, formatMs } from './text.ts';

type Router = ResourceOf['VirtualRouter'];

const CHECKSUMS = { 'pseudo-header': 'summed with pseudo header', rfc9568: 'summed without pseudo header',
  'version-2': 'version 2' } as const;
const SCHEDULING = { realtime: 'real-time', nice: 'preferred, but not real-time', ordinary: 'ordinary, not real-time' } as const;

export function routerSections(router: Router, now: number): Section[] {
  const { spec, status } = router;
  const { word, text, since } = routerState(router);
  const family = spec.addresses[0]?.includes(':') ? 6 : 4;
  const delay = parseDuration(spec.preemptDelay ?? routerDefaults.preemptDelay);
  const peers = spec.peers?.length ? `, also to ${spec.peers.join(', ')}` : '';
  const hosts = Object.keys({ ...spec.hosts, ...status?.hosts });
  return [
    {
      lines: fields([
        ['Name', router.name], ['Labels', labels(router)], ['State', `${word}: ${text}`], ['Since', ago(since, now)],
        ['VRID', `${spec.vrid}, IPv${family}, VRRP version ${spec.version ?? routerDefaults.version}`],
        ['Addresses', commas(spec.addresses)],
        ['MAC', spec.virtualMac ?? routerDefaults.virtualMac ? virtualRouterMac(family, spec.vrid).toString() : "the Active host's own"],
        ['Interval', formatMs(routerInterval(router))],
        ['Preempts', spec.preempt ?? routerDefaults.preempt ? `yes${delay > 0 ? `, after ${formatMs(delay)}` : ''}` : 'no'],
        ['Adverts', spec.unicast ?? routerDefaults.unicast ? `unicast${peers}` : 'multicast'],
        ['Accepts', spec.accept ?? routerDefaults.accept ? undefined : 'only forwards: does not answer what is addressed to it'],
        ['Group', spec.group], ['Notifies', spec.notify],
      ]),
    },
    {
      title: 'Hosts',
      lines: tableOrNone(
        [left('HOST'), left('STATE'), left('SINCE'), right('PRIORITY'), right('INTERVAL'), left('HEARS')],
        hosts.map((name) => row(name, status?.hosts[name], spec.hosts[name]?.priority ?? routerDefaults.priority, now)),
      ),
    },
    ...Object.entries(status?.hosts ?? {}).map(([name,
      s]) => ({ title: `Host ${name}${s.state === 'unknown' ? ', as it was when last heard' : ''}`, lines: host(s, now) })),
  ];
}

function row(name: string, s: ShownRouterStatus | undefined, priority: number, now: number): (string | number)[] {
  if (!s) return [name, 'untold', '-', priority, '-', '-'];
  return [name, s.state, formatAge(now - s.since), s.effectivePriority, formatMs(s.effectiveInterval), s.active?.address ?? '-'];
}

function host(s: ShownRouterStatus, now: number): string[] {
  const { timing, counters, duels, active } = s;
  const healed = duels.lastHealed === undefined ? 'the last has not been seen to heal here'
    : `the last healed after ${formatMs(duels.lastHealed)}`;
  const late = `median ${formatFine(timing.median)}, p99 ${formatFine(timing.p99)}, worst ${formatFine(timing.worst)}`;
  const unsent = byReason(counters.unsent ?? {}, 'could not be sent');
  return fields([
    ['State', s.state], ['Since', ago(s.since, now)], ['Why', s.reason],
    ['Priority', s.effectivePriority === s.priority ? s.priority
      : `${s.effectivePriority}: ${s.priority} as declared, the rest by what it tracks`],
    ['Interval', intervalOf(s)],
    ['Hears', active
      && `${active.address}: priority ${active.priority}, every ${formatMs(active.interval)}, ${CHECKSUMS[active.checksum]}`],
    ['Differs', s.differences.join('; ')], ['Tracks', s.tracks.map(trackOf).join('; ')],
    ['Adverts',
      `${counters.sent} sent${unsent === undefined ? '' : `, ${unsent}`}, ${counters.received} received, `
        + (byReason(counters.dropped, 'dropped') ?? 'none dropped')],
    ['Changed', `${count(counters.transitions, 'time')} since its pulse was started`],
    ['Two Actives', duels.count === 0 ? undefined : `${count(duels.count, 'time')}; ${healed}`],
    ['Scheduling', `${SCHEDULING[timing.scheduling]}${timing.because === undefined ? '' : `: ${timing.because}`}`],
    ['Ticks late', timing.ticks === 0 ? 'none measured in the last minute' : `${late}, of ${timing.ticks} in the last minute`],
    ['Can hold', `${formatMs(timing.smallestInterval)} and longer`],
  ]);
}

/** `4 dropped (checksum 3, ttl 1)`; undefined when there was none. */
export function byReason(counts: Readonly<Record<string, number>>, what: string): string | undefined {
  const some = Object.entries(counts).filter(([, n]) => n > 0);
  return some.length === 0 ? undefined
    : `${some.reduce((sum, [, n]) => sum + n, 0)} ${what} (${some.map(([reason, n]) => `${reason} ${n}`).join(', ')})`;
}

function intervalOf({ interval, effectiveInterval, timing }: ShownRouterStatus): string {
  if (effectiveInterval === interval) return formatMs(interval);
  const why = timing.smallestInterval > interval ? `: this host cannot hold less than ${formatMs(timing.smallestInterval)} now` : '';
  return `${formatMs(effectiveInterval)} instead of ${formatMs(interval)}${why}`;
}

function trackOf({ what, up, weight }: ShownRouterStatus['tracks'][number]): string {
  const effect = weight === undefined ? '' : ` (${weight > 0 ? '+' : ''}${weight})`;
  return `${what} ${up === undefined ? 'not known' : up ? 'up' : 'down'}${effect}`;
}
