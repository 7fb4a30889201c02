/** What is wrong with a declared virtual router, where, and what is only odd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/compile';
import { VirtualRouterSpec } from '../../../src/model/virtual-router.ts';
import { type RouterProblem, checkVirtualRouter } from '../../../src/policy/router-plan.ts';

const schema = Compile(VirtualRouterSpec);
type Change = Partial<VirtualRouterSpec>;
const good: VirtualRouterSpec = { vrid: 51, addresses: ['192.0.2.1/24'], interface: 'lan', hosts: { h1: { priority: 200 }, h2: { priority: 100 } } };
const six: VirtualRouterSpec = { ...good, addresses: ['fe80::51', '2001:db8::51/64'] };
const known = (host: string): string | undefined => ({ h1: '198.51.100.1', h2: '198.51.100.2' })[host];

function check(change: Change, others: Readonly<Record<string, VirtualRouterSpec>> = {}, of: typeof known | undefined = known): readonly RouterProblem[] {
  const spec = { ...good, ...change };
  // What the schema refuses is not for these rules: each case has to come this far.
  assert.deepEqual(schema.Errors(spec), []);
  return checkVirtualRouter('edge', spec, new Map(Object.entries(others)), of);
}
const errors = (change: Change, others?: Readonly<Record<string, VirtualRouterSpec>>): readonly string[] =>
  check(change, others).filter((p) => p.severity === 'error').map((p) => p.path);
const warnings = (change: Change, others?: Readonly<Record<string, VirtualRouterSpec>>): readonly string[] =>
  check(change, others).filter((p) => p.severity === 'warning').map((p) => p.path);

test('what is right has no problems', () => {
  for (const change of [{}, six, { version: 2, interval: '255s' }, { interval: '40.95s' }, { interval: '10ms' }, { interval: '2.01s' }, { addresses: ['192.0.2.1'], unicast: true, minTtl: 1, peers: ['198.51.100.9'] }] as Change[]) {
    assert.deepEqual(check(change, { other: { ...good, vrid: 52, addresses: ['192.0.2.2/24'] } }), [], JSON.stringify(change));
  }
});

const cases: readonly [what: string, change: Change, ...paths: string[]][] = [
  ['no address', { addresses: ['192.0.2.1', '192.0.2.256', '192.0.2.1/33', '1::2::3'] }, '/spec/addresses/1', '/spec/addresses/2', '/spec/addresses/3'],
  ['families mixed', { addresses: ['192.0.2.1', 'fe80::1'] }, '/spec/addresses/1'],
  ['no host address', { addresses: ['224.0.0.1', '0.0.0.0', '127.0.0.1', '255.255.255.255'] }, '/spec/addresses/0', '/spec/addresses/1', '/spec/addresses/2', '/spec/addresses/3'],
  ['every address on the link', { addresses: ['192.0.2.1/0'] }, '/spec/addresses/0'],
  ['twice, in two forms', { addresses: ['fe80::1', '2001:db8::1', '2001:DB8:0::1/64'] }, '/spec/addresses/2'],
  ['IPv6 begins with no link-local address', { addresses: ['2001:db8::1', 'fe80::1'] }, '/spec/addresses/0'],
  ['too many for an advert', { addresses: Array.from({ length: 91 }, (_, n) => `fe80::${n + 1}`) }, '/spec/addresses'],
  ['version 2 with IPv6', { ...six, version: 2 }, '/spec/version'],
  ['version 2 below a second', { version: 2, interval: '500ms' }, '/spec/interval'],
  ['version 2 between seconds', { version: 2, interval: '1.5s' }, '/spec/interval'],
  ['version 2 too long', { version: 2, interval: '256s' }, '/spec/interval'],
  ['version 3 off the grid', { interval: '15ms' }, '/spec/interval'],
  ['version 3 too short', { interval: '0ms' }, '/spec/interval'],
  ['version 3 too long', { interval: '41s' }, '/spec/interval'],
  ['a TTL below 255 with multicast', { minTtl: 254 }, '/spec/minTtl'],
  ['peers without unicast', { peers: ['198.51.100.9'] }, '/spec/peers'],
  ['peers that are none', { unicast: true, peers: ['1.2.3', '2001:db8::1', '224.0.0.18'] }, '/spec/peers/0', '/spec/peers/1', '/spec/peers/2'],
  ['unicast to nobody', { unicast: true, hosts: { h1: {} } }, '/spec/unicast'],
  ['unicast with a host nobody knows', { unicast: true, hosts: { h1: { priority: 3 }, h3: { priority: 2 }, h4: { priority: 1, source: '192.0.2.4' } } }, '/spec/hosts/h3'],
  ['unicast with an address of the other family', { ...six, unicast: true, hosts: { h1: {}, h2: { priority: 3, source: '2001:db8::2' } } }, '/spec/hosts/h1'],
  ['a delay of nothing', { preempt: false, preemptDelay: '5s' }, '/spec/preemptDelay'],
  ['announcements without a pause', { announce: { interval: '0ms', refresh: '50ms' } }, '/spec/announce/interval', '/spec/announce/refresh'],
  ['two owners', { hosts: { h1: { priority: 255 }, h2: { priority: 255 }, h3: { priority: 255 } } }, '/spec/hosts/h2/priority', '/spec/hosts/h3/priority'],
  ['a source that is none', { hosts: { h1: { source: '1.2.3' }, h2: { priority: 2, source: 'fe80::1' } } }, '/spec/hosts/h1/source', '/spec/hosts/h2/source'],
  ['an IPv6 source that is not link-local', { ...six, hosts: { h1: { source: '2001:db8::2' } } }, '/spec/hosts/h1/source'],
  ['a source that moves with the router', { hosts: { h1: { priority: 255, source: '192.0.2.1' }, h2: { source: '192.0.2.1' } } }, '/spec/hosts/h2/source', '/spec/hosts/h2/source'],
  ['one source twice', { hosts: { h1: { source: '192.0.2.7' }, h2: { priority: 2, source: '192.0.2.7' } } }, '/spec/hosts/h2/source'],
  ['tracked twice', { track: [{ interface: 'wan' }, { script: 'a' }], hosts: { h1: { track: [{ interface: 'wan', weight: 3 }] } } }, '/spec/hosts/h1/track/0'],
  ['no route', { track: [{ route: '10.0.0.300/8' }, { route: '10.1.0.0/8' }] }, '/spec/track/0/route', '/spec/track/1/route'],
  ['a script without a pause, one without time', { track: [{ script: 'a', interval: '50ms' }, { script: 'b', timeout: '0s' }] }, '/spec/track/0/interval', '/spec/track/1/timeout'],
];
for (const [what, change, ...paths] of cases) {
  test(`refused: ${what}`, () => assert.deepEqual(errors(change), paths));
}

test('refused, with what to write: a route with bits behind its prefix', () => {
  const messages = (route: string): readonly string[] => check({ track: [{ route }] }).map(({ message }) => message);
  assert.match(messages('10.1.2.3/12').join(), /: write 10\.0\.0\.0\/12$/);
  assert.match(messages('2001:db8::1/32').join(), /: write 2001:db8::\/32$/);
  assert.deepEqual([...messages('10.0.0.0/12'), ...messages('10.1.2.3')], []);
});

test('refused: no interface', () => {
  const { interface: _, ...rest } = good;
  const found = checkVirtualRouter('edge', { ...rest, hosts: { h1: { priority: 200 }, h2: { interface: 'eth0' } } }, new Map(), known);
  assert.deepEqual(found.map((p) => [p.severity, p.path]), [['error', '/spec/hosts/h1']]);
});

test('odd, but taken', () => {
  assert.deepEqual(warnings({ hosts: { h1: {}, h2: {}, h3: { priority: 100 } } }), ['/spec/hosts/h2', '/spec/hosts/h3/priority'], 'equal priorities');
  assert.deepEqual(warnings({ track: [{ interface: 'wan', weight: 0 }] }), ['/spec/track/0/weight']);
  assert.deepEqual(warnings({ track: [{ route: '2001:db8::/32' }] }), ['/spec/track/0/route']);
});

test('a VRID is one router\'s per interface and family of a host', () => {
  const other = { ...good, addresses: ['192.0.2.2/24'] };
  assert.deepEqual(errors({}, { other }), ['/spec/vrid']);
  assert.deepEqual(errors({}, { edge: good }), [], 'itself is no other');
  assert.deepEqual(errors(six, { other }), [], 'another family');
  assert.deepEqual(errors({}, { other: { ...other, interface: 'wan' } }), []);
  assert.deepEqual(errors({ hosts: { h1: { interface: 'wan' } } }, { other: { ...other, interface: 'wan' } }), ['/spec/vrid'], 'by the host\'s own interface');
  const elsewhere = { ...other, hosts: { h3: {} } };
  assert.deepEqual(errors({}, { other: elsewhere }), []);
  assert.deepEqual(warnings({}, { other: elsewhere }), ['/spec/vrid']);
});

test('an address is one router\'s; a link-local one is another on each link', () => {
  const other = { ...good, vrid: 52, addresses: ['192.0.2.9', '192.0.2.1/32'], hosts: { h9: {} } };
  assert.deepEqual(errors({}, { other }), ['/spec/addresses/0']);
  const sixth = { ...six, vrid: 52, addresses: ['fe80::51'] };
  assert.deepEqual(errors(six, { other: sixth }), ['/spec/addresses/0']);
  assert.deepEqual(errors(six, { other: { ...sixth, interface: 'wan' } }), []);
});

test('a script is run once on a host, so all say the same of it', () => {
  const other: VirtualRouterSpec = { ...good, vrid: 52, addresses: ['192.0.2.2'], track: [{ script: 'a' }] };
  assert.deepEqual(errors({ track: [{ script: 'a', interval: '2000ms', weight: 5 }] }, { other }), []);
  assert.deepEqual(errors({ track: [{ script: 'a', fall: 2 }] }, { other }), ['/spec/track/0'], 'told once, not for each host');
  assert.deepEqual(errors({ hosts: { h3: { track: [{ script: 'a', fall: 2 }] } } }, { other }), [], 'on another host');
});

test('members of a group go together', () => {
  const other: VirtualRouterSpec = { ...good, vrid: 52, addresses: ['192.0.2.2'], group: 'g' };
  const group = 'g';
  assert.deepEqual(check({ group }, { other }), []);
  assert.deepEqual(errors({ group, preempt: false }, { other }), ['/spec/preempt']);
  assert.deepEqual(errors({ group }, { other: { ...other, preempt: false } }), ['/spec/group']);
  assert.deepEqual(warnings({ group, preemptDelay: '5s' }, { other }), ['/spec/preemptDelay']);
  assert.deepEqual(warnings({ group, hosts: { h1: { priority: 200 } } }, { other }), ['/spec/hosts']);
  assert.deepEqual(check({ group: 'other', preempt: false }, { other }), []);
});

test('a host has one priority for all members of a group', () => {
  const spec = (vrid: number, a: number | undefined, b: number): VirtualRouterSpec => (
    { vrid, addresses: [`192.0.2.${vrid}/24`], interface: 'lan', group: 'g', hosts: { a: a === undefined ? {} : { priority: a }, b: { priority: b } } });
  const paths = (one: VirtualRouterSpec, other: VirtualRouterSpec): readonly string[] =>
    checkVirtualRouter('one', one, new Map([['other', other]])).map(({ severity, path }) => `${severity} ${path}`);
  assert.deepEqual(paths(spec(1, 150, 90), spec(2, 254, 90)), ['error /spec/hosts/a/priority'], 'both prefer a, and may not once weights count');
  assert.deepEqual(paths(spec(1, undefined, 90), spec(2, 150, 80)), ['error /spec/hosts/a', 'error /spec/hosts/b/priority']);
  assert.deepEqual(paths(spec(1, undefined, 90), spec(2, 100, 90)), []);
  assert.deepEqual(paths(spec(1, 200, 90), { ...spec(2, 254, 90), group: 'h' }), []);
});

test('unicast from the address that a host is reached by: is that on the router\'s network?', () => {
  const near = (host: string): string | undefined => ({ h1: '192.0.2.11', h2: '192.0.2.12' })[host];
  const odd = (change: Change, of = known): readonly string[] => check({ unicast: true, ...change }, {}, of).map(({ severity, path }) => `${severity} ${path}`);
  assert.deepEqual(odd({}), ['warning /spec/hosts/h1', 'warning /spec/hosts/h2']);
  assert.deepEqual(odd({}, near), []);
  assert.deepEqual(odd({ hosts: { h1: { priority: 9, source: '198.51.100.7' }, h2: { source: '198.51.100.8' } } }), [], 'it is what was wanted');
  assert.deepEqual(odd({ addresses: ['192.0.2.1'] }), [], 'which network that is nobody says');
  assert.deepEqual(odd({ addresses: ['198.51.96.1/21'] }), []);
  assert.deepEqual(odd({ addresses: ['198.51.101.1/24'] }), ['warning /spec/hosts/h1', 'warning /spec/hosts/h2']);
});

test('without the hosts\' addresses nothing is said about them', () => {
  assert.deepEqual(checkVirtualRouter('edge', { ...good, unicast: true }, new Map()), []);
  assert.deepEqual(checkVirtualRouter('edge', { ...good, unicast: true }, new Map(), () => undefined).map((p) => p.path), ['/spec/hosts/h1', '/spec/hosts/h2']);
});
