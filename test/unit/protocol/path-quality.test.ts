/** What becomes of a path's fitness, against losses whose truth is known. Times in ms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms, seconds } from '../../../src/base/units.ts';
import { ruledOutAfter, wilson } from '../../../src/protocol/confidence.ts';
import { type PathFacts, choosePaths } from '../../../src/protocol/path-choice.ts';
import { type QualityPolicy, PathQuality, type QualityTurn, defaultQualityPolicy } from '../../../src/protocol/path-quality.ts';
import { exponential, seeded } from './seeded.ts';

// Of what is only likely the same draw each time: a test that fails once in some thousand runs would say nothing.
fc.configureGlobal({ seed: 20_261_122 });

interface Turned extends QualityTurn {
  readonly at: number;
}

const RATE = 100;
/** Probes at 100 a second. @param loss by second, 0..1 */
function probe(quality: PathQuality, from: number, span: number, loss: (second: number) => number, random: () => number, rtt: (second: number) => number = () => 1): Turned[] {
  const turns: Turned[] = [];
  for (let i = 0; i < span * RATE; i++) {
    const at = from + i / RATE;
    const turn = quality.probe(random() < loss(at) ? undefined : ms(rtt(at)), seconds(at));
    if (turn) turns.push({ ...turn, at });
  }
  return turns;
}
const fresh = (policy: QualityPolicy = defaultQualityPolicy): PathQuality => new PathQuality(policy, ms(0));
const seed = fc.integer();

test('the bounds of Wilson, and how many probes rule a loss out', () => {
  const about = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 5e-4, `${a}, ${b}`);
  // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
  for (const [lost, sent, low, high] of [[81, 263, 0.2553, 0.3662], [15, 148, 0.0624, 0.1605], [0, 20, 0, 0.1611], [1, 29, 0.0061, 0.1718]] as const) {
    about(wilson(lost, sent).low, low);
    about(wilson(lost, sent).high, high);
  }
  assert.deepEqual(wilson(0, 0), { low: 0, high: 1 });
  assert.equal(ruledOutAfter(0.001), 2995, 'about 3000');
  assert.ok(wilson(0, 3000).high < 0.0013 && wilson(0, 3900).high < 0.001);
});

test('a share lies within its bounds in 95 of 100 cases', () => {
  const random = seeded(5);
  for (const share of [0.001, 0.02, 0.3]) {
    let inside = 0;
    for (let run = 0; run < 1000; run++) {
      let lost = 0;
      for (let i = 0; i < 1000; i++) if (random() < share) lost++;
      const { low, high } = wilson(lost, 1000);
      if (low <= share && share <= high) inside++;
    }
    assert.ok(inside > 910 && inside < 990, `${share}: ${inside}`);
  }
});

test('3 % loss at 100 probes a second: out within 3 s in nine of ten cases', () => {
  let [late, all] = [0, 0];
  for (let seed = 0; seed < 200; seed++) {
    const random = seeded(seed);
    const quality = fresh();
    assert.deepEqual(probe(quality, 0, 30, () => 0, random), []);
    const [turn] = probe(quality, 30, 20, () => 0.03, random);
    assert.equal(turn?.to, 'unfit');
    assert.match(turn.because, /^loss \d/);
    all++;
    if (turn.at > 33) late++;
  }
  assert.ok(late <= all / 10, `${late} of ${all}`);
});

test('a path that loses half or all is out within its fast path', () => {
  fc.assert(fc.property(fc.constantFrom(0.7, 1), seed, (loss, seed) => {
    const quality = fresh();
    const random = seeded(seed);
    probe(quality, 0, 60, () => 0, random);
    const [turn] = probe(quality, 60, 1, () => loss, random);
    assert.ok(turn !== undefined && turn.at - 60 < 0.2, JSON.stringify(turn));
  }));
});

test('the fast path does not wait for the average, however long its history is', () => {
  const quality = fresh({ ...defaultQualityPolicy, history: 100_000 });
  for (let i = 0; i < 50_000; i++) quality.probe(ms(1), ms(i));
  const turns = Array.from({ length: 5 }, (_, i) => quality.probe(undefined, ms(50_000 + i)));
  assert.deepEqual(turns.map((turn) => turn?.because), [undefined, undefined, undefined, undefined, '5 of the last 10 probes lost']);
});

