/** The agent's side of virtual routers, on a pulse that lives in the test. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RouterKeeper } from '../../../src/agent/router-keeper.ts';
import { silentLog } from '../../../src/base/log.ts';
import { MemoryFiles } from '../../../src/host/disk-memory.ts';
import { DurableDisk } from '../../../src/host/disk.ts';
import type { RouterPlan, RouterState, RouterStatus, RouterTransition } from '../../../src/model/virtual-router.ts';
import type { PulseCommand, PulseMessage } from '../../../src/pulse/pulse-protocol.ts';
import { FakePulse } from './fake-pulse.ts';
import { ManualClock, drain } from './manual-clock.ts';

const plan = (name: string, more: Partial<RouterPlan> = {}): RouterPlan => ({
  name, vrid: 51, version: 3, family: 4, device: 'eth0', addresses: [{ address: '192.0.2.1', prefixLength: 24 }], priority: 100, interval: 1000,
  virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [], minTtl: 255,
  announce: { count: 5, interval: 100 }, track: [], ...more,
});

const status = (state: RouterState): RouterStatus => ({
  state, since: 0, priority: 100, effectivePriority: 100, interval: 1000, effectiveInterval: 1000, differences: [], tracks: [],
  counters: { sent: 0, received: 0, dropped: {}, transitions: 0 }, duels: { count: 0 },
  timing: { scheduling: 'realtime', ticks: 0, median: 0, p99: 0, worst: 0, smallestInterval: 10 },
});

const transition = (sequence: number, pulse = 'p1'): RouterTransition => ({
  sequence, pulse, router: 'gw', at: 0, from: 'backup', to: 'active', rule: 'test', priority: 100, adverts: [],
  lateness: { now: 0, worst: 0 }, link: 'up', down: [],
});

const hello = (version = '1.0'): PulseMessage => ({ kind: 'hello', pulse: 'p1', pid: 1, version });

class World {
  readonly files = new MemoryFiles();
  readonly clock = new ManualClock();
  readonly pulses: FakePulse[] = [];
  readonly takenBack: string[][] = [];
  readonly notified: string[] = [];
  changes = 0;
  writes = 0;

  get pulse(): FakePulse {
    const pulse = this.pulses.at(-1);
    assert.ok(pulse, 'no pulse was started');
    return pulse;
  }

  agent(): RouterKeeper {
    const disk = new DurableDisk(this.files);
    const { write } = disk;
    disk.write = (path, data) => {
      this.writes++;
      write.call(disk, path, data);
    };
    return new RouterKeeper({
      version: '1.0',
      pulses: {
        attach: async () => {
          if (!this.pulses.at(-1)?.alive) this.pulses.push(new FakePulse());
          return this.pulse.link();
        },
        find: async () => (this.pulses.at(-1)?.alive ? this.pulse.link() : undefined),
        takeBack: async (active) => void this.takenBack.push(active.map(({ name }) => name)),
      },
      disk, clock: this.clock, log: silentLog, key: () => new Uint8Array(),
      changed: () => this.changes++,
      tracks: () => ({ want: () => undefined, known: () => ({}), close: async () => undefined }),
      notify: (script, { sequence, pulse }) => void this.notified.push(`${script} ${pulse}/${sequence}`),
    });
  }

  told(kind: PulseCommand['kind']): PulseCommand[] {
    return this.pulse.commands.filter((command) => command.kind === kind);
  }
}

test('nothing wanted: no pulse is started, and what a dead one left is removed', async () => {
  const world = new World();
  const agent = world.agent();
  await drain();
  assert.equal(world.pulses.length, 0);
  assert.deepEqual(world.takenBack, [[]]);
  await agent.close();
});

test('what is wanted is told to a pulse, and again to the one that follows, and comes up again without the server', async () => {
  const world = new World();
  let agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  assert.deepEqual(world.told('routers'), [{ kind: 'routers', routers: [plan('gw')] }]);
  await agent.close();
  assert.ok(world.pulse.alive, 'it outlives its agent');
  agent = world.agent();
  await drain();
  assert.equal(world.pulses.length, 1);
  assert.deepEqual(world.told('routers').at(-1), { kind: 'routers', routers: [plan('gw')] });
  agent.want([]);
  await drain();
  await agent.close();
});

test('a pulse that dies: what it was Active in is taken back before the next one is started', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw'), plan('other', { vrid: 52 })]);
  await drain();
  world.pulse.tell({ kind: 'status', routers: { gw: status('active'), other: status('backup') } });
  assert.equal(world.changes, 1);
  world.takenBack.length = 0;
  world.pulse.die();
  await drain();
  assert.deepEqual(world.takenBack, [['gw']]);
  assert.equal(world.pulses.length, 1);
  assert.equal(agent.statuses(), undefined, 'a dead pulse has no status');
  await world.clock.advance(100);
  assert.equal(world.pulses.length, 2);
  await agent.close();
});

test('a pulse that only lost its connection goes on, and nothing is taken from it', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  world.takenBack.length = 0;
  world.pulse.cut();
  await drain();
  await world.clock.advance(1000);
  await world.clock.advance(100);
  assert.deepEqual([world.pulses.length, world.takenBack], [1, []]);
  assert.equal(world.told('routers').length, 2);
  await agent.close();
});

test('a transition is written down, notified once and told until the server has it', async () => {
  const world = new World();
  let agent = world.agent();
  agent.want([plan('gw', { notify: 'hook' })]);
  await drain();
  world.pulse.tell(hello());
  world.pulse.tell({ kind: 'transition', transition: transition(1) });
  world.pulse.tell({ kind: 'transition', transition: transition(1) });
  world.pulse.tell({ kind: 'transition', transition: transition(2) });
  assert.deepEqual(world.notified, ['hook p1/1', 'hook p1/2']);
  assert.deepEqual(world.told('seen'), [], 'not before it is written');
  await drain();
  assert.deepEqual(world.told('seen'), [{ kind: 'seen', sequence: 2 }]);
  world.pulse.tell({ kind: 'transition', transition: transition(2) });
  await drain();
  assert.equal(world.told('seen').length, 2, 'one that is told again is seen again');
  await agent.close();
  agent = world.agent();
  assert.deepEqual(agent.transitions().map(({ sequence }) => sequence), [1, 2], 'an agent that is started anew knows them');
  agent.acknowledged({ pulse: 'p1', sequence: 1 });
  assert.deepEqual(agent.transitions().map(({ sequence }) => sequence), [2]);
  agent.acknowledged({ pulse: 'another', sequence: 9 });
  assert.equal(agent.transitions().length, 1);
  agent.acknowledged({ pulse: 'p1', sequence: 2 });
  await agent.close();
  agent = world.agent();
  assert.deepEqual(agent.transitions(), []);
  await agent.close();
});

test('no router is wanted any more: the pulse is asked to end, and nothing is left for it to be started by', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  agent.want([]);
  await drain();
  await world.clock.advance(100);
  assert.deepEqual(world.told('routers').at(-1), { kind: 'routers', routers: [] });
  assert.equal(world.pulse.alive, false);
  await agent.close();
  const next = world.agent();
  await drain();
  assert.equal(world.pulses.length, 1);
  await next.close();
});

test('two hundred transitions at once are written once', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  world.pulse.tell(hello());
  const before = world.writes;
  for (let sequence = 1; sequence <= 200; sequence++) world.pulse.tell({ kind: 'transition', transition: transition(sequence) });
  await drain();
  assert.equal(world.writes, before + 1);
  assert.deepEqual(world.told('seen'), [{ kind: 'seen', sequence: 200 }]);
  await agent.close();
});

test('as long as a file cannot be read, a pulse that runs is left alone; what the server says then counts, nothing too', async () => {
  const world = new World();
  let agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  await agent.close();
  for (const text of ['{"version":2,"routers":[]}', 'no JSON']) {
    world.takenBack.length = 0;
    new DurableDisk(world.files).write('routers.json', new TextEncoder().encode(text));
    agent = world.agent();
    await drain();
    assert.deepEqual([world.pulse.alive, world.takenBack, agent.statuses()], [true, [], undefined]);
    agent.want([plan('gw', { priority: 7 })]);
    await drain();
    assert.deepEqual(world.told('routers').at(-1), { kind: 'routers', routers: [plan('gw', { priority: 7 })] });
    await agent.close();
  }
  new DurableDisk(world.files).write('routers.json', new TextEncoder().encode('{}'));
  agent = world.agent();
  await drain();
  agent.want([]);
  await drain();
  assert.equal(world.pulse.alive, false);
  await agent.close();
});

test('a pulse that says nothing: unknown after 3 s, ended after 10, taken back and started anew', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  const first = world.pulse;
  const say = (): void => first.tell({ kind: 'status', routers: { gw: status('active') } });
  say();
  for (let second = 0; second < 5; second++) {
    await world.clock.advance(1000);
    say();
  }
  await world.clock.advance(2000);
  assert.equal(agent.statuses()?.['gw']?.state, 'active');
  const before = world.changes;
  await world.clock.advance(1000);
  assert.deepEqual([agent.statuses(), world.changes], [undefined, before + 1]);
  say();
  assert.equal(agent.statuses()?.['gw']?.state, 'active', 'it was only busy');
  assert.equal(world.changes, before + 2);
  world.takenBack.length = 0;
  await world.clock.advance(9000);
  assert.ok(first.alive);
  await world.clock.advance(1100);
  assert.deepEqual([first.alive, world.takenBack, world.pulses.length], [false, [['gw']], 2]);
  await agent.close();
});

test('a pulse of another version goes when it is Active nowhere; one that this agent started stays', async () => {
  const world = new World();
  let agent = world.agent();
  agent.want([plan('gw')]);
  await drain();
  world.pulse.tell(hello('0.9'));
  world.pulse.tell({ kind: 'status', routers: { gw: status('backup') } });
  assert.deepEqual(world.told('end'), [], 'another would be the same');
  await agent.close();
  agent = world.agent();
  await drain();
  world.pulse.tell(hello('0.9'));
  world.pulse.tell({ kind: 'status', routers: { gw: status('active') } });
  assert.deepEqual(world.told('end'), []);
  world.pulse.tell({ kind: 'status', routers: { gw: status('backup') } });
  assert.deepEqual(world.told('end'), [{ kind: 'end', reason: 'one of version 1.0 follows' }]);
  await world.clock.advance(100);
  assert.equal(world.pulses.length, 2);
  world.pulse.tell(hello('1.0'));
  world.pulse.tell({ kind: 'status', routers: { gw: status('backup') } });
  assert.deepEqual(world.told('end'), []);
  await agent.close();
});

test('a router that is wanted no longer: its hook is run for its last transition, and then no more', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw', { notify: 'hook' }), plan('other', { vrid: 2 })]);
  await drain();
  world.pulse.tell(hello());
  agent.want([plan('other', { vrid: 2 })]);
  for (const sequence of [1, 2]) world.pulse.tell({ kind: 'transition', transition: { ...transition(sequence), from: 'active', to: 'initialize' } });
  assert.deepEqual(world.notified, ['hook p1/1']);
  await agent.close();
});

test('what a dead pulse cannot say itself: a transition of each router that it was Active or Backup in, and its hook', async () => {
  const world = new World();
  const agent = world.agent();
  agent.want([plan('gw', { notify: 'hook' }), plan('other', { vrid: 2 }), plan('down', { vrid: 3 })]);
  await drain();
  world.pulse.tell(hello());
  world.pulse.tell({ kind: 'status', routers: { gw: status('active'), other: status('backup'), down: status('fault') } });
  world.pulse.die();
  await drain();
  const told = agent.transitions();
  assert.deepEqual(told.map((one) => [one.pulse, one.sequence, 'router' in one && one.router, one.from, one.to]), [
    ['p1-died', 1, 'gw', 'active', 'initialize'], ['p1-died', 2, 'other', 'backup', 'initialize'],
  ]);
  assert.match(told[0]?.rule ?? '', /pulse died/);
  assert.deepEqual(world.notified, ['hook p1-died/1']);
  await agent.close();
});
