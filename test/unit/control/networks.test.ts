/** The networks that Godwit makes: what each host is told of them, as VMs start, move and go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WantedNetwork } from '../../../src/api/agent-protocol.ts';
import { ControlWorld, codeOf, vmOn } from './world.ts';

const spec = { bridge: 'br-o', vxlan: { vni: 7 } };
const onNetwork = (n: number, host: string): object => ({ host, nics: [{ network: 'o', mac: `52:54:00:00:00:0${n}`, addresses: [`10.1.0.${n}`] }] });
const nic = (n: number, at?: string) => ({ mac: `52:54:00:00:00:0${n}`, addresses: [`10.1.0.${n}`], ...(at === undefined ? {} : { at }) });

async function wanted(world: ControlWorld, host: string): Promise<readonly WantedNetwork[]> {
  return (await world.agent(host).wanted()).networks ?? assert.fail('networks are always told');
}

test('a host is told of a network when it has a VM on it, or one comes: with its other hosts, and who is where', async () => {
  const world = await ControlWorld.open(['host-a', 'host-b', 'host-c']);
  const [a, b] = ['10.0.0.1', '10.0.0.2'];
  await world.plane.apply([{ kind: 'Network', name: 'o', spec }, { kind: 'Network', name: 'lan', spec: { bridge: 'br0' } }]);
  assert.deepEqual(await wanted(world, 'host-a'), []);

  // No host has the bridge: it is made where it is needed.
  await world.plane.apply([vmOn('one', onNetwork(1, 'host-a')), vmOn('two', onNetwork(2, 'host-b'))]);
  await world.agent('host-a').run();
  await world.agent('host-b').run();
  assert.deepEqual(await wanted(world, 'host-a'), [{ name: 'o', spec, peers: [b], nics: [nic(1), nic(2, b)] }]);
  assert.deepEqual(await wanted(world, 'host-b'), [{ name: 'o', spec, peers: [a], nics: [nic(1, a), nic(2)] }]);
  assert.deepEqual(await wanted(world, 'host-c'), []);

  await world.plane.migrate({ vm: 'one', to: 'host-c' });
  const [atDestination] = await wanted(world, 'host-c');
  assert.deepEqual(atDestination, { name: 'o', spec, peers: [a, b], nics: [nic(1, a), nic(2, b)] });
  assert.deepEqual((await wanted(world, 'host-a'))[0]?.peers, [b, '10.0.0.3']);
  await world.close();
});

const network = (name: string, of: object) => ({ kind: 'Network' as const, name, spec: of });

test('networks that would be in each other\'s way are refused; and a change under a VM that runs', async () => {
  const world = await ControlWorld.open();
  await world.plane.apply([network('o', spec)]);
  const faults = async (...documents: Parameters<typeof world.plane.apply>[0]): Promise<string> => {
    const error: unknown = await world.plane.apply(documents).then(() => undefined, (e: unknown) => e);
    assert.ok(error instanceof Error && 'faults' in error, 'it is refused');
    return JSON.stringify(error.faults);
  };
  assert.match(await faults(network('p', { bridge: 'br-o', vxlan: { vni: 8 } })), /\/spec\/bridge.*br-o is network o's/);
  assert.match(await faults(network('p', { bridge: 'br-o' })), /\/spec\/bridge.*br-o is network o's/);
  assert.match(await faults(network('p', { bridge: 'br-p', vxlan: { vni: 7 } })), /\/spec\/vxlan\/vni.*7 is network o's number/);
  assert.match(await faults(network('p', { bridge: 'br-p', vxlan: { vni: 8 }, routed: { gateways: ['10.1.0.1/24'] } })), /\/spec\/vxlan"/);

  await world.running('host-a');
  await world.plane.apply([vmOn('one', onNetwork(1, 'host-a'))]);
  await world.agent('host-a').run();
  assert.match(await faults(network('o', { bridge: 'br-o', vxlan: { vni: 9 } })), /one is on it.*stop its VMs/);
  assert.equal(await codeOf(world.plane.apply([network('o', { ...spec, mtu: 1400 })])), 'it went well');
  await world.close();
});
