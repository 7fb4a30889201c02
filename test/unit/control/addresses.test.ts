/** Who is where, as the hosts tell it: merged with what is declared; a conflict is told once, whoever tells of it and whatever falls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AddressesReport } from '../../../src/api/agent-protocol.ts';
import type { WatchEvent } from '../../../src/api/api.ts';
import type { AddressSighting, ConflictSighting } from '../../../src/model/address.ts';
import { drain } from '../agent/manual-clock.ts';
import { ControlWorld, codeOf, vmOn } from './world.ts';

const [web1, db1, stranger] = ['52:54:00:00:00:01', '52:54:00:00:00:02', '02:00:00:00:00:99'];
const network = { kind: 'Network', name: 'web', spec: { bridge: 'br0' } };
const vm = (name: string, mac: string, host: string, addresses: readonly string[]) => vmOn(name, { host, nics: [{ network: 'web', mac: mac.toUpperCase(), addresses }] });

const sighting = (mac: string, more: Partial<AddressSighting> = {}): AddressSighting =>
  ({ network: 'web', address: '10.1.0.5', mac, place: 'outside', evidence: 'arp', first: 5000, last: 100, ...more });
const here = (name: string, mac: string): AddressSighting => sighting(mac, { place: 'here', vm: name, nic: 0, port: 'gt-x-0' });
const conflict: ConflictSighting = {
  network: 'web', address: '10.1.0.5', by: 'claim', first: 10, last: 10, ends: [{ mac: web1, vm: 'web-1', nic: 0, port: 'gt-x-0' }, { mac: stranger, port: 'br0' }],
};
/** The other way round, as another host sees it. */
const seenFromAfar: ConflictSighting = { ...conflict, ends: [{ mac: stranger, port: 'br0' }, { mac: web1, port: 'br0' }] };
const told = (seen: readonly AddressSighting[], conflicts: readonly ConflictSighting[] = [], guards: AddressesReport['guards'] = []): AddressesReport => ({ seen, conflicts, guards, untold: 0 });

async function opened(): Promise<ControlWorld> {
  const world = await ControlWorld.open();
  await world.plane.apply([network, vm('web-1', web1, 'host-a', ['10.1.0.5', 'fd00::5']), vm('db-1', db1, 'host-b', [])]);
  for (const agent of world.agents.values()) await agent.run();
  return world;
}

const conflictEvents = async (world: ControlWorld): Promise<string[]> =>
  (await world.plane.list('Event')).flatMap(({ spec: { reason, severity, message, about } }) => (about.kind === 'Address' ? [`${severity} ${reason} ${about.name}: ${message}`] : []));

test('what is declared is there before it is seen; hosts\' sightings are put together', async () => {
  const world = await opened();
  const before = await world.plane.list('Address');
  assert.deepEqual(before.map(({ name, status }) => [name, status?.holders]), [
    ['web/10.1.0.5', [{ mac: web1, vm: 'web-1', nic: 0, host: 'host-a', evidence: 'declared', seenBy: [] }]],
    ['web/fd00::5', [{ mac: web1, vm: 'web-1', nic: 0, host: 'host-a', evidence: 'declared', seenBy: [] }]],
  ]);
  world.agent('host-a').addresses = told([here('web-1', web1), sighting(stranger, { address: '10.1.0.1', last: 300 })]);
  world.agent('host-b').addresses = told([sighting(web1, { last: 2000 }), { ...here('db-1', db1), address: '10.1.0.7', evidence: 'dhcp' }]);
  await world.live(1000);
  const now = world.clock.now();
  const all = await world.plane.list('Address');
  assert.deepEqual(all.map(({ name, status }) => [name, status?.holders]), [
    ['web/10.1.0.1', [{ mac: stranger, evidence: 'arp', seenBy: ['host-a'], first: now - 5000, last: now - 300 }]],
    ['web/10.1.0.5', [{ mac: web1, vm: 'web-1', nic: 0, host: 'host-a', evidence: 'arp', seenBy: ['host-a', 'host-b'], first: now - 5000, last: now - 100 }]],
    ['web/10.1.0.7', [{ mac: db1, vm: 'db-1', nic: 0, host: 'host-b', evidence: 'dhcp', seenBy: ['host-b'], first: now - 5000, last: now - 100 }]],
    ['web/fd00::5', [{ mac: web1, vm: 'web-1', nic: 0, host: 'host-a', evidence: 'declared', seenBy: [] }]],
  ]);
  assert.deepEqual((await world.plane.get('Address', 'web/10.1.0.7')).spec, { network: 'web', address: '10.1.0.7' });
  assert.equal(await codeOf(world.plane.get('Address', 'web/10.9.9.9')), 'CONTROL_NOT_FOUND');
  await assert.rejects(world.plane.get('Address', '10.1.0.7'), /did you mean web\/10\.1\.0\.7\?/, 'without its network');
  assert.equal(await codeOf(world.plane.remove('Address', 'web/10.1.0.5')), 'CONTROL_NOT_DELETABLE');
  await world.close();
});

