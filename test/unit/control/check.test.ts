/** `config check` and `apply` of virtual routers: what is refused, and what is only odd; with a server's state, and without. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Declaration, type Fault } from '../../../src/api/api.ts';
import { checkOffline } from '../../../src/control/offline-check.ts';
import { gateway, routerStatus } from './router-parts.ts';
import { ControlWorld, vmOn } from './world.ts';

const lines = (faults: readonly Fault[]): string[] => faults.map(({ document, path, message }) => `${document} ${path} ${message}`);

async function refused(ask: () => unknown): Promise<string[]> {
  try {
    await ask();
  } catch (error) {
    assert.ok(error instanceof ApiError && error.code === 'CONTROL_INVALID', String(error));
    return lines(error.faults);
  }
  return [];
}

const BAD: readonly Declaration[] = [
  gateway({ interval: '15ms', hosts: { 'hast-a': {}, 'host-b': {} } }),
  gateway({ addresses: ['192.0.2.9/24'] }, 'other'),
];

test('what cannot work is refused by both alike; nothing is stored', async () => {
  const world = await ControlWorld.open();
  const said = [
    '0 /spec/hosts/hast-a there is no host hast-a: did you mean host-a?',
    '0 /spec/interval version 3 can say 10ms to 40.95s in steps of 10 ms, not 15ms (RFC 9568 §5.2.7)',
    '0 /spec/vrid VirtualRouter other has VRID 10 on eth0 of host-b too: take another one',
    '1 /spec/vrid VirtualRouter gw has VRID 10 on eth0 of host-b too: take another one',
  ];
  assert.deepEqual(await refused(() => world.plane.apply(BAD)), said);
  assert.deepEqual(await refused(() => world.plane.check(BAD)), said);
  assert.deepEqual(await world.plane.list('VirtualRouter'), []);
  // By themselves: what they refer to may be there.
  assert.deepEqual(await refused(() => checkOffline(BAD, 0)), said.slice(1));
  await world.close();
});

test('against what is declared already: the clash is with what stays, not with what is declared anew', async () => {
  const world = await ControlWorld.open();
  await world.plane.apply([gateway()]);
  assert.deepEqual((await world.plane.apply([gateway({ addresses: ['192.0.2.2/24'] })])).map((a) => a.change), ['changed']);
  assert.match((await refused(() => world.plane.check([gateway({ addresses: ['192.0.2.3/24'] }, 'other')])))[0] ?? '', /VirtualRouter gw has VRID 10/);
  await world.close();
});

test('what is odd is a warning, and nothing is stored', async () => {
  const world = await ControlWorld.open();
  await world.plane.apply([gateway()]);
  const { timing } = routerStatus({});
  world.agent('host-b').routers = { gw: routerStatus({ timing: { ...timing, smallestInterval: 250 } }) };
  await world.live(1000);
  const documents = [
    gateway({ hosts: { 'host-a': {}, 'host-b': {} } }), gateway({ vrid: 11, addresses: ['192.0.2.8/24'], interval: '300ms' }, 'slow'),
    { kind: 'Network', name: 'lan', spec: { bridge: 'br7' } },
  ];
  const before = (await world.store.list('/')).revision;
  assert.deepEqual(lines(await world.plane.check(documents)), [
    '0 /spec/hosts/host-b host-a has priority 100 too: when both start, the higher address decides who is Active',
    '0 /spec/interval host-b cannot hold less than 250 ms now, by its own measure: it will send more slowly, and its Backups wait the longer',
    '2 /spec/bridge there is no bridge br7 on host-a, host-b: its VMs cannot run there',
  ]);
  assert.equal((await world.store.list('/')).revision, before);
  // Of a host that is silent nothing is known.
  await world.live(8000, ['host-a']);
  assert.deepEqual(lines(await world.plane.check([gateway()])), []);
  await world.close();
});

test('offline: what is not in the files has to be declared already', () => {
  const vm = vmOn('web-1', { host: 'host-x', nics: [{ network: 'lan', mac: '52:54:00:00:00:01' }, { network: 'dmz', mac: '52:54:00:00:00:02' }] });
  assert.deepEqual(lines(checkOffline([vm, { kind: 'Network', name: 'lan', spec: { bridge: 'br0' } }, gateway({ unicast: true })], 0)), [
    '0 /spec/nics/1/network network dmz is not in these files: it has to be declared already',
  ]);
});

test('offline: sessions, paths and what hangs on them are checked as far as the files say', async () => {
  const session = { kind: 'BfdSession', name: 's', spec: { peer: '10.0.0.254', hosts: { 'host-x': {} }, hops: 2 } };
  const policy = { kind: 'Policy', name: 'default', spec: { paths: { nosuch: {} }, detect: { interval: '0ms' } } };
  assert.deepEqual(checkOffline([session], 0), [], 'its hosts are not in these files');
  assert.match((await refused(() => checkOffline([{ ...session, spec: { ...session.spec, echo: '5ms' } }, policy], 0))).join('\n'), /\/spec\/echo [\s\S]*\/spec\/detect\/interval/);
});

test('unicast: a host whose address is of the other family needs a source', async () => {
  const world = await ControlWorld.open();
  const six = gateway({ unicast: true, addresses: ['fe80::1/64'] });
  assert.match((await refused(() => world.plane.apply([six]))).join('\n'), /\/spec\/hosts\/host-a .*give it a source/);
  await world.close();
});