test('a good path stays: one in 5000 lost for an hour, and the very first; of 0.1 % it is out a few times at most', () => {
  for (let seed = 0; seed < 4; seed++) {
    const quality = fresh();
    quality.probe(undefined, ms(0));
    assert.equal(quality.status().fitness, 'fit');
    assert.deepEqual(probe(quality, 1, 3600, () => 0.0002, seeded(seed)), []);
    assert.ok(probe(fresh(), 0, 3600, () => 0.001, seeded(seed)).length <= 8);
  }
});

test('healed: back after its hold time, within two minutes, and it stays', () => {
  fc.assert(fc.property(seed, fc.double({ min: 0.03, max: 0.3, noNaN: true }), (seed, loss) => {
    const quality = fresh();
    const random = seeded(seed);
    const turns = probe(quality, 0, 200, (at) => (at < 20 ? loss : 0), random);
    assert.deepEqual(turns.map(({ to }) => to), ['unfit', 'fit']);
    const [out, back] = turns;
    assert.ok((back?.at ?? 0) - (out?.at ?? 0) >= 30, 'the hold time');
    assert.ok((back?.at ?? 0) < 140, String(back?.at));
    assert.equal(quality.status().heldUntil, undefined);
  }), { numRuns: 30 });
});

test('a loss that oscillates round the threshold: out once, and no flapping', () => {
  let out = 0;
  fc.assert(fc.property(seed, fc.integer({ min: 2, max: 120 }), fc.double({ min: 0, max: 0.3, noNaN: true }), fc.boolean(), (seed, period, swing, square) => {
    const { rising } = defaultQualityPolicy.loss;
    const wave = (at: number): number => (square ? (at % period < period / 2 ? 1 : -1) : Math.sin(2 * Math.PI * at / period));
    const turns = probe(fresh(), 0, 1800, (at) => rising * (1 + swing * wave(at)), seeded(seed));
    out += turns.length;
    assert.ok(turns.length <= 1, JSON.stringify(turns));
  }), { numRuns: 30 });
  assert.ok(out > 20, `${out} went out at all`);
});

test('between the thresholds nothing is certain, and yet it turns seldom: the hold time grows', () => {
  fc.assert(fc.property(seed, fc.double({ min: 0.004, max: 0.012, noNaN: true }), (seed, loss) => {
    const turns = probe(fresh(), 0, 3600, () => loss, seeded(seed));
    // 30 s, twice as long each time, to 900 s.
    assert.ok(turns.length <= 17, JSON.stringify(turns.map(({ to, at }) => [to, Math.round(at)])));
  }), { numRuns: 12 });
});

test('the hold time doubles with each relapse, to its most, and is short again after long health', () => {
  const quality = fresh({ ...defaultQualityPolicy, hold: { least: seconds(30), most: seconds(100) }, relapse: seconds(300) });
  const random = seeded(1);
  const held: number[] = [];
  let at = 0;
  const break_ = (): void => {
    probe(quality, at, 2, () => 1, random);
    const { since, heldUntil } = quality.status();
    held.push((heldUntil ?? 0) - since);
    at += 2;
    probe(quality, at, 200, () => 0, random);
    at += 200;
  };
  break_();
  break_();
  break_();
  break_();
  probe(quality, at, 300, () => 0, random);
  at += 300;
  break_();
  assert.deepEqual(held, [30_000, 60_000, 100_000, 100_000, 30_000]);
});

test('latency over its threshold, not a single slow answer; back below the lower one', () => {
  const policy: QualityPolicy = { ...defaultQualityPolicy, latency: { rising: 5, falling: 3 } };
  const quality = fresh(policy);
  const random = seeded(2);
  quality.probe(ms(500), ms(0));
  assert.equal(quality.status().fitness, 'fit');
  const rtt = (at: number): number => 1 + exponential(random, at < 40 ? 1 : at < 60 ? 9 : 0.5);
  const turns = probe(quality, 1, 300, () => 0, random, rtt);
  assert.deepEqual(turns.map(({ to }) => to), ['unfit', 'fit']);
  assert.ok((turns[0]?.at ?? 0) > 40 && (turns[0]?.at ?? 0) < 43, String(turns[0]?.at));
  assert.match(turns[0]?.because ?? '', /^latency \d+\.\d\d ms, limit 5 ms$/);
});

