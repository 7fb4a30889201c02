/** Series against a model that keeps every sample. Times in ms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Milliseconds, ms, seconds } from '../../../src/base/units.ts';
import {
  GaugeSeries, RatioSeries, type Ring, SeriesError, defaultRings, latencyBuckets, latencyClass, seriesBytes,
} from '../../../src/protocol/time-series.ts';

const rings: readonly Ring[] = [
  { step: ms(10), slots: 8, fine: true }, { step: ms(40), slots: 6, fine: false }, { step: ms(160), slots: 5, fine: false },
];

interface Sample {
  readonly at: number;
  readonly value: number;
}

/** What a ring must hold of these samples, told one by one. */
function expected(samples: readonly Sample[], { step, slots }: Ring): Map<number, number[]> {
  const held = new Map<number, number[]>();
  let newest = -1;
  for (const { at, value } of samples) {
    const number = Math.floor(at / step);
    if (number <= newest - slots) continue;
    newest = Math.max(newest, number);
    for (const old of held.keys()) if (old <= newest - slots) held.delete(old);
    held.set(number, [...held.get(number) ?? [], value]);
  }
  return held;
}

const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b));
/** Mostly onward, sometimes far, sometimes a little back. */
const steps = fc.array(fc.tuple(fc.oneof(fc.nat(15), fc.integer({ min: -60, max: 30 }), fc.nat(2000)), fc.double({ min: 0.01, max: 60_000, noNaN: true })), { maxLength: 60 });
const walk = (list: readonly (readonly [number, number])[]): Sample[] => {
  let at = 5000;
  return list.map(([step, value]) => ({ at: at = Math.max(0, at + step), value }));
};

for (const [index, ring] of rings.entries()) {
  test(`ring ${index}: every slot says what its samples say`, () => {
    fc.assert(fc.property(steps, (list) => {
      const samples = walk(list);
      const series = new GaugeSeries([ring]);
      for (const { at, value } of samples) series.add(ms(at), value);
      const held = expected(samples, ring);
      // Nothing reaches further back than the ring does: as many points as slots.
      const points = series.read(ms(0), ms(1e6), 1000).filter(({ count }) => count > 0);
      assert.deepEqual(points.map(({ at }) => at / ring.step), [...held.keys()].sort((a, b) => a - b));
      for (const { at, span, count, min, mean, max, classes } of points) {
        const values = held.get(at / ring.step) ?? [];
        assert.equal(span, ring.step);
        assert.equal(count, values.length);
        assert.ok(close(min, Math.min(...values)) && close(max, Math.max(...values)));
        assert.ok(close(mean, values.reduce((sum, v) => sum + v, 0) / values.length), `${mean}`);
        const wanted = ring.fine ? [] : Array.from({ length: 21 }, (_, c) => values.filter((v) => latencyClass(v) === c).length);
        assert.deepEqual(classes, wanted);
      }
    }), { numRuns: 300 });
  });
}

test('a query: points that touch, as many as asked for at most, with all samples of what the ring still has', () => {
  fc.assert(fc.property(steps, fc.nat(6000), fc.nat(3000), fc.integer({ min: 1, max: 20 }), (list, from, span, wanted) => {
    const samples = walk(list);
    const series = new GaugeSeries(rings);
    const ratio = new RatioSeries(rings);
    for (const { at, value } of samples) {
      series.add(ms(at), value);
      ratio.add(ms(at), value > 100 ? 1 : 0, 1);
    }
    const points = series.read(ms(from), ms(from + span), wanted);
    assert.ok(points.length <= wanted);
    const ratios = ratio.read(ms(from), ms(from + span), wanted);
    assert.deepEqual(ratios.map(({ at, span, whole }) => [at, span, whole]), points.map(({ at, span, count }) => [at, span, count]));
    const [first] = points;
    if (!first) return;
    for (const [i, point] of points.entries()) if (i > 0) assert.equal(point.at, (points[i - 1]?.at ?? 0) + (points[i - 1]?.span ?? 0));
    const last = points.at(-1);
    const end = (last?.at ?? 0) + (last?.span ?? 0);
    const ring = rings.find((ring) => matches(points, expected(samples, ring), ring.step, end));
    assert.ok(ring, 'of none of the rings');
    const parts = ratios.reduce((sum, { part }) => sum + part, 0);
    const high = [...expected(samples, ring)].filter(([n]) => n * ring.step >= first.at && n * ring.step < end).flatMap(([, values]) => values).filter((v) => v > 100).length;
    assert.equal(parts, high);
  }), { numRuns: 500 });
});

/** Whether these points are that ring's. */
function matches(points: ReturnType<GaugeSeries['read']>, held: Map<number, number[]>, step: number, end: number): boolean {
  if (end % step !== 0) return false;
  return points.every(({ at, span, count, min }) => {
    const values = [...held].filter(([n]) => n * step >= at && n * step < at + span).flatMap(([, v]) => v);
    return at % step === 0 && values.length === count && (count === 0 ? Number.isNaN(min) : close(min, Math.min(...values)));
  });
}

