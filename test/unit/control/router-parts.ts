/** What tests of virtual routers are made of. */
import type { Declaration } from '../../../src/api/api.ts';
import type { RouterStatus, RouterTransition } from '../../../src/model/virtual-router.ts';

export const gateway = (spec: object = {}, name = 'gw'): Declaration => ({
  kind: 'VirtualRouter', name,
  spec: { vrid: 10, addresses: ['192.0.2.1/24'], interface: 'eth0', interval: '100ms', hosts: { 'host-a': { priority: 150 }, 'host-b': {} }, ...spec },
});

export const routerStatus = (more: Partial<RouterStatus>): RouterStatus => ({
  state: 'backup', since: 0, priority: 150, effectivePriority: 150, interval: 100, effectiveInterval: 100, differences: [], tracks: [],
  counters: { sent: 0, received: 0, dropped: {}, transitions: 0 }, duels: { count: 0 },
  timing: { scheduling: 'realtime', ticks: 60, median: 0.04, p99: 0.2, worst: 0.9, smallestInterval: 10 }, ...more,
});

export const transition = (sequence: number, more: Partial<RouterTransition> = {}): RouterTransition => ({
  sequence, pulse: 'p1', router: 'gw', at: 1e12, from: 'backup', to: 'active', rule: 'a rule', priority: 150, adverts: [],
  lateness: { now: 0.1, worst: 0.9 }, link: 'up', down: [], ...more,
});
