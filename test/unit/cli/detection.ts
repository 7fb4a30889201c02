/** Three hosts on two paths, as the server would tell of them, and what happened to them. */
import type { BfdSessionResource, BfdStatus, BfdTransition } from '../../../src/model/bfd-session.ts';
import type { CounterReport, LinkFigures, NicFigures } from '../../../src/model/counters.ts';
import type { EventEvidence, EventResource, VerdictReport } from '../../../src/model/event.ts';
import type { History, HistoryQuery } from '../../../src/model/history.ts';
import type { HostResource } from '../../../src/model/host.ts';
import type { ClassFigures, PathReport, PathResource, PathStatus, PathTurnReport } from '../../../src/model/path.ts';
import { pathName } from '../../../src/model/path.ts';
import type { PolicyResource } from '../../../src/model/cluster-policy.ts';
import { NOW, event, host } from './resources.ts';

export const figures = (over: Partial<ClassFigures> = {}): ClassFigures => ({
  dscp: 0, sent: 6000, answered: 6000, lost: { forward: 0, backward: 0, unknown: 0 }, late: 0, duplicates: 0, reordered: { forward: 0, backward: 0 },
  rtt: { min: 0.21, mean: 0.44, max: 4.1, p50: 0.42, p90: 0.61, p99: 1.93, jitter: 0.11 }, marking: { atReflector: over.dscp ?? 0, returned: over.dscp ?? 0 }, ...over,
});
const octet = (name: string): number => 'abc'.indexOf(name.slice(-1)) + 1;

export function path(from: string, to: string, path: string, report: Partial<PathReport> = {}, status: Partial<PathStatus> = {}): PathResource {
  const net = path === 'main' ? '10.0.0' : '10.9.0';
  const spec = { from, to, path, source: `${net}.${octet(from)}`, destination: `${net}.${octet(to)}` };
  return {
    kind: 'Path', name: pathName(spec), revision: 60, spec,
    status: {
      report: {
        peer: to, path, source: spec.source, destination: spec.destination, at: NOW - 400, rate: 100,
        classes: [figures({ sent: 100, answered: 100 })], window: figures(), mtu: { wanted: 1500, passes: 1500, blackHole: false },
        quality: { state: 'fit', since: NOW - 7_200_000, loss: 0, slowLoss: 0, latency: 0.44, suspicious: false }, ...report,
      },
      heard: 'heard', phi: 0.3, timeout: 183.2, falseAlarmsPerDay: 0.0082, inUse: true, ...status,
    },
  };
}

const lossy = figures({
  answered: 5790, lost: { forward: 189, backward: 15, unknown: 0 }, late: 6, duplicates: 1, reordered: { forward: 2, backward: 0 }, oneWay: { forward: 0.3, backward: 0.12, error: 0.05 },
});
const { rtt: _, ...unanswered } = figures({ answered: 0, lost: { forward: 0, backward: 0, unknown: 6000 } });
export const because = 'loss 3.1 % of 65 probes (1.2 to 7.6 %), limit 2 %';
export const paths: readonly PathResource[] = [
  path('host-a', 'host-b', 'main'),
  path('host-a', 'host-b', 'storage', {
    window: lossy, classes: [figures({ sent: 100, answered: 96, lost: { forward: 4, backward: 0, unknown: 0 } }), figures({ dscp: 46, sent: 100, answered: 100, marking: { atReflector: 0, returned: 0 } })],
    quality: { state: 'unfit', since: NOW - 41_000, because, loss: 0.0312, slowLoss: 0.004, latency: 0.46, suspicious: true, heldUntil: NOW + 19_000 },
  }, { inUse: false, because: 'unfit, and main is fit' }),
  path('host-b', 'host-a', 'main', { window: figures({ answered: 5880, lost: { forward: 0, backward: 0, unknown: 120 } }), mtu: { wanted: 9000, passes: 1472, blackHole: true } }),
  path('host-b', 'host-a', 'storage', { quality: { state: 'fit', since: NOW - 100_000, loss: 0.009, slowLoss: 0.004, latency: 0.46, suspicious: true } }),
  path('host-a', 'host-c', 'main', {
    window: unanswered, mtu: { wanted: 1500, blackHole: false },
    quality: { state: 'down', since: NOW - 9000, because: 'nothing came back for 1.0 s', loss: 1, slowLoss: 0.3, suspicious: true },
  }, { heard: 'silent', phi: Infinity, timeout: 150, falseAlarmsPerDay: 0, inUse: true, because: 'none lives, so nothing changes' }),
  { kind: 'Path', name: 'host-c/host-a/main', revision: 60, spec: { from: 'host-c', to: 'host-a', path: 'main', source: '10.0.0.3', destination: '10.0.0.1' } },
];

