/** The bytes of a series, for who keeps them: what a sample touches, and rings of other lengths. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { GaugeSeries, RatioSeries, type Ring } from '../../../src/protocol/time-series.ts';

const rings = (slots: readonly [number, number, number]): readonly Ring[] => [
  { step: ms(10), slots: slots[0], fine: true }, { step: ms(40), slots: slots[1], fine: false }, { step: ms(160), slots: slots[2], fine: false },
];
const lengths = fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 8 }));
const steps = fc.array(fc.tuple(fc.oneof(fc.nat(15), fc.nat(500)), fc.nat(9)), { maxLength: 50 });

/** All samples, onward. */
function fill(series: readonly [GaugeSeries, RatioSeries], list: readonly (readonly [number, number])[], from: number): number {
  let at = from;
  for (const [step, value] of list) {
    series[0].add(ms(at += step), value);
    series[1].add(ms(at), value, 9);
  }
  return at;
}
const both = (layout: readonly Ring[]): readonly [GaugeSeries, RatioSeries] => [new GaugeSeries(layout), new RatioSeries(layout)];

test('outside of what samples touch, and of the head, not one byte changes', () => {
  fc.assert(fc.property(lengths, steps, steps, (slots, before, after) => {
    const series = both(rings(slots));
    const begun = fill(series, before, 1000);
    const copies = series.map(({ buffer }) => new Uint8Array(buffer.slice()));
    const end = fill(series, after, begun);
    for (const [i, one] of series.entries()) {
      const copy = copies[i] ?? assert.fail();
      for (const bytes of [...one.touched(ms(begun), ms(end)), one.head]) copy.set(bytes, bytes.byteOffset);
      assert.deepEqual(copy, new Uint8Array(one.buffer));
    }
  }), { numRuns: 300 });
});

test('one sample touches one slot of each column', () => {
  const [gauge, ratio] = both(rings([100, 100, 100]));
  const sizes = (series: GaugeSeries | RatioSeries): number[] => series.touched(ms(5000), ms(5009)).map(({ length }) => length);
  assert.deepEqual(sizes(gauge), [4, 4, 4, 2, 8, 4, 4, 4, 84, 8, 4, 4, 4, 84]);
  assert.deepEqual(sizes(ratio), [2, 2, 4, 4, 4, 4]);
});

for (const [index, { step, fine }] of rings([1, 1, 1]).entries()) {
  test(`ring ${index} taken over into one of another length: as if it had been told of there, as far as both reach back`, () => {
    // One ring, so that it is the one that is read.
    const of = (slots: number): readonly Ring[] => [{ step, slots, fine }];
    fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), steps, steps, (slots, others, before, after) => {
      const old = both(of(slots));
      const begun = fill(old, before, 1000);
      const [taken, told] = [both(of(others)), both(of(others))];
      taken[0].takeOver(old[0]);
      taken[1].takeOver(old[1]);
      assert.equal(taken[0].newest, old[0].newest);
      const end = fill(taken, after, begun);
      fill(told, after, fill(told, before, 1000));
      // What both had when it was taken over, and what came after.
      const from = ms(Math.max(0, Math.floor(begun / step) - Math.min(slots, others) + 1) * step);
      for (const kind of [0, 1] as const) assert.deepEqual(taken[kind].read(from, ms(end + 1), 1e6), told[kind].read(from, ms(end + 1), 1e6));
    }), { numRuns: 300 });
  });
}

test('newest: undefined before anything, then the slot of the finest ring', () => {
  const [gauge] = both(rings([5, 5, 5]));
  assert.equal(gauge.newest, undefined);
  gauge.add(ms(1234), 1);
  assert.equal(gauge.newest, 1230);
});
