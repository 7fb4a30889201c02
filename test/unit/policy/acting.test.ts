/** Moves slowed, hosts evacuated, priorities lowered: when, how often, and when not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytes, mib, seconds } from '../../../src/base/units.ts';
import { type MoveFacts, actPolicy, inForce } from '../../../src/policy/acting-facts.ts';
import { sicknessOf } from '../../../src/policy/acting-sickness.ts';
import { ActingWorld, GBIT, acting, allModes, vmFact } from './acting-world.ts';

const move = (change: Partial<MoveFacts> = {}): MoveFacts => ({ migration: 'web-1-1', vm: 'web-1', from: 'h1', to: 'h2', path: 'main', wasWell: true, throughput: GBIT, cap: GBIT, ...change });
const shareOf = (world: ActingWorld, migration = 'web-1-1'): number => world.standings.get(`bandwidth.${migration}`)?.share ?? 1;

test('the defaults of the policy, and what it says instead', () => {
  const { modes, limit, within, hold } = actPolicy(undefined);
  assert.deepEqual([modes, limit, within, hold], [{ path: 'act', bandwidth: 'advise', target: 'act', evacuate: 'advise', priority: 'advise' }, 4, 600_000, 30_000]);
  const spec = { act: { evacuate: 'act' as const, limit: 1, within: '1h' }, quality: { hold: '5s' } };
  assert.deepEqual(actPolicy(spec), { modes: { ...modes, evacuate: 'act' }, limit: 1, within: 3_600_000, hold: 5000 });
});

test('a move that fills a path which has become sick is halved, step by step as long as that fills it, and restored', () => {
  const world = new ActingWorld();
  world.moves = [move({ cap: 2 * GBIT })];
  world.step();
  assert.deepEqual(world.told, []);
  world.set('h1', 'h2', 'main', 'unfit');
  for (let n = 0; n < 60; n++) {
    world.moves = [move({ cap: 2 * GBIT, throughput: Math.min(GBIT, 2 * GBIT * shareOf(world)) })];
    world.step();
  }
  // What is more than 500 Mbit/s fills it.
  assert.equal(shareOf(world), 1 / 4);
  assert.equal(world.reasons().filter((reason) => reason === 'MoveSlowed').length, 2);
});

test('no less than a tenth is left to it', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'main', 'unfit');
  world.moves = [move({ cap: 20 * GBIT, throughput: 2 * GBIT })];
  for (let n = 0; n < 60; n++) world.step();
  assert.equal(shareOf(world), 0.1);
  world.set('h1', 'h2', 'main', 'fit');
  world.now += 600_000;
  world.step();
  assert.equal(shareOf(world), 1);
  assert.equal(world.reasons().at(-1), 'MoveSpeedRestored');
});

test('a move is left alone: that does not fill its path, whose path was sick before, or is down, or another one', () => {
  const world = new ActingWorld();
  world.set('h1', 'h2', 'main', 'unfit');
  world.set('h1', 'h3', 'main', 'down');
  world.moves = [move({ throughput: GBIT / 4 }), move({ migration: 'b-1', wasWell: false }), move({ migration: 'c-1', to: 'h3' }), move({ migration: 'd-1', path: 'storage' })];
  for (let n = 0; n < 30; n++) world.step();
  assert.deepEqual([...world.standings.keys()].filter((key) => key.startsWith('bandwidth')), []);
});

test('a move that has ended is forgotten without a word; one that is only advised is advised once', () => {
  const world = new ActingWorld(4, ['main', 'storage'], { ...acting, modes: { ...allModes('off'), bandwidth: 'advise' } });
  world.set('h1', 'h2', 'main', 'unfit');
  world.moves = [move()];
  for (let n = 0; n < 100; n++) world.step();
  assert.deepEqual(world.reasons(), ['Advised']);
  world.moves = [];
  world.step();
  assert.deepEqual([world.reasons(), world.standings.size], [['Advised'], 0]);
});

test('who is to blame: who shares most of its sick pairs, while the others are well; of two nobody is, nor when all are sick', () => {
  const sick = (hosts: number, ...those: string[]) => {
    const world = new ActingWorld(hosts, ['main']);
    for (const host of those) world.setHost(host, 'main', 'unfit');
    return [...sicknessOf(world.facts().pairs).get('main')?.keys() ?? []].sort();
  };
  assert.deepEqual(sick(3, 'h1'), ['h1']);
  assert.deepEqual(sick(2, 'h1'), []);
  assert.deepEqual(sick(5, 'h1', 'h4'), ['h1', 'h4']);
  assert.deepEqual(sick(6, 'h1', 'h2', 'h3'), []);
  assert.deepEqual(sick(4, 'h1', 'h2', 'h3', 'h4'), []);
  const world = new ActingWorld(5, ['main']);
  world.set('h1', 'h2', 'main', 'unfit');
  world.set('h1', 'h3', 'main', 'unfit');
  assert.equal(sicknessOf(world.facts().pairs).get('main')?.size, 0, 'two of four are not most');
  world.set('h1', 'h4', 'main', 'down');
  assert.match(sicknessOf(world.facts().pairs).get('main')?.get('h1') ?? '', /path main of h1 is sick to 3 of 4 hosts, and 6 of 6 other pairs on it are well: to h2 h1: it is unfit/);
});

test('a host whose network is sick for the hold is evacuated, one VM at a time, each to a host that is well and has room', () => {
  const world = new ActingWorld(4, ['main']);
  world.vms = [vmFact('a', 'h1'), vmFact('b', 'h1'), vmFact('c', 'h1', { networks: [] }), vmFact('d', 'h1', { stays: 'is declared to be on h1' }), vmFact('e', 'h2')];
  world.free.set('h2', mib(100));
  world.setHost('h1', 'main', 'unfit');
  for (let n = 0; n < 30; n++) assert.deepEqual(world.step().evacuations, []);
  assert.deepEqual(world.step().evacuations, [{ vm: 'a', from: 'h1', to: 'h3' }]);
  world.vms = world.vms.map((vm) => (vm.name === 'a' ? { ...vm, moving: true, stays: 'is on its way' } : vm));
  world.busy.set('h1', 1).set('h3', 1);
  for (let n = 0; n < 5; n++) assert.deepEqual(world.step().evacuations, []);
  world.busy.clear();
  world.vms = world.vms.map((vm) => (vm.name === 'a' ? vmFact('a', 'h3') : vm));
  world.free.set('h3', mib(100));
  assert.deepEqual(world.step().evacuations, [{ vm: 'b', from: 'h1', to: 'h4' }]);
  world.vms = world.vms.map((vm) => (vm.name === 'b' ? vmFact('b', 'h4') : vm));
  world.step();
  assert.deepEqual(world.reasons(), ['EvacuationBegun', 'EvacuationMove', 'EvacuationMove', 'HeldBack']);
  assert.match(world.told.at(-1)?.report.heldBack ?? '', /d is declared to be on h1/);
  world.setHost('h1', 'main', 'fit');
  world.step();
  assert.equal(world.reasons().at(-1), 'EvacuationEnded');
});

test('an evacuation does not end because nothing is known any more of the sick path', () => {
  const world = new ActingWorld(4);
  world.vms = [vmFact('a', 'h1', { networks: [{ name: 'lan', path: 'storage' }], stays: 'is paused' })];
  world.setHost('h1', 'storage', 'unfit');
  for (let n = 0; n < 32; n++) world.step();
  world.setHost('h1', 'storage', 'unknown');
  world.step();
  assert.ok(inForce(world.standings.get('evacuate.h1')));
  world.setHost('h1', 'storage', 'fit');
  world.step();
  assert.equal(world.standings.get('evacuate.h1'), undefined);
});

test('a host that was cut off and is well again is not evacuated for what was, nor one that is gone', () => {
  const world = new ActingWorld(4, ['main']);
  world.vms = [vmFact('a', 'h1'), vmFact('b', 'h1')];
  world.gone.add('h1');
  world.setHost('h1', 'main', 'down');
  for (let n = 0; n < 60; n++) assert.deepEqual(world.step().evacuations, []);
  world.gone.clear();
  world.setHost('h1', 'main', 'unfit', true);
  for (let n = 0; n < 60; n++) assert.deepEqual(world.step().evacuations, []);
  assert.deepEqual(world.reasons().filter((reason) => reason.startsWith('Evac') || reason === 'HeldBack'), []);
  world.setHost('h1', 'main', 'unfit');
  assert.equal(world.step().evacuations.length, 1);
  world.vms = world.vms.map((vm) => (vm.name === 'a' ? vmFact('a', 'h3') : vm));
  world.setHost('h1', 'main', 'unfit', true);
  for (let n = 0; n < 60; n++) assert.deepEqual(world.step().evacuations, [], 'nor is what was begun gone on with');
  assert.ok(!world.reasons().includes('HeldBack'), 'nothing holds it back: there is nothing to do');
});

test('of a host that is evacuated already no VM is moved for another path that is not sick for its hold', () => {
  const world = new ActingWorld(4);
  world.vms = ['main', 'storage'].map((path) => vmFact(path, 'h1', { networks: [{ name: 'lan', path }], ...(path === 'main' ? { stays: 'is paused' } : {}) }));
  world.setHost('h1', 'main', 'unfit');
  for (let n = 0; n < 40; n++) world.step();
  world.setHost('h1', 'storage', 'unfit');
  for (let n = 0; n < 30; n++) assert.deepEqual(world.step().evacuations, []);
  assert.deepEqual(world.step().evacuations.map(({ vm }) => vm), ['storage']);
});

test('without room elsewhere nobody is moved, and that is said once', () => {
  const world = new ActingWorld(4, ['main']);
  world.vms = [vmFact('a', 'h1')];
  for (const host of ['h2', 'h3', 'h4']) world.free.set(host, mib(10));
  world.setHost('h1', 'main', 'unfit');
  for (let n = 0; n < 100; n++) assert.deepEqual(world.step().evacuations, []);
  assert.deepEqual(world.reasons(), ['EvacuationBegun', 'HeldBack']);
  assert.match(world.told[1]?.report.heldBack ?? '', /No host can take it/);
});

test('a VM whose move did not go is not tried again at once, and others are not kept waiting by it', () => {
  const world = new ActingWorld(4, ['main']);
  world.vms = [vmFact('a', 'h1'), vmFact('b', 'h1')];
  world.setHost('h1', 'main', 'unfit');
  const moved: string[] = [];
  for (let n = 0; n < 100; n++) moved.push(...world.step().evacuations.map(({ vm }) => vm));
  assert.deepEqual(moved, ['a', 'b']);
});

test('no more VMs of one host are moved in a time than the limit allows', () => {
  const world = new ActingWorld(4, ['main']);
  world.vms = Array.from({ length: 9 }, (_, n) => vmFact(`v${n}`, 'h1'));
  world.setHost('h1', 'main', 'unfit');
  const at: number[] = [];
  for (let n = 0; n < 700; n++) {
    for (const { vm, to } of world.step().evacuations) {
      at.push(n);
      world.vms = world.vms.map((fact) => (fact.name === vm ? vmFact(vm, to) : fact));
    }
  }
  assert.deepEqual(at, [30, 31, 32, 33, 630, 631, 632, 633]);
  assert.match(world.told.find(({ reason }) => reason === 'HeldBack')?.report.heldBack ?? '', /4 times in the last 10 min: act.limit allows no more/);
});

test('advised only, nobody is moved', () => {
  const world = new ActingWorld(4, ['main'], { ...acting, modes: allModes('advise') });
  world.vms = [vmFact('a', 'h1')];
  world.setHost('h1', 'main', 'unfit');
  for (let n = 0; n < 100; n++) assert.deepEqual(world.step().evacuations, []);
  assert.deepEqual(world.reasons(), ['Advised']);
});

test('priority of a sick host is lowered where it has routers, and restored', () => {
  const world = new ActingWorld(4, ['main']);
  world.routers.set('h1', ['gw-1', 'gw-2']);
  world.setHost('h1', 'main', 'unfit');
  world.setHost('h2', 'main', 'unknown');
  world.step();
  assert.ok(inForce(world.standings.get('priority.h1')));
  assert.match(world.told[0]?.report.what ?? '', /h1 is lowered by 50 in gw-1, gw-2/);
  world.setHost('h1', 'main', 'unknown');
  world.step();
  assert.ok(inForce(world.standings.get('priority.h1')), 'nothing is known of it');
  world.setHost('h1', 'main', 'fit');
  world.step();
  assert.equal(world.standings.size, 0);
  assert.deepEqual(world.reasons(), ['PriorityLowered', 'PriorityRestored']);
});

test('whatever happens to hosts: at most half are evacuated, the limits hold, and no VM goes where it is sick or no room is', () => {
  const steps = fc.array(fc.record({ host: fc.nat(5), state: fc.constantFrom('fit' as const, 'unfit' as const, 'down' as const, 'unknown' as const), path: fc.constantFrom('main', 'storage'), wait: fc.integer({ min: 1, max: 60_000 }), room: fc.boolean() }), { maxLength: 50 });
  fc.assert(fc.property(fc.integer({ min: 2, max: 6 }), steps, (hosts, all) => {
    const world = new ActingWorld(hosts);
    world.vms = world.hosts.flatMap((host) => ['main', 'storage'].map((path) => vmFact(`${path}-${host}`, host, { networks: [{ name: 'lan', path }] })));
    for (const host of world.hosts) world.routers.set(host, ['gw']);
    for (const { host: n, state, path, wait, room } of all) {
      const host = world.hosts[n % hosts] ?? 'h1';
      world.setHost(host, path, state);
      world.free.set(host, bytes(room ? mib(4096) : mib(1)));
      world.moves = world.hosts.slice(1).map((to) => move({ migration: `m-${to}`, to }));
      const sickness = sicknessOf(world.facts().pairs);
      for (const { vm, from, to } of world.step(wait).evacuations) {
        const path = vm.split('-')[0] ?? '';
        assert.ok(sickness.get(path)?.has(from) && !sickness.get(path)?.has(to));
        assert.ok((world.free.get(to) ?? Infinity) > mib(512));
        world.vms = world.vms.map((fact) => (fact.name === vm ? { ...fact, host: to } : fact));
      }
    }
    const moves = Map.groupBy(world.told.filter(({ reason }) => reason === 'EvacuationMove'), ({ subject }) => JSON.stringify(subject));
    for (const told of moves.values()) {
      for (const [n, { now }] of told.entries()) assert.ok(now - (told[n - 4]?.now ?? -Infinity) >= seconds(600) , 'more than four in ten minutes');
    }
  }), { numRuns: 200 });
});