test('a server that is started anew has it again with the next reports', async () => {
  const world = await opened();
  world.agent('host-b').addresses = told([here('db-1', db1)]);
  await world.live(1000);
  await world.restart();
  assert.deepEqual((await world.plane.get('Address', 'web/10.1.0.5')).status?.holders.map(({ vm: name }) => name), ['web-1']);
  await world.live(1000);
  assert.deepEqual((await world.plane.get('Address', 'web/10.1.0.5')).status?.holders.map(({ vm: name }) => name), ['db-1', 'web-1']);
  await world.close();
});

test('a conflict is one alarm that names both ends, whichever hosts tell of it, how often, and through a restart; and ends once', async () => {
  const world = await opened();
  const [a, b] = [world.agent('host-a'), world.agent('host-b')];
  a.addresses = told([], [conflict]);
  b.addresses = told([], []);
  await world.live(3000);
  const began = `alarm AddressConflict web/10.1.0.5: 10.1.0.5 on network web: VM web-1 (NIC 0, ${web1}, on host-a, gt-x-0) and ${stranger} (none of Godwit's VMs, seen by host-a at br0) both claim it. Take it from one of them`;
  assert.deepEqual(await conflictEvents(world), [began]);
  assert.equal((await world.plane.get('Address', 'web/10.1.0.5')).status?.conflicts.length, 1);
  b.addresses = told([], [seenFromAfar]);
  await world.live(2000);
  await world.restart();
  await world.live(2000);
  a.addresses = told([], []);
  await world.live(2000);
  assert.deepEqual(await conflictEvents(world), [began], 'the other host tells of it still');
  b.addresses = told([], []);
  await world.live(3000);
  const events = await conflictEvents(world);
  assert.equal(events.length, 2);
  assert.match(events[1] ?? '', /^info AddressConflictEnded web\/10\.1\.0\.5: /);
  assert.deepEqual((await world.plane.get('Address', 'web/10.1.0.5')).status?.conflicts, []);
  await world.close();
});

test('an end outside of one host that is another\'s guest is named as that', async () => {
  const world = await opened();
  world.agent('host-a').addresses = told([], [{ ...conflict, ends: [conflict.ends[0], { mac: db1, port: 'br0' }] }]);
  await world.live(1000);
  assert.match((await conflictEvents(world))[0] ?? '', new RegExp(`VM db-1 \\(NIC 0, ${db1}, on host-b\\) both claim it`));
  await world.close();
});

