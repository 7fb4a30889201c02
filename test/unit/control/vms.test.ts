/** VMs: placed, started, stopped, ended, deleted, and not known. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VmReport } from '../../../src/api/agent-protocol.ts';
import { StoreError } from '../../../src/store/store-errors.ts';
import { ControlWorld, codeOf, vmOn } from './world.ts';

test('a declared VM gets the ready host with most room, and its placement is stored before an agent is told', async () => {
  const world = await ControlWorld.open();
  world.agent('host-b').facts = { freeMemory: 2 ** 34 };
  await world.agent('host-b').report();
  await world.plane.apply([vmOn('web-1')]);
  const { state, placement } = await world.vm('web-1');
  assert.equal(state, 'starting');
  assert.equal(placement?.host, 'host-b');
  const [wanted] = (await world.agent('host-b').wanted()).vms;
  assert.deepEqual(wanted?.placement, placement);
  assert.equal(wanted?.running, true);
  assert.deepEqual((await world.agent('host-a').wanted()).vms, []);
  await world.agent('host-b').run();
  assert.equal((await world.vm('web-1')).state, 'running');
  await world.close();
});

test('where no host fits, it waits with the reasons, and starts when one does', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.plane.apply([vmOn('big', { memory: '100GiB' })]);
  const before = await world.vm('big');
  assert.equal(before.state, 'stopped');
  assert.match(before.reason ?? '', /host-a has 8192 MiB free of the 102400 needed/);
  world.agent('host-a').facts = { freeMemory: 2 ** 38 };
  await world.live(2000);
  assert.equal((await world.vm('big')).state, 'starting');
  await world.close();
});

test('VMs declared at once share the room there is', async () => {
  const world = await ControlWorld.open(['host-a', 'host-b']);
  await world.plane.apply(['a', 'b', 'c', 'd'].map((name) => vmOn(name, { memory: '3GiB' })));
  const hosts = (await world.plane.list('Vm')).map(({ status }) => status?.placement?.host);
  assert.deepEqual(hosts, ['host-a', 'host-b', 'host-a', 'host-b']);
  await world.close();
});

test('a VM whose QEMU ended is failed with the reason, and starts again only when told to', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.running('host-a', 'web-1');
  const agent = world.agent('host-a');
  const { placement } = await world.vm('web-1');
  assert.ok(placement);
  agent.vms = [{ name: 'web-1', placement, state: 'ended', reason: 'KVM internal error' }];
  await agent.report();
  assert.deepEqual([(await world.vm('web-1')).state, (await world.vm('web-1')).reason], ['failed', 'KVM internal error']);
  await world.live(20_000);
  assert.equal((await world.vm('web-1')).placement?.start, placement.start);
  assert.ok((await world.events()).includes('Failed'));

  await world.plane.start('web-1');
  const again = await world.vm('web-1');
  assert.deepEqual([again.state, again.placement], ['starting', { ...placement, start: placement.start + 1 }]);
  // The agent has not heard of it yet, and says once more that the first start ended.
  await agent.report();
  assert.equal((await world.vm('web-1')).state, 'starting');
  await world.close();
});

test('stopping is asked for, shown, and done when the agent says so; a start in between is refused', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.running('host-a', 'web-1');
  const shown = (await world.plane.stop('web-1', { force: true })).status;
  assert.deepEqual([shown?.state, shown?.reason], ['running', 'is being stopped']);
  const [wanted] = (await world.agent('host-a').wanted()).vms;
  assert.deepEqual([wanted?.running, wanted?.force], [false, true]);
  assert.equal(await codeOf(world.plane.start('web-1')), 'CONTROL_VM_STOPPING');
  assert.equal(await codeOf(world.plane.apply([vmOn('web-1', { host: 'host-a' })])), 'CONTROL_INVALID');
  await world.agent('host-a').run();
  assert.equal((await world.vm('web-1')).state, 'stopped');
  await world.plane.apply([vmOn('web-1', { host: 'host-a' })]);
  const again = await world.vm('web-1');
  assert.deepEqual([again.state, again.placement?.start], ['starting', 2]);
  assert.equal((await world.agent('host-a').wanted()).vms[0]?.force, undefined);
  await world.close();
});

test('a deleted VM is there until its agent says it is gone, and its next namesake gets a higher epoch', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.running('host-a', 'web-1');
  const { placement } = await world.vm('web-1');
  assert.ok(placement);
  await world.plane.remove('Vm', 'web-1');
  assert.match((await world.vm('web-1')).reason ?? '', /stopped and deleted/);
  const [wanted] = (await world.agent('host-a').wanted()).vms;
  assert.deepEqual([wanted?.running, wanted?.removed], [false, true]);
  world.agent('host-a').vms = [];
  await world.agent('host-a').report();
  assert.ok(await world.vm('web-1'), 'that an agent does not speak of it is no proof');
  world.agent('host-a').vms = [{ name: 'web-1', placement, state: 'gone' }];
  await world.agent('host-a').report();
  assert.equal(await codeOf(world.plane.get('Vm', 'web-1')), 'CONTROL_NOT_FOUND');
  await world.plane.apply([vmOn('web-1')]);
  // What the agent still says of the former one.
  await world.agent('host-a').report();
  const after = await world.vm('web-1');
  assert.equal(after.state, 'starting');
  assert.ok((after.placement?.epoch ?? 0) > placement.epoch);
  await world.plane.remove('Vm', 'web-1');
  await world.agent('host-a').report();
  assert.ok(await world.vm('web-1'), 'it is the former one that is gone');
  await world.close();
});

test('a silent host: its VMs are unknown and not started elsewhere; a stopped one may be', async () => {
  const world = await ControlWorld.open();
  await world.running('host-a', 'web-1');
  await world.plane.apply([vmOn('web-2', { running: false })]);
  await world.live(6000, ['host-b']);
  assert.equal((await world.plane.get('Host', 'host-a')).status?.state, 'silent');
  assert.equal((await world.plane.get('Host', 'host-b')).status?.state, 'ready');
  assert.equal((await world.vm('web-1')).state, 'unknown');
  assert.equal(await codeOf(world.plane.start('web-1')), 'CONTROL_VM_UNKNOWN');
  assert.equal(await codeOf(world.plane.migrate({ vm: 'web-1', to: 'host-b' })), 'CONTROL_HOST_SILENT');
  await world.plane.start('web-2');
  assert.equal((await world.vm('web-2')).placement?.host, 'host-b');
  await world.agent('host-a').report();
  assert.equal((await world.vm('web-1')).state, 'running');
  assert.deepEqual((await world.events()).filter((e) => e.startsWith('Agent')), ['AgentSilent', 'AgentBack']);
  await world.close();
});

test('a server that has just begun accuses nobody before it has listened for long enough', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.clock.advance(4000);
  await world.restart();
  await world.clock.advance(4500);
  assert.equal((await world.plane.get('Host', 'host-a')).status?.state, 'ready');
  await world.clock.advance(1500);
  assert.equal((await world.plane.get('Host', 'host-a')).status?.state, 'silent');
  await world.close();
});

test('a server put back from a copy learns newer placements from the agents', async () => {
  const world = await ControlWorld.open();
  await world.running('host-a', 'web-1');
  const { placement } = await world.vm('web-1');
  world.agent('host-b').vms = [{ name: 'web-1', placement: { host: 'host-b', epoch: (placement?.epoch ?? 0) + 1, start: 1 }, state: 'running' }];
  await world.agent('host-b').report();
  await world.agent('host-a').report();
  const learned = await world.vm('web-1');
  assert.deepEqual([learned.placement?.host, learned.state], ['host-b', 'running']);
  assert.ok((await world.events()).includes('PlacementLearned'));
  await world.close();
});

test('an order to announce a VM rises with each, is refused where nobody could, and is shown to nobody else', async () => {
  const world = await ControlWorld.open();
  await world.plane.apply([vmOn('web-1', { host: 'host-a' })]);
  assert.equal(await codeOf(world.plane.announce('web-2')), 'CONTROL_NOT_FOUND');
  assert.equal(await codeOf(world.plane.announce('web-1')), 'CONTROL_VM_NOT_RUNNING');
  await world.agent('host-a').run();
  assert.equal((await world.agent('host-a').wanted()).vms[0]?.announce, undefined);
  await world.plane.announce('web-1');
  const shown = await world.plane.announce('web-1');
  assert.ok(!('announce' in shown));
  assert.equal((await world.agent('host-a').wanted()).vms[0]?.announce, 2);
  assert.equal((await world.events()).filter((e) => e === 'Announced').length, 2);
  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  assert.equal(await codeOf(world.plane.announce('web-1')), 'CONTROL_VM_MOVING');
  await world.running('host-b', 'web-3');
  await world.live(8000, ['host-a']);
  assert.equal(await codeOf(world.plane.announce('web-3')), 'CONTROL_HOST_SILENT');
  await world.close();
});

test('a VM that a host runs and nobody declared is told, once; declared, it is taken over as it runs, not started again', async () => {
  const world = await ControlWorld.open();
  const b = world.agent('host-b');
  b.vms = [{ name: 'web-1', placement: { host: 'host-b', epoch: 40, start: 3 }, state: 'running' }];
  await b.report();
  await b.report();
  assert.deepEqual((await world.events()).filter((reason) => reason === 'Undeclared'), ['Undeclared']);
  await world.plane.apply([vmOn('web-1', { host: 'host-a' })]);
  assert.deepEqual((await world.agent('host-a').wanted()).vms, []);
  await b.report();
  const { placement, state } = await world.vm('web-1');
  assert.deepEqual([placement, state], [{ host: 'host-b', epoch: 40, start: 3 }, 'running']);
  await world.close();
});

test('the alarm about a VM that nobody declared is not lost with a write that fails, and comes again when the VM does', async () => {
  const world = await ControlWorld.open();
  const alarms = async (): Promise<number> => (await world.events()).filter((reason) => reason === 'Undeclared').length;
  const b = world.agent('host-b');
  const vms: VmReport[] = ['web-1', 'web-2'].map((name) => ({ name, placement: { host: 'host-b', epoch: 40, start: 3 }, state: 'running' }));
  b.vms = vms;
  const txn = world.store.txn.bind(world.store);
  world.store.txn = () => Promise.reject(new StoreError('STORE_FULL', 'no room'));
  assert.equal(await codeOf(b.report()), 'STORE_FULL');
  world.store.txn = txn;
  assert.equal(await alarms(), 0);
  await b.report();
  await b.report();
  assert.equal(await alarms(), 2);
  b.vms = vms.slice(0, 1);
  await b.report();
  b.vms = vms;
  await b.report();
  assert.equal(await alarms(), 3, 'one was away, and runs again');
  await world.plane.remove('Host', 'host-b');
  await world.join('host-b');
  world.agent('host-b').vms = vms;
  await world.agent('host-b').report();
  assert.equal(await alarms(), 5, 'another host may have been given that name');
  await world.close();
});