test('the bounds that are shown contain the truth', () => {
  let inside = 0;
  for (let seed = 0; seed < 300; seed++) {
    const quality = fresh();
    probe(quality, 0, 20, () => 0.01, seeded(seed));
    const { bounds, slowBounds, loss } = quality.status();
    assert.ok(bounds.low <= loss && loss <= bounds.high);
    if (bounds.low <= 0.01 && 0.01 <= bounds.high && slowBounds.low <= 0.01 && 0.01 <= slowBounds.high) inside++;
  }
  const quality = fresh();
  for (let i = 0; i < 100; i++) quality.probe(i === 50 ? undefined : ms(1), seconds(i));
  assert.equal(quality.status().suspicious, true);
  assert.ok(inside > 255, `${inside} of 300, both at once`);
});

const fact = (path: string, alive: boolean, fitness: 'fit' | 'unfit', slowLoss = 0, latency = 1): PathFacts => ({ path, alive, quality: { fitness, slowLoss, latency: ms(latency), because: `loss ${slowLoss}` } });

test('which paths are in use', () => {
  const use = (paths: PathFacts[], before: string[] = ['p', 'q']): string => choosePaths(paths, before).use.join(' ');
  assert.equal(use([fact('p', true, 'fit'), fact('q', true, 'fit')]), 'p q');
  assert.equal(use([fact('p', true, 'unfit', 0.03), fact('q', true, 'fit')]), 'q');
  assert.equal(use([fact('p', true, 'unfit', 0.03), fact('q', true, 'unfit', 0.3)]), 'p', 'never the last one, and the better one');
  assert.equal(use([fact('p', true, 'unfit', 0.03), fact('q', true, 'unfit', 0.04)], ['q']), 'q', 'not clearly better');
  assert.equal(use([fact('p', true, 'unfit', 0.03), fact('q', true, 'unfit', 0.07)], ['q']), 'p', 'clearly better');
  assert.equal(use([fact('p', true, 'unfit', 0, 9), fact('q', true, 'unfit', 0, 4)], ['p']), 'q', 'by latency where loss is the same');
  assert.equal(use([fact('p', true, 'unfit', 0.9), fact('q', false, 'fit')]), 'p', 'sick is better than silent');
  assert.equal(use([fact('p', false, 'unfit', 1), fact('q', false, 'fit')], ['q']), 'q', 'nothing changes when nothing lives');
  assert.equal(use([fact('p', false, 'fit')], []), 'p');
  assert.equal(use([], ['p']), '');
  const { because } = choosePaths([fact('p', true, 'unfit', 0.03), fact('q', false, 'fit')], ['p']);
  assert.deepEqual([...because], [['p', 'the last path, in use although: loss 0.03'], ['q', 'nothing comes through it']]);
});

test('there is always a path in use, a fit one whenever one lives, and two sick ones do not take turns', () => {
  const anyFact = fc.record({ alive: fc.boolean(), fitness: fc.constantFrom<'fit' | 'unfit'>('fit', 'unfit'), slowLoss: fc.double({ min: 0, max: 1, noNaN: true }), latency: fc.double({ min: 0, max: 10, noNaN: true }) });
  fc.assert(fc.property(fc.array(anyFact, { minLength: 1, maxLength: 4 }), fc.subarray(['p0', 'p1', 'p2', 'p3']), (facts, before) => {
    const paths = facts.map(({ alive, fitness, slowLoss, latency }, i) => fact(`p${i}`, alive, fitness, slowLoss, latency));
    const { use } = choosePaths(paths, before);
    assert.ok(use.length > 0);
    const chosen = paths.filter(({ path }) => use.includes(path));
    const alive = paths.filter((path) => path.alive);
    if (alive.length > 0) assert.ok(chosen.every((path) => path.alive));
    if (alive.some(({ quality }) => quality.fitness === 'fit')) assert.deepEqual(chosen, alive.filter(({ quality }) => quality.fitness === 'fit'));
    assert.deepEqual(choosePaths(paths, use).use, use, 'the same facts again change nothing');
  }), { numRuns: 2000 });
});
