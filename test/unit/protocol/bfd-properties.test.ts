/** Whatever happens to two BFD sessions and the wire between them: see each test's name. Times in ms. What always holds: bfd-world.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import type { BfdAuthentication } from '../../../src/wire/bfd-auth.ts';
import { BfdWorld, type Side } from './bfd-world.ts';

const DELAYS = { least: 0.05, most: 2 };
/** Slow packets come each second, so that a side may take mult × 1 s to give up, twice that to forget a sequence number, and 3 s to come Up. */
const slowBound = (mult: number): number => 1000 * (2 * mult + 3);
const STEADY = 1500;

const interval = fc.constantFrom(10, 20, 50, 100);
const side = (mult: fc.Arbitrary<number>, echoes: boolean): fc.Arbitrary<Side> => fc.record({
  tx: interval, rx: interval, mult, echo: echoes ? fc.option(interval, { nil: undefined }) : fc.constant(undefined), echoRx: echoes ? fc.constantFrom(0, 10, 30) : fc.constant(0),
});
const sides = (mult: fc.Arbitrary<number> = fc.constantFrom(2, 3, 5), echoes = true): fc.Arbitrary<{ a: Side; b: Side }> =>
  fc.record({ a: side(mult, echoes), b: side(mult, echoes) });
const seed = fc.integer();
const authentication = fc.option(fc.constantFrom<BfdAuthentication['kind']>('simple', 'sha1', 'meticulous-sha1'), { nil: undefined })
  .map((kind): BfdAuthentication | undefined => kind && { kind, keys: [{ id: 3, secret: Uint8Array.of(1, 2, 3) }] });

const step = fc.record({
  do: fc.constantFrom('start', 'kill', 'pause', 'freeze', 'wake', 'cut', 'cut', 'heal', 'lossy', 'reload', 'nothing'),
  who: fc.constantFrom('a' as const, 'b' as const), span: fc.oneof(fc.nat(60), fc.nat(600), fc.nat(4000)), side: side(fc.constantFrom(2, 3, 5), true),
});

test('after restarts, pauses, cuts, loss and reloads both are Up again; and nobody ever sends faster than the other side allowed', () => {
  let downs = 0;
  fc.assert(fc.property(sides(), fc.array(step, { minLength: 3, maxLength: 20, size: 'max' }), authentication, seed, (sides, steps, authentication, seed) => {
    const world = new BfdWorld(sides, seed, { ...DELAYS, authentication });
    world.attempt(() => {
      world.start(world.a, world.b);
      for (const { do: what, who, span, side } of steps) {
        const host = world[who];
        world.note(`# ${what} ${who}, ${span} ms`);
        switch (what) {
          case 'start': world.start(host); break;
          case 'kill': world.wire.kill(host); break;
          case 'pause': if (host.is === 'running') host.is = 'paused'; break;
          case 'freeze': if (host.is === 'running') host.is = 'frozen'; break;
          case 'wake': if (host.is !== 'running') world.wire.wake(host); break;
          case 'cut': world.cuts.add(who === 'a' ? 'a>b' : 'b>a'); break;
          case 'heal': world.cuts.clear(); world.lossy = false; break;
          case 'lossy': world.lossy = true; break;
          case 'reload': world.plan(host, side); world.reload(host); break;
          default:
        }
        world.advance(span);
      }
      world.calm();
      world.awaitUp(slowBound(5));
      downs += world.downs.length;
    });
  }), { numRuns: 100 });
  assert.ok(downs > 100, `${downs}`);
});

