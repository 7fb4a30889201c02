/**
 * Virtual routers as their hosts tell of them. What changes all the time (counters, timing) stays in memory (liveness.ts) and is written
 * every now and then; anything else at once.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Milliseconds, ms } from '../base/units.ts';
import type { RouterStatus, ShownRouterStatus, VirtualRouterStatus } from '../model/virtual-router.ts';
import type { Draft } from './draft.ts';
import { record } from './events.ts';
import type { Liveness } from './liveness.ts';
import type { RouterRecord } from './records.ts';

/** Several hosts that say Active for this long are no handover of which one report came before the other. */
const CONTESTED = ms(3000);

type Hosts = VirtualRouterStatus['hosts'];

/** All that this host says of routers; undefined: its agent has not heard its pulse. */
export function hearRouters(draft: Draft, host: string, routers: Readonly<Record<string, RouterStatus>> | undefined, now: number): void {
  for (const { name, record: router } of draft.rows('routers')) {
    const hosts = router.status?.hosts ?? {};
    const shown = Object.hasOwn(hosts, host) ? hosts[host] : undefined;
    const said = routers && Object.hasOwn(routers, name) ? routers[name] : undefined;
    const next = routers ? said : shown && unknown(shown, `the agent on ${host} hears nothing of its pulse`, now);
    if (shown === next || (shown && next && isDeepStrictEqual(lasting(shown), lasting(next)))) continue;
    const { [host]: _, ...others } = hosts;
    show(draft, name, router, next ? { ...others, [host]: next } : others);
  }
}

/** Without what changes all the time. */
function lasting(status: ShownRouterStatus): unknown {
  const { counters: _, timing, duels, ...rest } = status;
  return { ...rest, duels: duels.count, scheduling: timing.scheduling };
}

function unknown(shown: ShownRouterStatus, why: string, now: number): ShownRouterStatus {
  if (shown.state === 'unknown') return shown;
  return { ...shown, state: 'unknown', since: now, reason: `${why}: it was ${shown.state} when last heard` };
}

function show(draft: Draft, name: string, router: RouterRecord, hosts: Hosts): void {
  const sorted = Object.fromEntries(Object.entries(hosts).sort(([a], [b]) => (a < b ? -1 : 1)));
  const active = Object.keys(sorted).filter((host) => sorted[host]?.state === 'active');
  draft.put('routers', name, { ...router, status: { hosts: sorted, active } });
}

interface Around {
  readonly live: Liveness;
  /** Monotonic. */
  readonly at: Milliseconds;
  /** ms since the epoch. */
  readonly time: number;
}

/** What follows from the hosts' own state; and says so when more than one says it is Active for too long. */
export function showRouters(draft: Draft, { live, at, time }: Around): void {
  for (const { name, record: router } of draft.rows('routers')) {
    if (!router.status) {
      // Declared anew: what was so of an earlier one of this name is over.
      live.settled(name);
      continue;
    }
    const hosts = Object.entries(router.status.hosts).flatMap(([host, shown]): [string, ShownRouterStatus][] => {
      const status = draft.get('hosts', host)?.status;
      if (!status) return [];
      return [[host, status.state === 'silent' ? unknown(shown, `${host} is silent`, time) : shown]];
    });
    if (hosts.length < Object.keys(router.status.hosts).length || hosts.some(([host, shown]) => shown !== router.status?.hosts[host])) {
      show(draft, name, router, Object.fromEntries(hosts));
    }
    tellContest(draft, name, draft.get('routers', name) ?? router, { live, at, time });
  }
}

function tellContest(draft: Draft, name: string, router: RouterRecord, { live, at, time }: Around): void {
  const active = router.status?.active ?? [];
  const tell = (severity: 'info' | 'alarm', reason: string, message: string): void =>
    record(draft, { at: time, severity, about: { kind: 'VirtualRouter', name }, reason, message });
  if (active.length > 1) {
    const lasts = live.contested(name, at);
    // Whoever has not reported since may have left it long ago.
    if (router.contested || lasts < CONTESTED || active.some((host) => live.silence(host, at) >= lasts)) return;
    draft.put('routers', name, { ...router, contested: true });
    const what = `${active.join(' and ')} say they are Active at the same time: adverts of one do not reach the other, or are not taken there`;
    const known = cluesOf(live.freshRouter(name, router.status ?? { hosts: {}, active }), active);
    const todo = 'Look at the links and switches between them, and whether VRID and version are the same and sources are not';
    return tell('alarm', 'RouterContested', [`${name}: ${what}`, ...(known === '' ? [] : [known]), todo].join('. '));
  }
  live.settled(name);
  if (!router.contested) return;
  const { contested: _, ...rest } = router;
  draft.put('routers', name, rest);
  const who = active[0] === undefined ? 'no host says any more that it is Active' : `only ${active[0]} says that it is Active now`;
  tell('info', 'RouterSettled', `${name}: ${who}`);
}

/** What these hosts know of why they do not hear each other: in what another differs, for what most adverts were dropped, or not sent. */
function cluesOf({ hosts }: VirtualRouterStatus, active: readonly string[]): string {
  return active.flatMap((host) => {
    const shown = hosts[host];
    if (!shown) return [];
    const { dropped, unsent = {} } = shown.counters;
    const clues = [...shown.differences, ...most(dropped, 'dropped'), ...most(unsent, 'not sent')];
    return clues.length > 0 ? [`${host}: ${clues.join(', ')}`] : [];
  }).join('; ');
}

function most(adverts: Readonly<Record<string, number>>, what: string): string[] {
  const [first] = Object.entries(adverts).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
  return first ? [`${first[1]} adverts ${what}: ${first[0]}`] : [];
}

/** Writes what is only in memory so far. */
export function refreshRouters(draft: Draft, live: Liveness): void {
  for (const { name, record: router } of draft.rows('routers')) {
    if (router.status) draft.put('routers', name, { ...router, status: live.freshRouter(name, router.status) });
  }
}