export const verdict: VerdictReport = {
  host: 'host-c', verdict: 'dead', because: 'none of 2 observers hears it on any path', paths: ['main', 'storage'], observers: 3, voters: 2,
  abstained: { 'host-d': 'was asleep 120 ms ago, 812 ms at worst' }, disagreed: [], probes: 4210, arrivals: 4177, worstLateness: 3.4,
};
const rates = { rxPackets: 81_200, txPackets: 12_000, rxDrops: 0, txDrops: 0, rxErrors: 0, txErrors: 0 };
const link = (name: string, over: Partial<LinkFigures> = {}): LinkFigures => ({ name, rxBytes: 91e6, txBytes: 4.2e6, ...rates, queues: [], ...over });
export const nic = (vm: string, n: number, over: Partial<NicFigures> = {}): NicFigures => ({ vm, nic: n, rxBytes: 1.2e6, txBytes: 0.3e6, ...rates, rxPackets: 900, txPackets: 800, ...over });
export const counters: CounterReport = {
  at: NOW - 400, host: { softirq: 0.071, backlogDrops: 12, squeezed: 3, lateness: 1.27, cost: 0.021 },
  links: [link('lo', { rxBytes: 0, txBytes: 0 }), link('eth0', { capacity: 125e6, utilization: 0.73, txDrops: 4, queues: [{ class: '1:', bytes: 1, packets: 1, drops: 9, backlog: 70_000 }, { class: '1:10', bytes: 1, packets: 1, drops: 9, backlog: 65_000 }] })],
  nics: [nic('web-1', 0), nic('db-1', 0, { rxBytes: 44e6, txDrops: 7 }), nic('db-1', 1)],
  tcp: [{ what: 'migration', to: '10.0.0.2:49152', rtt: 0.4, rttVariation: 0.1, retransmitted: 3, sent: 80_000, deliveryRate: 110e6, congestionWindow: 410 }],
};
const told = (h: HostResource, over: Partial<HostResource['status'] & object>): HostResource => ({ ...h, ...(h.status ? { status: { ...h.status, ...over } } : {}) });
export const watchedHosts: readonly HostResource[] = [
  told({ ...host('host-a', 1), spec: { address: '10.0.0.1', paths: { storage: '10.9.0.1' } } }, {
    verdict: { ...verdict, host: 'host-a', verdict: 'fine', because: 'heard on all paths', paths: [], voters: 3, abstained: {} }, counters, troubles: ['no room in the history for nic/db-1/1/rx: 812 series are kept'],
  }),
  host('host-b', 2), told(host('host-c', 3), { verdict }),
];

const bfd = (over: Partial<BfdStatus> = {}): BfdStatus => ({
  state: 'up', since: NOW - 320_000, diagnostic: 'none', remote: { state: 'up', diagnostic: 'none', discriminator: 0x2a }, discriminator: 0x9f01, send: 300, receive: 300, detectionTime: 900,
  counters: { sent: 1071, heard: 1069, echoesSent: 0, echoesHeard: 0, ups: 1, downs: 0, dropped: { ttl: 0 }, unsent: {} }, ...over,
});
export const down = { at: NOW - 30_000, diagnostic: 'detection-expired', rule: 'Detection Time expired (RFC 5880 §6.8.4)', silence: 901.3, detectionTime: 900, missed: 3, ownLateness: 0.8 } as const;
export const sessions: readonly BfdSessionResource[] = [
  {
    kind: 'BfdSession', name: 'uplink', revision: 61, labels: { site: 'x' },
    spec: {
      peer: '192.0.2.254', interface: 'eth0', hosts: { 'host-a': {}, 'host-b': { interface: 'eth1' }, 'host-c': {} }, echo: '50ms',
      authentication: { type: 'meticulous-sha1', keys: [{ id: 3, file: 'bfd-3' }, { id: 2, file: 'bfd-2' }] },
    },
    status: {
      hosts: {
        'host-a': bfd({ echo: { active: true, interval: 50, roundTrip: 0.31 }, counters: { ...bfd().counters, echoesSent: 6400, echoesHeard: 6399 } }),
        'host-b': bfd({
          state: 'down', since: NOW - 30_000, reason: 'nothing is heard', diagnostic: 'detection-expired', detectionTime: 900, lastDown: down,
          remote: { state: 'down', diagnostic: 'neighbor-down', discriminator: 0x2b }, counters: { ...bfd().counters, downs: 1, dropped: { authentication: 2, ttl: 1 }, unsent: { ENETDOWN: 4 } },
        }),
      },
    },
  },
  { kind: 'BfdSession', name: 'far', revision: 62, spec: { peer: '2001:db8::9', hops: 4, hosts: { 'host-a': { local: '2001:db8::1' } }, interval: '50ms', multiplier: 5, echoReceive: '0ms', disabled: 'the far side is rebuilt' } },
];