test('which ring is read: the coarsest that is fine enough, the finest where none is, and one that reaches back', () => {
  const series = new GaugeSeries(rings);
  for (let at = 0; at < 4000; at += 5) series.add(ms(at), 1);
  const spanOf = (from: number, to: number, points: number): number | undefined => series.read(ms(from), ms(to), points)[0]?.span;
  assert.equal(spanOf(3960, 4000, 100), 10, 'finer than there is');
  assert.equal(spanOf(3920, 4000, 2), 40);
  assert.equal(spanOf(3930, 4000, 4), 20, 'two slots of the finest for each point');
  assert.equal(spanOf(3800, 4000, 100), 40, 'the finest does not reach back');
  assert.equal(spanOf(3300, 4000, 100), 160);
  assert.deepEqual(series.read(ms(0), ms(4000), 100).map(({ at }) => at), [3200, 3360, 3520, 3680, 3840], 'what there is');
  assert.deepEqual(series.read(ms(5000), ms(6000), 10), []);
});

test('a query reads 16 384 slots at most: of a coarser ring, or else the newest', () => {
  const long: Ring = { step: ms(1), slots: 40_000, fine: true };
  const [one, two] = [new RatioSeries([long]), new RatioSeries([long, { step: ms(100), slots: 500, fine: false }])];
  for (let at = 0; at < 40_000; at++) for (const series of [one, two]) series.add(ms(at), 0, 1);
  const sum = (points: ReturnType<RatioSeries['read']>): number => points.reduce((total, { whole }) => total + whole, 0);
  assert.equal(sum(one.read(ms(0), ms(40_000), 10_000)), 16_384);
  assert.equal(one.read(ms(0), ms(40_000), 10_000)[0]?.at, 40_000 - 16_384);
  assert.equal(sum(two.read(ms(0), ms(40_000), 20_000)), 40_000);
});

test('the classes are smokeping_prober\'s: 50 µs, doubled 19 times, and what is above', () => {
  assert.equal(latencyBuckets.length, 20);
  assert.deepEqual([latencyBuckets[0], latencyBuckets[5], latencyBuckets[19]], [0.05, 1.6, 26_214.4]);
  assert.deepEqual([0, 0.05, 0.050001, 1.6, 26_214.4, 26_214.5].map(latencyClass), [0, 0, 1, 5, 19, 20]);
});

test('full slots: a gauge keeps its mean and extremes, a ratio takes no more', () => {
  const [gauge, ratio] = [new GaugeSeries(rings), new RatioSeries(rings)];
  for (let i = 0; i < 70_000; i++) {
    gauge.add(ms(0), i % 2);
    ratio.add(ms(0), 1, 2);
  }
  const fine = gauge.read(ms(0), ms(10), 10)[0];
  assert.equal(fine?.count, 65_535);
  assert.ok(Math.abs((fine?.mean ?? 0) - 0.5) < 0.01);
  assert.deepEqual([fine?.min, fine?.max], [0, 1]);
  assert.deepEqual(ratio.read(ms(0), ms(10), 10)[0], { at: 0, span: 10, part: 32_767, whole: 65_534 });
  assert.deepEqual(ratio.read(ms(0), ms(160), 1)[0], { at: 0, span: 160, part: 70_000, whole: 140_000 });
});

test('a series lives on in its bytes, and refuses those of another one', () => {
  const series = new GaugeSeries(rings);
  for (let at = 0; at < 4000; at += 7) series.add(ms(at), at % 13);
  const again = new GaugeSeries(rings, series.buffer.slice());
  assert.deepEqual(again.read(ms(3000), ms(4000), 50), series.read(ms(3000), ms(4000), 50));
  again.add(ms(4000), 99);
  assert.equal(again.read(ms(4000), ms(4010), 50)[0]?.max, 99);
  const copy = (): ArrayBuffer => series.buffer.slice();
  const damaged = copy();
  new Uint8Array(damaged)[0] = 1;
  for (const [what, make] of Object.entries({
    'another kind': () => new RatioSeries(rings, copy()), 'too short': () => new GaugeSeries(rings, copy().slice(8)), 'other bytes': () => new GaugeSeries(rings, damaged),
    'other rings of the same size': () => new GaugeSeries(rings.map((ring) => ({ ...ring, step: ms(ring.step * 2) })), copy()),
  })) assert.throws(make, SeriesError, what);
  assert.equal(series.buffer.byteLength, seriesBytes('gauge', rings));
});

test('a day of seconds of 32 hosts × 2 paths, with minutes and weeks, is less than 200 MB', () => {
  const path = seriesBytes('gauge', defaultRings) + 2 * seriesBytes('ratio', defaultRings);
  assert.ok(path * 64 < 200e6, `${path * 64 / 1e6} MB`);
  assert.equal(new GaugeSeries().buffer.byteLength + 2 * new RatioSeries().buffer.byteLength, path);
});

test('a chart of a day, printed', (t) => {
  const series = new GaugeSeries();
  for (let at = 0; at < 86_400; at += 1) series.add(seconds(1_000_000 + at), at % 17);
  for (const [name, from] of [['an hour', 82_800], ['a day', 0], ['a week', -6 * 86_400]] as const) {
    const begin = performance.now();
    const points: readonly { readonly at: Milliseconds }[] = series.read(seconds(1_000_000 + from), seconds(1_086_400), 500);
    t.diagnostic(`${name}: ${points.length} points in ${(performance.now() - begin).toFixed(2)} ms`);
    assert.ok(points.length > 0 && points.length <= 500);
  }
});
