/** Watches, the event log, and what a list costs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WatchEvent } from '../../../src/api/api.ts';
import { StoreError } from '../../../src/store/store-errors.ts';
import { ControlWorld, codeOf, vmOn } from './world.ts';

async function take(events: AsyncIterable<WatchEvent<'Network'>>, count: number): Promise<string[]> {
  const found: string[] = [];
  for await (const event of events) {
    found.push(event.kind === 'put' ? `put ${event.resource.name} ${event.resource.spec.bridge}` : event.kind === 'delete' ? `delete ${event.name}` : 'synced');
    if (found.length === count) break;
  }
  return found;
}

const network = (name: string, bridge = 'br0') => ({ kind: 'Network', name, spec: { bridge } });

test('a watch tells what there is, that this was all, and every change; another may go on where it ended', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.plane.apply([network('a')]);
  const stop = new AbortController();
  const following = take(world.plane.watch('Network', stop.signal), 5);
  await world.clock.advance(0);
  const { revision } = await world.store.list('/');
  await world.plane.apply([network('b')]);
  await world.plane.apply([network('a', 'br1')]);
  await world.plane.remove('Network', 'b');
  assert.deepEqual(await following, ['put a br0', 'synced', 'put b br0', 'put a br1', 'delete b']);
  assert.deepEqual(await take(world.plane.watch('Network', stop.signal, revision), 4), ['synced', 'put b br0', 'put a br1', 'delete b']);
  stop.abort();
  await world.close();
});

test('where the history is gone, a watch begins anew and does not say `synced` for what it missed', async () => {
  const world = await ControlWorld.open(['host-a'], 3);
  await world.plane.apply([network('a')]);
  const { revision } = await world.store.list('/');
  for (let i = 0; i < 6; i++) await world.plane.apply([network('b', `br${i}`)]);
  const stop = new AbortController();
  assert.deepEqual(await take(world.plane.watch('Network', stop.signal, revision), 3), ['put a br0', 'put b br5', 'synced']);
  assert.deepEqual(await take(world.plane.watch('Network', stop.signal, revision + 1_000_000), 3), ['put a br0', 'put b br5', 'synced']);
  await world.close();
});

test('who falls too far behind after `synced` is failed, not told a second listing under ids to go on from', async () => {
  const world = await ControlWorld.open(['host-a'], 3);
  await world.plane.apply([network('a')]);
  const stop = new AbortController();
  const watching = world.plane.watch('Network', stop.signal)[Symbol.asyncIterator]();
  assert.equal((await watching.next()).value.kind, 'put');
  assert.equal((await watching.next()).value.kind, 'synced');
  for (let i = 0; i < 6; i++) await world.plane.apply([network('b', `br${i}`)]);
  assert.equal(await codeOf(watching.next()), 'STORE_COMPACTED');
  // Before it, what is told is what there is: a reader that takes its time is told anew, and what went meanwhile.
  const slow = world.plane.watch('Network', stop.signal)[Symbol.asyncIterator]();
  assert.equal((await slow.next()).value.kind, 'put');
  await world.plane.remove('Network', 'a');
  for (let i = 0; i < 6; i++) await world.plane.apply([network('b', `br${i}`)]);
  assert.deepEqual(await take({ [Symbol.asyncIterator]: () => slow }, 4), ['put b br5', 'delete a', 'put b br5', 'synced']);
  stop.abort();
  await world.close();
});

test('wanted is told at once and again when it changed, and only then', async () => {
  const world = await ControlWorld.open(['host-a', 'host-b']);
  const stop = new AbortController();
  const told: number[] = [];
  const listening = (async () => {
    for await (const wanted of world.plane.wanted('host-a', stop.signal)) told.push(wanted.vms.length);
  })();
  await world.clock.advance(0);
  await world.plane.apply([network('x')]);
  await world.plane.apply([vmOn('web-1', { host: 'host-a' })]);
  await world.plane.apply([vmOn('web-2', { host: 'host-b' })]);
  await world.clock.advance(0);
  assert.deepEqual(told, [0, 1]);
  stop.abort();
  await listening;
  assert.equal(await codeOf(world.plane.wanted('nobody', new AbortController().signal)[Symbol.asyncIterator]().next()), 'CONTROL_HOST_UNKNOWN');
  await world.close();
});

test('the newest 10 000 events are kept, in their order', async () => {
  const world = await ControlWorld.open(['host-a']);
  const value = JSON.stringify({ spec: { at: 0, severity: 'info', about: { kind: 'Vm', name: 'x' }, reason: 'Old', message: 'x' } });
  await world.store.txn({ operations: Array.from({ length: 10_050 }, (_, i) => ({ put: `/events/${String(i).padStart(16, '0')}`, value })) });
  await world.plane.apply([network('a')]);
  await world.clock.advance(1000);
  const events = await world.plane.list('Event');
  assert.equal(events.length, 10_000);
  assert.equal(events.at(-1)?.spec.reason, 'Created');
  assert.deepEqual(events.map((e) => e.name), events.map((e) => e.name).toSorted());
  assert.equal((await world.plane.list('Event', { last: 3 })).length, 3);
  await world.close();
});

test('a change that somebody else got in before is decided anew', async () => {
  const world = await ControlWorld.open(['host-a']);
  await world.running('host-a', 'web-1');
  // Another server's write, of which this one has not heard when it decides.
  const entry = await world.store.get('/vms/web-1');
  const theirs = world.store.txn({ operations: [{ put: '/vms/web-1', value: entry!.value.replace('"cpus":1', '"cpus":7') }] });
  const ours = world.plane.stop('web-1');
  await Promise.all([theirs, ours]);
  const { spec } = await world.plane.get('Vm', 'web-1');
  assert.deepEqual([spec.cpus, spec.running], [7, false]);
  await world.close();
});

test('a full disk: what was asked is refused with the store\'s own code, nothing is half done, and later it works', async () => {
  const world = await ControlWorld.open(['host-a']);
  const { txn } = world.store;
  let full = true;
  world.store.txn = (transaction) => (full ? Promise.reject(new StoreError('STORE_FULL', 'The disk is full')) : txn.call(world.store, transaction));
  assert.equal(await codeOf(world.plane.apply([network('a')])), 'STORE_FULL');
  assert.deepEqual(await world.plane.list('Network'), []);
  await world.clock.advance(30_000);
  full = false;
  await world.agent('host-a').report();
  await world.plane.apply([network('a')]);
  assert.equal((await world.plane.list('Network')).length, 1);
  await world.close();
});

test('100 VMs: a list takes a few ms while reports come in', async () => {
  const hosts = Array.from({ length: 20 }, (_, i) => `host-${i}`);
  const world = await ControlWorld.open(hosts);
  await world.plane.apply(Array.from({ length: 100 }, (_, i) => vmOn(`vm-${i}`)));
  for (const agent of world.agents.values()) await agent.run();
  const begun = performance.now();
  for (let i = 0; i < 100; i++) {
    await world.agent(`host-${i % 20}`).report();
    assert.equal((await world.plane.list('Vm')).length, 100);
  }
  // Generous: a busy machine may take ten times as long as an idle one.
  assert.ok((performance.now() - begun) / 100 < 20);
  await world.close();
});