test('one direction is dead: both are Down after the detection time and what the word of it takes, not before, and each says why', () => {
  fc.assert(fc.property(sides(fc.constantFrom(1, 2, 3, 5), false), fc.constantFrom('a>b', 'b>a'), fc.nat(200), seed, (sides, cut, after, seed) => {
    // With a multiplier of 1, 10 % of an interval are all that a delay may vary by.
    const world = new BfdWorld(sides, seed, { least: 0.05, most: 0.5 });
    world.attempt(() => {
      world.start(world.a, world.b);
      world.advance(STEADY + after);
      world.checkUp();
      assert.equal(world.downs.length, 0, 'a session went down');
      const cutAt = world.wire.now;
      world.cuts.add(cut);
      const deaf = cut === 'a>b' ? world.b : world.a;
      const patience = world.status(deaf).detectionTime ?? 0;
      const [mine, other] = deaf === world.a ? [sides.a, sides.b] : [sides.b, sides.a];
      assert.equal(patience, other.mult * Math.max(mine.rx, other.tx), 'the detection time of §6.8.4');
      world.advance(patience + 0.5 + 0.5);
      assert.deepEqual(world.downs.map(({ who, effect }) => `${who} ${effect.diagnostic}`), [`${deaf.name} detection-expired`, `${deaf === world.a ? 'b' : 'a'} neighbor-down`]);
      const [first] = world.downs;
      assert.ok(first?.effect.evidence);
      assert.ok(Math.abs(first.effect.evidence.lastHeardAgo - patience) < 1e-6 && first.at <= cutAt + patience + 0.5, JSON.stringify(first));
      world.cuts.clear();
      world.awaitUp(slowBound(5));
    });
  }), { numRuns: 150 });
});

test('echoes watch: when none comes back, Down after mult × their interval, though control packets are slow', () => {
  fc.assert(fc.property(side(fc.constantFrom(2, 3, 5), false), interval, fc.constantFrom(10, 30), fc.nat(200), seed, (side, echo, echoRx, after, seed) => {
    const world = new BfdWorld({ a: { ...side, echo }, b: { ...side, echoRx } }, seed, DELAYS);
    world.attempt(() => {
      world.start(world.a, world.b);
      world.advance(STEADY + after);
      world.checkUp();
      assert.equal(world.status(world.a).receiveInterval, Math.max(1000, side.tx));
      const before = world.wire.now;
      world.cuts.add('b>a');
      world.advance(side.mult * Math.max(echo, echoRx) + 2 * DELAYS.most + 0.001);
      assert.deepEqual(world.downs.map(({ who, effect }) => `${who} ${effect.diagnostic}`)[0], 'a echo-failed');
      assert.ok((world.downs[0]?.at ?? 0) > before + (side.mult - 1) * Math.max(echo, echoRx) - 2 * DELAYS.most);
    });
  }), { numRuns: 100 });
});

test('no session goes down by losses fewer than its multiplier bears, by late timers, or by a change of intervals', () => {
  const change = fc.record({ who: fc.constantFrom('a' as const, 'b' as const), side: side(fc.constantFrom(4, 5), true), span: fc.oneof(fc.nat(100), fc.nat(1200)) });
  fc.assert(fc.property(sides(fc.constantFrom(4, 5)), fc.array(change, { maxLength: 12 }), seed, (sides, changes, seed) => {
    const world = new BfdWorld(sides, seed, { ...DELAYS, lag: 2 });
    world.attempt(() => {
      world.start(world.a, world.b);
      world.advance(STEADY);
      world.checkUp();
      world.lossy = true;
      world.longestRun = 1;
      for (const { who, side, span } of changes) {
        world.plan(world[who], side);
        world.reload(world[who]);
        world.advance(span);
      }
      world.advance(1500);
      world.checkUp();
      assert.equal(world.downs.length, 0, 'a session went down');
    });
  }), { numRuns: 80 });
});

