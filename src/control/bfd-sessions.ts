/**
 * Declared BFD sessions as their hosts tell of them. What changes all the time (counters, round trips) stays in memory (liveness.ts);
 * anything else is written at once. Of those between hosts nothing is kept but what their transitions told.
 */
import { isDeepStrictEqual } from 'node:util';
import type { BfdSessionStatus, BfdStatus } from '../model/bfd-session.ts';
import type { Draft } from './draft.ts';

type Hosts = BfdSessionStatus['hosts'];
type Shown = Hosts[string];

/** All that this host says of sessions; undefined: its agent has not heard its pulse. `now`: ms since the epoch. */
export function hearSessions(draft: Draft, host: string, sessions: Readonly<Record<string, BfdStatus>> | undefined, now: number): void {
  for (const { name, record: session } of draft.rows('bfdsessions')) {
    const hosts = session.status?.hosts ?? {};
    const shown = Object.hasOwn(hosts, host) ? hosts[host] : undefined;
    const said = sessions && Object.hasOwn(sessions, name) ? sessions[name] : undefined;
    const next = sessions ? said : shown && unknown(shown, `the agent on ${host} hears nothing of its pulse`, now);
    if (shown === next || (shown && next && isDeepStrictEqual(lasting(shown), lasting(next)))) continue;
    const { [host]: _, ...others } = hosts;
    draft.put('bfdsessions', name, { ...session, status: { hosts: sorted(next ? { ...others, [host]: next } : others) } });
  }
}

/** What follows from the hosts' own state. */
export function showSessions(draft: Draft, now: number): void {
  for (const { name, record: session } of draft.rows('bfdsessions')) {
    if (!session.status) continue;
    const before = session.status.hosts;
    const hosts = Object.entries(before).flatMap(([host, shown]): [string, Shown][] => {
      const status = draft.get('hosts', host)?.status;
      if (!status) return [];
      return [[host, status.state === 'silent' ? unknown(shown, `${host} is silent`, now) : shown]];
    });
    if (hosts.length === Object.keys(before).length && hosts.every(([host, shown]) => shown === before[host])) continue;
    draft.put('bfdsessions', name, { ...session, status: { hosts: Object.fromEntries(hosts) } });
  }
}

/** Without what changes all the time. */
function lasting(shown: Shown): unknown {
  const { counters: _, echo, ...rest } = shown;
  return { ...rest, echo: echo && { active: echo.active, interval: echo.interval } };
}

function unknown(shown: Shown, why: string, now: number): Shown {
  if (shown.state === 'unknown') return shown;
  return { ...shown, state: 'unknown', since: now, reason: `${why}: it was ${shown.state} when last heard` };
}

const sorted = (hosts: Hosts): Hosts => Object.fromEntries(Object.entries(hosts).sort(([a], [b]) => (a < b ? -1 : 1)));