export const turn = (over: Partial<PathTurnReport> = {}): PathTurnReport =>
  ({ sequence: 4, monitor: 'm1', peer: 'host-b', path: 'storage', at: NOW - 41_000, from: 'fit', to: 'unfit', because, window: lossy, ...over });
const with_ = (e: EventResource, evidence: EventEvidence, over: Partial<EventResource['spec']> = {}): EventResource => ({ ...e, spec: { ...e.spec, evidence, ...over } });
const storage = { kind: 'Path', name: 'host-a/host-b/storage' } as const;
const session: BfdTransition = {
  sequence: 9, pulse: 'p1', session: 'uplink', at: NOW - 30_000, from: 'up', to: 'down', diagnostic: 'detection-expired', rule: down.rule, down, lateness: { now: 0.12, worst: 0.8 },
};
const { down: __, ...recovered } = session;
/** event(n, …) is (200 - n) s old. */
export const happenings: readonly EventResource[] = [
  with_(event(159, storage, 'PathUnfit', `host-a to host-b on storage: ${because}`, 'warning'), { kind: 'path', turn: turn() }, { host: 'host-a' }),
  with_(event(160, { kind: 'Path', name: 'host-b/host-a/storage' }, 'PathUnfit', 'host-b to host-a on storage: loss 2.4 %', 'warning'), { kind: 'path', turn: turn({ peer: 'host-a', at: NOW - 40_200, because: 'loss 2.4 % of 80 probes, limit 2 %' }) }, { host: 'host-b' }),
  with_(event(161, storage, 'PathTakenOut', 'path storage between host-a and host-b is taken out of use', 'warning'), {
    kind: 'action', action: { action: 'path', mode: 'act', what: 'path storage between host-a and host-b is taken out of use', because: [`host-a says: ${because}`, 'path main is fit'] },
  }),
  with_(event(162, { kind: 'Migration', name: 'web-1-3' }, 'MoveSlowed', 'web-1-3 would be slowed', 'info'), {
    kind: 'action', action: { action: 'bandwidth', mode: 'advise', what: 'web-1-3 is lowered to 500 Mbit/s', because: ['path storage is unfit since the move began'], heldBack: 'policy.act.bandwidth is advise' },
  }, { host: 'host-a' }),
  with_(event(170, { kind: 'BfdSession', name: 'uplink' }, 'BfdDown', 'uplink on host-b: up to down', 'warning'), { kind: 'session', transition: session }, { host: 'host-b' }),
  with_(event(171, { kind: 'BfdSession', name: 'uplink' }, 'BfdUp', 'uplink on host-a: init to up'), { kind: 'session', transition: { ...recovered, from: 'init', to: 'up', diagnostic: 'none', rule: 'heard Init (RFC 5880 §6.8.6)', at: NOW - 29_000 } }, { host: 'host-a' }),
  with_(event(172, { kind: 'Host', name: 'host-b' }, 'AlertOn', 'busy on eth0 of host-b', 'warning'), {
    kind: 'alert', alert: { alert: 'busy', on: 'eth0', state: 'on', since: NOW - 28_000, value: 0.91234, last: 0.97, because: 'link.utilization of eth0 91 %, limit 90 %, for 10 s', severity: 'warning' },
  }, { host: 'host-b' }),
  with_(event(190, { kind: 'Host', name: 'host-c' }, 'HostVerdict', 'host-c is dead: none of 2 observers hears it on any path', 'alarm'), { kind: 'verdict', verdict }, { host: 'host-c' }),
  event(191, { kind: 'Host', name: 'host-c' }, 'AgentSilent', 'no report for 5 s', 'alarm'),
];
export const watchPolicy: PolicyResource = {
  kind: 'Policy', name: 'default', revision: 3,
  spec: {
    paths: { storage: { capacity: '10Gbit/s', classes: [0, 46], mtu: 9000 } }, quality: { latency: { rising: '5ms', falling: '2ms' } }, act: { bandwidth: 'off' },
    alerts: { busy: { metric: 'link.utilization', rising: 0.9, falling: 0.7, host: 'host-b' } }, webhooks: ['https://pager.example/godwit'],
  },
};

/** Rises from 0.2 to 2 ms over the span, with nothing kept for its first tenth and a gap. */
export function kept(query: HistoryQuery): History {
  const span = (query.to - query.from) / query.points;
  const [loss, rate] = [query.series.includes('loss'), /\/[rt]x$/.test(query.series)];
  return {
    ...query, kind: loss ? 'ratio' : 'gauge',
    data: Array.from({ length: query.points }, (_, n) => {
      const part = n / query.points;
      const value = part < 0.1 || (part > 0.5 && part < 0.55) ? null : loss ? (part > 0.8 ? 0.03 : 0) : (0.2 + 1.8 * part) * (rate ? 1e7 : 1);
      return { at: query.from + n * span, span, count: value === null ? 0 : 60, value, min: value === null ? null : value / 2, max: value === null ? null : value * 2 };
    }),
  };
}
