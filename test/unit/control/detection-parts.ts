/** What agents say of paths and of each other, as tests put it together. */
import { ms } from '../../../src/base/units.ts';
import type { BfdStatus, BfdTransition } from '../../../src/model/bfd-session.ts';
import type { CounterReport } from '../../../src/model/counters.ts';
import type { ClassFigures, PathReport, PathState, PathTurnReport } from '../../../src/model/path.ts';
import type { PathOpinion, PeerOpinion } from '../../../src/protocol/failure-detector.ts';

export const figures: ClassFigures = {
  dscp: 0, sent: 100, answered: 97, lost: { forward: 3, backward: 0, unknown: 0 }, late: 0, duplicates: 0, reordered: { forward: 0, backward: 0 },
  rtt: { min: 0.2, mean: 0.3, max: 1, p50: 0.3, p90: 0.5, p99: 0.9, jitter: 0.05 }, oneWay: { forward: -0.1, backward: 0.4 }, marking: { atReflector: 0, returned: 0 },
};

export const pathReport = (peer: string, path: string, state: PathState = 'fit', because?: string): PathReport => ({
  peer, path, source: '10.0.0.1', destination: '10.0.0.2', at: 1e12, rate: 100, classes: [figures], window: figures,
  mtu: { wanted: 1500, passes: 1500, blackHole: false },
  quality: { state, since: 1e12, ...(because === undefined ? {} : { because }), loss: 0.03, slowLoss: 0.01, latency: 0.3, suspicious: false },
});

export const counters: CounterReport = {
  at: 1e12,
  links: [{ name: 'eth0', rxBytes: 1, txBytes: 1, rxPackets: 1, txPackets: 1, rxDrops: 0, txDrops: 0, rxErrors: 0, txErrors: 0, queues: [{ class: '1:10', bytes: 1, packets: 1, drops: 0, backlog: 0 }] }],
  nics: [], tcp: [], host: { softirq: 0.01, backlogDrops: 0, squeezed: 0, lateness: 1, cost: 0.02 },
};

export const opinion = (peer: string, states: Readonly<Record<string, PathOpinion['state']>>, more: Partial<PeerOpinion> = {}): PeerOpinion => ({
  peer, hearsOthers: true, health: { score: 0, worstLateness: ms(2), unwell: false },
  paths: Object.entries(states).map(([path, state]) => ({ path, state, silence: ms(10), timeout: ms(300), phi: 0.2, falseAlarmsPerDay: 0.01, probes: 10, arrivals: 9 })),
  ...more,
});

export const bfdStatus: BfdStatus = {
  state: 'up', since: 1e12, diagnostic: 'none', remote: { state: 'up', diagnostic: 'none', discriminator: 7 }, discriminator: 5, send: 300, receive: 300, detectionTime: 900,
  counters: { sent: 10, heard: 9, echoesSent: 0, echoesHeard: 0, ups: 1, downs: 0, dropped: { ttl: 1 }, unsent: {} },
};

export const bfdTransition = (sequence: number, session: string, from: BfdTransition['from'], to: BfdTransition['to']): BfdTransition => ({
  sequence, pulse: 'p1', session, at: 1e12, from, to, diagnostic: to === 'down' ? 'detection-expired' : 'none', rule: 'nothing came (RFC 5880 §6.8.4)',
  ...(to === 'down' ? { down: { at: 1e12, diagnostic: 'detection-expired', rule: '§6.8.4', silence: 301.2, detectionTime: 300, missed: 3, ownLateness: 0.4 } } : {}),
  lateness: { now: 0.1, worst: 0.4 },
});

export const turn = (sequence: number, peer: string, path: string, from: PathState, to: PathState): PathTurnReport => ({
  sequence, monitor: 'm1', peer, path, at: 1e12, from, to, because: 'loss 3.1 % of 65 probes, limit 2 %', window: figures,
});
