/** What each host has to do for the virtual routers that are declared. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/compile';
import { type RouterPlan, VirtualRouterSpec, routerDefaults } from '../../../src/model/virtual-router.ts';
import { routerPlans } from '../../../src/policy/router-plan.ts';

const schema = Compile(VirtualRouterSpec);
const spec: VirtualRouterSpec = { vrid: 51, addresses: ['192.0.2.1/24', '192.0.2.254'], interface: 'lan', hosts: { h1: { priority: 200 }, h2: {} } };
const full: VirtualRouterSpec = {
  vrid: 52, addresses: ['FE80:0::1', '2001:db8:0::1/64'], version: 3, interval: '2.01s', virtualMac: false, preempt: true, preemptDelay: '1min', accept: false, checksum: 'rfc9568',
  unicast: true, peers: ['2001:db8::99', '2001:db8::12'], minTtl: 250, group: 'edge', announce: { count: 2, interval: '50ms', refresh: '60s' }, notify: 'moved.sh',
  track: [{ interface: 'wan', weight: -10 }, { script: 'check' }],
  hosts: {
    h1: { interface: 'eth1', source: '2001:db8::11', track: [{ route: '2001:DB8::/32' }, { process: 'bird', weight: 5 }, { script: 'deep', interval: '500ms', timeout: '100ms', rise: 2, fall: 3 }] },
    h2: { interface: 'eth2', priority: 150 },
    h3: { interface: 'eth3', priority: 120 },
  },
};
const addresses = (host: string): string | undefined => ({ h1: '2001:db8::1', h2: '2001:db8::12', h3: '192.0.2.13' })[host];
const none = (): undefined => undefined;
const only = (spec: VirtualRouterSpec, host: string, of = addresses): RouterPlan | undefined => routerPlans(new Map([['edge', spec]]), host, of)[0];

test('defaults are filled in, and are those of the schema', () => {
  assert.ok(schema.Check(spec));
  const plan: RouterPlan = {
    name: 'edge', vrid: 51, version: 3, family: 4, device: 'lan',
    addresses: [{ address: '192.0.2.1', prefixLength: 24 }, { address: '192.0.2.254', prefixLength: 32 }],
    priority: 200, interval: 1000, virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [], minTtl: 255,
    announce: { count: 5, interval: 100 }, track: [],
  };
  assert.deepEqual(only(spec, 'h1'), plan);
  assert.deepEqual(only(spec, 'h2'), { ...plan, priority: 100 });
  const { properties } = VirtualRouterSpec;
  for (const key of ['version', 'interval', 'virtualMac', 'preempt', 'preemptDelay', 'accept', 'checksum', 'unicast', 'minTtl'] as const) {
    assert.deepEqual('default' in properties[key] ? properties[key].default : undefined, routerDefaults[key], key);
  }
});

test('everything that is declared arrives, in one form', () => {
  assert.ok(schema.Check(full));
  assert.deepEqual(only(full, 'h1'), {
    name: 'edge', vrid: 52, version: 3, family: 6, device: 'eth1',
    addresses: [{ address: 'fe80::1', prefixLength: 128 }, { address: '2001:db8::1', prefixLength: 64 }],
    source: '2001:db8::11', priority: 100, interval: 2010, virtualMac: false, preempt: true, preemptDelay: 60_000, accept: false, checksum: 'rfc9568',
    peers: ['2001:db8::12', '2001:db8::99'], minTtl: 250, group: 'edge', announce: { count: 2, interval: 50, refresh: 60_000 }, notify: 'moved.sh',
    track: [
      { kind: 'interface', interface: 'wan', weight: -10 },
      { kind: 'script', script: 'check', interval: 2000, timeout: 2000, rise: 1, fall: 1 },
      { kind: 'route', route: '2001:db8::/32' },
      { kind: 'process', process: 'bird', weight: 5 },
      { kind: 'script', script: 'deep', interval: 500, timeout: 100, rise: 2, fall: 3 },
    ],
  });
});

test('unicast goes to each other host\'s source and to the peers, each once and never to itself', () => {
  assert.deepEqual(only(full, 'h2')?.peers, ['2001:db8::11', '2001:db8::99']);
  assert.equal(only(full, 'h2')?.source, '2001:db8::12', 'the address the others send to');
  assert.deepEqual(only(full, 'h3')?.peers, ['2001:db8::11', '2001:db8::12', '2001:db8::99']);
  assert.equal(only(full, 'h3')?.source, undefined, 'an address of the other family is none');
  assert.equal(only({ ...spec, hosts: { h3: {} } }, 'h3')?.source, undefined, 'multicast leaves it to the host');
  const { peers: _, ...lonely } = full;
  const plan = only({ ...lonely, hosts: { h2: full.hosts['h2']!, h3: full.hosts['h3']! } }, 'h2', none);
  assert.deepEqual([plan?.peers, plan?.minTtl], [[], 255], 'with nobody left the TTL guard of multicast holds');
});

test('a host gets its own routers alone, by name, and survives JSON', () => {
  const all = new Map([['z', spec], ['a', full], ['m', { ...spec, hosts: { constructor1: {} } }]]);
  const plans = routerPlans(all, 'h2', addresses);
  assert.deepEqual(plans.map((p) => p.name), ['a', 'z']);
  assert.deepEqual(JSON.parse(JSON.stringify(plans)), plans);
  assert.deepEqual(routerPlans(new Map([...all].toReversed()), 'h2', addresses), plans);
  assert.deepEqual(routerPlans(all, 'constructor', addresses), []);
});
