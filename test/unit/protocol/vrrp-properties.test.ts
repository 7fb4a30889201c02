/** Whatever happens to two to five hosts on a segment: see each test's name. Times in ms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import type { HostRouter } from '../../../src/protocol/vrrp-host.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { VrrpWorld, type WorldNetwork, type WorldPlan, type WorldStep } from './vrrp-world.ts';

/** The longest that a frame is under way. */
const DELAY = 2;
/** A takes over and B hears it; B stays, says so, and A hears that. Machines take no time here. */
const DUEL_BOUND = 2 * DELAY;
const INTERVALS = [10, 20, 50, 100];
/** Active_Down is at most four of the longest interval; a weaker one may be Active first, and a host may have to listen anew three times. */
const SETTLED = 100 * (4 + 4 + 3 * 2);
const DELAYS = { least: 0.05, most: DELAY };

const interval = fc.constantFrom(...INTERVALS);
const priority = fc.oneof(fc.integer({ min: 1, max: 254 }), fc.constantFrom(100, 100, 200, 255));
const preempt = fc.boolean();
const hosts = (preempt: fc.Arbitrary<boolean>): fc.Arbitrary<WorldPlan[]> =>
  fc.array(fc.record({ priority, interval, preempt, weight: fc.constantFrom(0, -50, -150) }), { minLength: 2, maxLength: 5 });

const pair = (interval: number, ...priorities: readonly number[]): WorldPlan[] =>
  priorities.map((priority) => ({ priority, interval, preempt: true, weight: 0 }));
