/** `apply`: every fault of every document at once, and all or nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type Declaration } from '../../../src/api/api.ts';
import { ControlWorld, vmOn } from './world.ts';

const lan: Declaration = { kind: 'Network', name: 'lan', spec: { bridge: 'br0' } };
const nic = (mac: string, ...addresses: string[]): object => ({ network: 'lan', mac: `52:54:00:00:00:${mac}`, addresses });

async function faults(world: ControlWorld, ...documents: Declaration[]): Promise<string[]> {
  try {
    await world.plane.apply(documents);
  } catch (error) {
    assert.ok(error instanceof ApiError);
    assert.equal(error.code, 'CONTROL_INVALID');
    return error.faults.map(({ document, path, message }) => `${document} ${path} ${message}`);
  }
  return [];
}

test('documents may refer to each other, and to apply again changes nothing', async () => {
  const world = await ControlWorld.open(['host-a']);
  const documents = [vmOn('web-1', { host: 'host-a', nics: [nic('01', '10.0.0.1')] }), lan, { kind: 'Host', name: 'host-a', spec: { address: '10.0.0.1', moves: 4 } }];
  assert.deepEqual(await world.plane.apply(documents, { dryRun: true }), [
    { kind: 'Vm', name: 'web-1', change: 'created' }, { kind: 'Network', name: 'lan', change: 'created' }, { kind: 'Host', name: 'host-a', change: 'changed' },
  ]);
  assert.deepEqual(await world.plane.list('Vm'), []);
  const before = (await world.store.list('/')).revision;
  await world.plane.apply(documents);
  const { revision } = await world.store.list('/');
  assert.equal(revision, before + 1);
  assert.deepEqual((await world.plane.apply(documents)).map((a) => a.change), ['unchanged', 'unchanged', 'unchanged']);
  // What `get` showed may be applied too.
  assert.deepEqual((await world.plane.apply([{ ...(await world.plane.get('Vm', 'web-1')) }])).map((a) => a.change), ['unchanged']);
  assert.equal((await world.store.list('/')).revision, revision);
  await world.close();
});

test('all faults are told, each with its place and what to do, and nothing is stored', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.plane.apply([lan, vmOn('old', { running: false, nics: [nic('0A', '10.0.0.7', '2001:db8::7')] })]);
  const found = await faults(
    world, { kind: 'Network', name: 'good', spec: { bridge: 'br1' } },
    vmOn('web-1', { memroy: '1GiB', memory: 1, accelerator: 'kvn', host: 'hast-a' }),
    vmOn('web-2', { host: 'hast-a', nics: [{ network: 'lann', mac: '52:54:00:00:00:01' }, nic('0a', '10.0.0.300', '2001:DB8:0:0::7'), nic('02', '10.0.0.9'), nic('02', '10.0.0.9')] }),
    vmOn('web-2'), { kind: 'Vmm', name: 'x', spec: {} }, { kind: 'Migration', name: 'x', spec: {} },
    { kind: 'Host', name: 'host-x', spec: { address: 'here' } }, { kind: 'Policy', name: 'mine', spec: { hosts: { silentAfter: '0ms' } } },
  );
  assert.deepEqual(found, [
    '1 /spec/memroy unknown key "memroy"; did you mean memory?',
    '1 /spec/memory 1 is not a size, like 512MiB or 4GiB',
    '1 /spec/accelerator "kvn" is not one of kvm, tcg; did you mean kvm?',
    '2 /spec/nics/0/network there is no network lann: did you mean lan?',
    '2 /spec/nics/1/addresses/0 "10.0.0.300" is no IP address',
    '2 /spec/host there is no host hast-a: did you mean host-a?',
    "2 /spec/nics/1/mac 52:54:00:00:00:0a is old's on network lan: each may be there once",
    "2 /spec/nics/1/addresses/1 2001:DB8:0:0::7 is old's on network lan: each may be there once",
    '2 /spec/nics/3/mac 52:54:00:00:00:02 is there twice on network lan: each may be there once',
    '2 /spec/nics/3/addresses/0 10.0.0.9 is there twice on network lan: each may be there once',
    '3 /name Vm web-2 is declared twice: document 3 declares it too',
    '4 /kind there is no kind "Vmm"; did you mean Vm?',
    '5 /kind Migration cannot be declared; take it out, or name one of Host, Network, Vm, VirtualRouter, BfdSession, Policy',
    '6 /name there is no host host-x: did you mean host-a? a host comes by joining: `godwit token create`, then `godwit agent join` on it',
    '6 /spec/address "here" is no IP address',
    '7 /name there is one policy, and its name is default',
    '7 /spec/hosts/silentAfter shorter than an agent takes to report: 5s is usual',
  ]);
  assert.deepEqual((await world.plane.list('Network')).map((n) => n.name), ['lan']);
  await world.close();
});

test('labels are set, selected by and taken away', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.plane.apply([{ ...lan, labels: { site: 'x' } }]);
  assert.equal((await world.plane.list('Network', { labels: { site: 'x' } })).length, 1);
  assert.equal((await world.plane.list('Network', { labels: { site: 'y' } })).length, 0);
  await world.plane.apply([lan]);
  assert.equal((await world.plane.list('Network', { labels: { site: 'x' } })).length, 0);
  await world.close();
});