test('a watch tells what changed, and not that it was seen again', async () => {
  const world = await opened();
  const stop = new AbortController();
  const events: string[] = [];
  const say = (event: WatchEvent<'Address'>): string => (event.kind === 'put' ? `put ${event.resource.name} ${event.resource.status?.holders.map(({ mac }) => mac).join(' ')}` : event.kind === 'delete' ? `delete ${event.name}` : 'synced');
  const watching = (async () => {
    for await (const event of world.plane.watch('Address', stop.signal)) events.push(say(event));
  })();
  await drain();
  assert.deepEqual(events.splice(0), [`put web/10.1.0.5 ${web1}`, `put web/fd00::5 ${web1}`, 'synced']);
  world.agent('host-b').addresses = told([sighting(stranger, { address: '10.1.0.1' })]);
  await world.live(5000);
  assert.deepEqual(events.splice(0), [`put web/10.1.0.1 ${stranger}`]);
  world.agent('host-b').addresses = told([]);
  await world.live(3000);
  assert.deepEqual(events.splice(0), ['delete web/10.1.0.1']);
  stop.abort();
  await watching;
  await world.close();
});

test('what its host has seen of a VM is shown with the VM', async () => {
  const world = await opened();
  world.agent('host-a').addresses = told([here('web-1', web1)], [], [{ vm: 'web-1', nic: 0, dropped: { arp: 3 } }]);
  await world.live(1000);
  assert.deepEqual((await world.vm('web-1')).nics, [{ nic: 0, seen: ['10.1.0.5'], dropped: { arp: 3 } }]);
  assert.equal((await world.vm('db-1')).nics, undefined);
  await world.close();
});

test('virtual routers: by network where their interface is its bridge, at the host that is Active', async () => {
  const world = await opened();
  await world.plane.apply([{ kind: 'VirtualRouter', name: 'gw', spec: { vrid: 10, addresses: ['10.1.0.1/24'], interface: 'br0', hosts: { 'host-a': {}, 'host-b': {} } } }]);
  const [address] = await world.plane.list('Address');
  assert.deepEqual([address?.name, address?.status?.holders], ['web/10.1.0.1', [{ mac: '00:00:5e:00:01:0a', router: 'gw', evidence: 'declared', seenBy: [] }]]);
  // Without virtual MAC it is whose host answers.
  await world.plane.apply([{ kind: 'VirtualRouter', name: 'gw', spec: { vrid: 10, addresses: ['10.1.0.1/24'], interface: 'br0', virtualMac: false, hosts: { 'host-a': {}, 'host-b': {} } } }]);
  const macs = async () => (await world.plane.get('Address', 'web/10.1.0.1')).status?.holders.map(({ mac, router }) => [mac, router]);
  assert.deepEqual(await macs(), [[undefined, 'gw']]);
  world.agent('host-b').addresses = told([sighting(stranger, { address: '10.1.0.1', router: 'gw' })]);
  await world.live(1000);
  assert.deepEqual(await macs(), [[stranger, 'gw']]);
  await world.close();
});

test('a guard without addresses is refused: of a NIC, by its network\'s default, and of a network whose VMs have none', async () => {
  const world = await opened();
  const nic = { network: 'web', mac: '52:54:00:00:00:03' };
  const refusal = async (...documents: Parameters<typeof world.plane.apply>[0][number][]): Promise<string> => {
    try {
      await world.plane.apply(documents);
      return 'it was taken';
    } catch (error) {
      assert.ok(error instanceof Error && 'faults' in error && Array.isArray(error.faults));
      return error.faults.map(({ path, message }: { path: string; message: string }) => `${path}: ${message}`).join('\n');
    }
  };
  assert.match(await refusal(vmOn('x', { nics: [{ ...nic, guard: true }] })), /^\/spec\/nics\/0\/addresses: A guarded NIC .* has none/);
  assert.match(await refusal({ ...network, spec: { bridge: 'br0', guard: true } }), /^\/spec\/guard: .*db-1 on web has none/);
  const guarded = { kind: 'Network', name: 'safe', spec: { bridge: 'br1', guard: true } };
  assert.match(await refusal(guarded, vmOn('x', { nics: [{ ...nic, network: 'safe' }] })), /^\/spec\/nics\/0\/addresses/);
  assert.equal(await refusal(guarded, vmOn('x', { nics: [{ ...nic, network: 'safe', guard: false }] })), 'it was taken');
  await world.close();
});