const who = fc.nat(4);
const span = fc.oneof(fc.nat(30), fc.nat(300));
/** Nothing of it loses a frame: a host that is frozen would. */
const gentle = fc.record({ do: fc.constantFrom('start', 'kill', 'stop', 'pause', 'wake', 'down', 'up', 'nothing'), who, other: who, span });
const rough = fc.record({
  do: fc.constantFrom('start', 'kill', 'stop', 'pause', 'freeze', 'wake', 'down', 'up', 'cut', 'split', 'heal', 'lossy', 'nothing'), who, other: who, span,
});
const script = <T>(step: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(step, { minLength: 3, maxLength: 25, size: 'max' });
const seed = fc.integer();

/** The script, and then a network that is whole again. */
function play(world: VrrpWorld, steps: readonly WorldStep[], settled = SETTLED): void {
  world.startAll();
  for (const step of steps) world.step(step);
  world.calm();
  world.advance(settled);
}

/** Whatever the script, in the end one is Active for good. Returns how often two met. */
function settles(step: fc.Arbitrary<WorldStep>, network: WorldNetwork): number {
  let duels = 0;
  fc.assert(fc.property(hosts(preempt), script(step), seed, (plans, steps, seed) => {
    const world = new VrrpWorld(plans, seed, network);
    world.attempt(() => {
      play(world, steps);
      world.checkStable();
    });
    duels += world.duels;
  }), { numRuns: 200 });
  return duels;
}

const member = (name: string, priority: number, weight = 0): HostRouter => ({
  name, identity: '', group: 'g', track: weight === 0 ? [] : [{ key: 'interface:x', weight }],
  settings: {
    vrid: 1, version: 3, addresses: [parseIpAddress('192.0.2.254')], priority, interval: ms(20), preempt: true, preemptDelay: ms(0),
    announce: { count: 2, interval: ms(100) },
  },
});

test('in a network that is whole, two are never Active for longer than two one-way delays; in the end exactly one is, and it is used', () => {
  const duels = settles(gentle, { ...DELAYS, bound: DUEL_BOUND });
  assert.ok(duels > 5, `hardly ever did two meet: ${duels}`);
});

test('after partitions, one way or both, loss and whatever else, exactly one is Active again, and the neighbour uses it', () => {
  const duels = settles(rough, DELAYS);
  assert.ok(duels > 40, `hardly ever did two meet: ${duels}`);
});

test('with preemption it is one of the highest priority that is Active in the end', () => {
  fc.assert(fc.property(hosts(fc.constant(true)), script(rough), seed, (plans, steps, seed) => {
    const world = new VrrpWorld(plans, seed, DELAYS);
    world.attempt(() => {
      play(world, steps, 2 * SETTLED);
      world.checkStable();
      const [active] = world.actives();
      if (active) assert.equal(world.rank(active), world.highest());
    });
  }), { numRuns: 200 });
});

test('nobody claims to be Active because it alone stood still, whether its kernel received meanwhile or not', () => {
  let [naps, stops] = [0, 0];
  const stop = fc.record({ how: fc.constantFrom('pause' as const, 'freeze' as const), after: fc.nat(5000), lasts: fc.oneof(fc.nat(500), fc.nat(5000)) });
  fc.assert(fc.property(interval, fc.array(stop, { minLength: 1, maxLength: 6 }), seed, (interval, pauses, seed) => {
    const world = new VrrpWorld(pair(interval, 200, 100), seed, DELAYS);
    world.attempt(() => {
      world.startAll();
      world.advance(5 * interval);
      const before = world.transitions;
      for (const { how, after, lasts } of pauses) {
        // In hundredths of an interval. One stop per Active_Down_Interval: of two that each hide two adverts nobody can know.
        world.advance((4 + after / 100) * interval);
        world.step({ do: how, who: 1, other: 0, span: (lasts / 100) * interval });
        world.step({ do: 'wake', who: 1, other: 0, span: 0 });
        stops++;
      }
      world.advance(10 * interval);
      assert.equal(world.transitions, before, 'a role changed');
      naps += world.naps;
    });
  }), { numRuns: 1000 });
  assert.ok(naps > 200 && stops > 1000, `${naps} of ${stops} stops were noticed`);
});

test('an orderly end loses nothing: somebody answers at every moment, if another is there to succeed', () => {
  const rank = fc.integer({ min: 1, max: 254 });
  fc.assert(fc.property(interval, rank, rank, fc.nat(400), seed, (interval, one, other, after, seed) => {
    const world = new VrrpWorld(pair(interval, one, other), seed, DELAYS);
    world.attempt(() => {
      world.startAll();
      world.advance(8 * interval + after);
      const index = world.hosts.findIndex((host) => host.holdsAny('r'));
      world.somebodyAnswers = true;
      world.step({ do: 'stop', who: index, other: 0, span: 10 * interval });
      assert.deepEqual(world.actives().map(({ name }) => name), [world.hosts[1 - index]?.name]);
      assert.equal(world.hosts[index]?.vrrp?.names().length, 0, 'it has left');
    });
  }), { numRuns: 200 });
});

test('a silent death is over when Active_Down has passed since the last advert, not earlier and not later', () => {
  fc.assert(fc.property(interval, fc.integer({ min: 1, max: 199 }), fc.nat(400), seed, (interval, priority, after, seed) => {
    const world = new VrrpWorld(pair(interval, 200, priority), seed, DELAYS);
    world.attempt(() => {
      world.startAll();
      world.advance(8 * interval + after);
      world.step({ do: 'kill', who: 0, other: 0, span: 0 });
      world.advance(DELAY);
      const heard = world.hosts[1]?.vrrp?.status('r')?.active?.at ?? ms(NaN);
      world.advance(5 * interval);
      const status = world.hosts[1]?.vrrp?.status('r');
      assert.equal(status?.state, 'active');
      assert.ok(Math.abs(status.since - heard - 3 * interval - ((256 - priority) / 256) * interval) < 1e-6, `${heard}, ${status.since}`);
    });
  }), { numRuns: 200 });
});

test('the members of a sync group are Active together or not at all, at every instant, and nothing goes to and fro', () => {
  const kinds = ['start', 'kill', 'stop', 'pause', 'freeze', 'wake', 'link-down', 'link-up', 'cut', 'split', 'heal', 'lossy', 'nothing'];
  const step = fc.record({ do: fc.constantFrom(...kinds), who, other: who, span });
  let both = 0;
  fc.assert(fc.property(script(step), fc.constantFrom(undefined, 'r', 's'), seed, (steps, broken, seed) => {
    const world = new VrrpWorld([200, 150, 100].map((priority) => ({ routers: [member('r', priority), member('s', priority)] })), seed, DELAYS);
    world.attempt(() => {
      world.startAll();
      for (const step of steps) world.step(step);
      world.calm();
      // One of the networks stays cut between all of them: everybody is alone there, and they still agree.
      world.broken = broken;
      world.advance(SETTLED);
      const before = world.transitions;
      world.advance(5000);
      assert.equal(world.transitions, before, 'it goes to and fro');
      if (broken === undefined) for (const router of ['r', 's']) world.checkStable(router);
      if (world.hosts.some((host) => host.holdsAny('r') && host.holdsAny('s'))) both++;
    });
  }), { numRuns: 200 });
  assert.ok(both > 150, `${both} runs ended with somebody Active`);
});

test('whatever the priorities of a sync group are, and whether or not each host has all of its members, it does not go to and fro', () => {
  const rank = fc.integer({ min: 1, max: 254 });
  const part = fc.record({ r: rank, s: rank, weight: fc.constantFrom(0, -50, -100), only: fc.constantFrom('', '', '', 'r', 's') });
  const step = fc.record({ do: fc.constantFrom('start', 'kill', 'stop', 'down', 'up', 'cut', 'split', 'heal', 'nothing'), who, other: who, span });
  let whole = 0;
  fc.assert(fc.property(fc.array(part, { minLength: 2, maxLength: 4 }), script(step), seed, (parts, steps, seed) => {
    const plans = parts.map(({ r, s, weight, only }) => ({
      routers: [member('r', r, weight), member('s', s, weight)].filter(({ name }) => only === '' || name === only),
    }));
    const world = new VrrpWorld(plans, seed, DELAYS);
    world.attempt(() => {
      play(world, steps);
      const before = world.transitions;
      world.advance(5000);
      assert.equal(world.transitions, before, 'it goes to and fro');
      if (plans.some(({ routers }) => routers.length < 2)) return;
      for (const router of ['r', 's']) world.checkStable(router);
      whole++;
    });
  }), { numRuns: 200 });
  assert.ok(whole > 20, `${whole} runs had all members everywhere`);
});

test('the same script and seed give the same history', () => {
  fc.assert(fc.property(hosts(preempt), script(rough), seed, (plans, steps, seed) => {
    const [one, two] = [0, 1].map(() => {
      const world = new VrrpWorld(plans, seed, DELAYS);
      world.startAll();
      for (const step of steps) world.step(step);
      return world.history;
    });
    assert.deepEqual(one, two);
  }), { numRuns: 50 });
});