test('nobody accuses because it alone stood still, whether its kernel received meanwhile or not', () => {
  let [naps, stops] = [0, 0];
  const stop = fc.record({ how: fc.constantFrom('paused' as const, 'frozen' as const), after: fc.nat(500), lasts: fc.oneof(fc.nat(300), fc.nat(1500)) });
  fc.assert(fc.property(interval, fc.array(stop, { minLength: 1, maxLength: 6 }), seed, (interval, stopped, seed) => {
    // The other side is patient: it is this one's judgement that is tried.
    const common = { tx: interval, rx: interval, echoRx: 0 };
    const world = new BfdWorld({ a: { ...common, mult: 25 }, b: { ...common, mult: 3 } }, seed, { least: 0.05, most: 0.2 * interval });
    world.attempt(() => {
      world.start(world.a, world.b);
      world.advance(STEADY);
      for (const { how, after, lasts } of stopped) {
        // In hundredths of an interval.
        world.advance((4 + after / 100) * interval);
        world.note(`# ${how} for ${(lasts / 100) * interval}`);
        world.a.is = how;
        world.advance((lasts / 100) * interval);
        world.wire.wake(world.a);
        stops++;
      }
      world.advance(10 * interval);
      assert.equal(world.downs.length, 0, 'a session went down');
      naps += world.naps;
    });
  }), { numRuns: 300 });
  assert.ok(naps > 50 && stops > 500, `${naps} of ${stops} stops were noticed`);
});

test('it accuses a dead one within its patience and four and a half intervals more, however often it stood still', () => {
  const stop = fc.record({ how: fc.constantFrom('paused' as const, 'frozen' as const), after: fc.nat(300), lasts: fc.nat(600) });
  fc.assert(fc.property(interval, fc.array(stop, { minLength: 1, maxLength: 20 }), seed, (interval, stopped, seed) => {
    const common = { tx: interval, rx: interval, echoRx: 0, mult: 3 };
    const world = new BfdWorld({ a: common, b: common }, seed, DELAYS);
    world.attempt(() => {
      world.start(world.a, world.b);
      world.advance(STEADY);
      world.wire.kill(world.b);
      const died = world.wire.now;
      for (const { how, after, lasts } of stopped) {
        world.advance((after / 100) * interval);
        if (world.wire.now - died > DELAYS.most + (3 + 3 * 1.5) * interval) break;
        world.a.is = how;
        world.advance((lasts / 100) * interval);
        world.wire.wake(world.a);
      }
      world.advance(DELAYS.most + 7.5 * interval);
      assert.equal(world.downs[0]?.effect.diagnostic, 'detection-expired');
      assert.ok((world.downs[0]?.effect.evidence?.naps ?? 9) <= 3);
    });
  }), { numRuns: 150 });
});

test('with meticulous SHA-1, packets that are repeated, changed or made up change nothing', () => {
  const attack = fc.record({ which: fc.nat(), bit: fc.option(fc.nat(52 * 8 - 1), { nil: undefined }), span: fc.nat(120) });
  let injected = 0;
  fc.assert(fc.property(sides(fc.constantFrom(3, 5)), fc.array(attack, { minLength: 5, maxLength: 60, size: 'max' }), seed, (sides, attacks, seed) => {
    const world = new BfdWorld(sides, seed, { ...DELAYS, authentication: { kind: 'meticulous-sha1', keys: [{ id: 1, secret: Uint8Array.of(7) }] } });
    world.attempt(() => {
      world.start(world.a, world.b);
      world.advance(STEADY);
      for (const { which, bit, span } of attacks) {
        const { to, datagram } = world.recorded[which % world.recorded.length] ?? assert.fail();
        const { payload } = datagram;
        const at = bit === undefined ? undefined : (bit >> 3) % payload.length;
        const forged = at === undefined ? payload : payload.with(at, payload[at]! ^ 1 << (bit! & 7));
        const { heard, echoesHeard } = world.status(to).counters;
        world.wire.arrive(to, { ...datagram, payload: forged, at: ms(world.wire.now) });
        const { counters } = world.status(to);
        assert.deepEqual({ heard: counters.heard, echoesHeard: counters.echoesHeard }, { heard, echoesHeard }, 'it was taken');
        injected++;
        world.advance(span);
      }
      world.checkUp();
      assert.equal(world.downs.length, 0, 'a session went down');
    });
  }), { numRuns: 60 });
  assert.ok(injected > 500);
});
