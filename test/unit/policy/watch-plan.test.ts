/** What a host is to measure: the policy with its defaults, and only what is this host's. */
import { strict as assert } from 'node:assert';
import test from 'node:test';
import type { PolicySpec } from '../../../src/model/cluster-policy.ts';
import type { HostSpec } from '../../../src/model/host.ts';
import { watchPlan } from '../../../src/policy/watch-plan.ts';

const hosts = new Map<string, HostSpec>([
  ['h2', { address: '10.0.0.2', paths: { storage: '10.1.0.2', other: '10.2.0.2' } }], ['h1', { address: '10.0.0.1', paths: { storage: '10.1.0.1' } }],
  ['h6', { address: 'fd00::6' }],
]);

test('without a policy: the defaults', () => {
  assert.deepEqual(watchPlan('h1', hosts, undefined), {
    host: 'h1', local: { main: '10.0.0.1', storage: '10.1.0.1' },
    peers: [{ host: 'h2', addresses: { main: '10.0.0.2', storage: '10.1.0.2' } }],
    paths: { main: { capacity: 125_000_000, classes: [0] }, storage: { capacity: 125_000_000, classes: [0] } },
    detector: { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 },
    probing: { enabled: true, rate: 100, leastRate: 1, core: 0.05, link: 0.001, dwell: 60_000, timeout: 1000, port: 862, reflectTo: [] },
    quality: { loss: { rising: 0.02, falling: 0.005 }, history: 400, hold: 30_000, holdMost: 900_000, relapse: 1_800_000 },
    alerts: {},
  });
  assert.equal(watchPlan('h9', hosts, undefined), undefined);
});

test('what the policy says, for this host', () => {
  const policy: PolicySpec = {
    paths: { storage: { capacity: '10Gbit/s', classes: [0, 46], mtu: 9000 } }, monitor: { probes: false, reflectTo: ['192.0.2.0/24'] },
    quality: { latency: { rising: '5ms', falling: '2ms' }, hold: '1min' },
    alerts: { b: { metric: 'path.loss', rising: 0.1, falling: 0.01, on: 'h2/main' }, a: { metric: 'host.softirq', rising: 0.5, falling: 0.2, hold: '3s', severity: 'alarm', host: 'h1' } },
  };
  const plan = watchPlan('h1', hosts, policy);
  assert.deepEqual(plan?.paths['storage'], { capacity: 1.25e9, classes: [0, 46], mtu: 9000 });
  assert.deepEqual([plan?.probing.enabled, plan?.probing.reflectTo, plan?.quality.latency, plan?.quality.hold], [false, ['192.0.2.0/24'], { rising: 5, falling: 2 }, 60_000]);
  assert.deepEqual(Object.entries(plan?.alerts ?? {}), [
    ['a', { metric: 'host.softirq', rising: 0.5, falling: 0.2, hold: 3000, severity: 'alarm' }],
    ['b', { metric: 'path.loss', rising: 0.1, falling: 0.01, hold: 10_000, severity: 'warning', on: 'h2/main' }],
  ]);
  assert.deepEqual(Object.keys(watchPlan('h2', hosts, policy)?.alerts ?? {}), ['b']);
});

test('the order in which things were written changes nothing', () => {
  const policy: PolicySpec = { paths: { main: { classes: [0], mtu: 1500 } }, quality: { loss: { rising: 0.1, falling: 0.01 } }, alerts: { x: { metric: 'nic.drops', rising: 2, falling: 1 }, y: { metric: 'nic.drops', rising: 3, falling: 1 } } };
  const turned: PolicySpec = { alerts: { y: { falling: 1, rising: 3, metric: 'nic.drops' }, x: { falling: 1, metric: 'nic.drops', rising: 2 } }, quality: { loss: { falling: 0.01, rising: 0.1 } }, paths: { main: { mtu: 1500, classes: [0] } } };
  assert.equal(JSON.stringify(watchPlan('h1', hosts, policy)), JSON.stringify(watchPlan('h1', new Map([...hosts].toReversed()), turned)));
});
