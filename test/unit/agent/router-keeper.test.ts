/** The agent's side of virtual routers, on a pulse that lives in the test. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PulseLink, RouterKeeper } from '../../../src/agent/router-keeper.ts';
import { silentLog } from '../../../src/base/log.ts';
import { MemoryFiles } from '../../../src/host/disk-memory.ts';
import { DurableDisk } from '../../../src/host/disk.ts';
import type { RouterPlan, RouterState, RouterStatus, RouterTransition } from '../../../src/model/virtual-router.ts';
import type { PulseCommand, PulseMessage } from '../../../src/pulse/pulse-protocol.ts';
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

/** One process of a pulse, as its agent sees it. */
class FakePulse {
  readonly commands: PulseCommand[] = [];
  #listener: (message: PulseMessage) => void = () => undefined;
  readonly exited: Promise<void>;
  #exit: () => void = () => undefined;
  #cut: () => void = () => undefined;
  alive = true;

  constructor() {
    this.exited = new Promise((resolve) => (this.#exit = resolve));
  }

  link(): PulseLink {
    const closed = new Promise<void>((resolve) => (this.#cut = resolve));
    return {
      send: (command) => {
        this.commands.push(command);
        if (command.kind === 'end') this.die();
      },
      onMessage: (listener) => (this.#listener = listener),
      closed, exited: this.exited, close: () => this.#cut(),
    };
  }

  tell(message: PulseMessage): void {
    this.#listener(message);
  }

  cut(): void {
    this.#cut();
  }

  die(): void {
    this.alive = false;
    this.#exit();
    this.#cut();
  }
}

class World {
  readonly files = new MemoryFiles();
  readonly clock = new ManualClock();
  readonly pulses: FakePulse[] = [];
  readonly takenBack: string[][] = [];
  readonly notified: string[] = [];
  changes = 0;

  get pulse(): FakePulse {
    const pulse = this.pulses.at(-1);
    assert.ok(pulse, 'no pulse was started');
    return pulse;
  }

  agent(): RouterKeeper {
    return new RouterKeeper({
      pulses: {
        attach: async () => {
          if (!this.pulses.at(-1)?.alive) this.pulses.push(new FakePulse());
          return this.pulse.link();
        },
        find: async () => (this.pulses.at(-1)?.alive ? this.pulse.link() : undefined),
        takeBack: async (active) => void this.takenBack.push(active.map(({ name }) => name)),
      },
      disk: new DurableDisk(this.files), clock: this.clock, log: silentLog,
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
  world.pulse.tell({ kind: 'transition', transition: transition(1) });
  world.pulse.tell({ kind: 'transition', transition: transition(1) });
  world.pulse.tell({ kind: 'transition', transition: transition(2) });
  assert.deepEqual(world.notified, ['hook p1/1', 'hook p1/2']);
  assert.deepEqual(world.told('seen'), [1, 1, 2].map((sequence) => ({ kind: 'seen', sequence })));
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

test('a file that is none of ours stops nothing', async () => {
  const world = new World();
  new DurableDisk(world.files).write('routers.json', new TextEncoder().encode('{"version":1,"routers":7}'));
  const agent = world.agent();
  await drain();
  assert.deepEqual(agent.statuses(), {});
  await agent.close();
});
