import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Growth, rateOf } from '../../../src/monitor/counters-growth.ts';

test('what grew since the last reading; anew after a pause, or where one counter went backwards', () => {
  const growth = new Growth<string, { readonly a: number; readonly b: number }>();
  const read = (totals: Record<string, { a: number; b: number }>): unknown => {
    const grown = Object.entries(totals).map(([key, each]) => growth.of(key, each));
    growth.turn();
    return grown;
  };
  assert.deepEqual(read({ x: { a: 5, b: 7 } }), [undefined]);
  assert.deepEqual(read({ x: { a: 6, b: 7 }, y: { a: 1, b: 1 } }), [{ a: 1, b: 0 }, undefined]);
  assert.deepEqual(read({ x: { a: 100, b: 6 }, y: { a: 3, b: 4 } }), [undefined, { a: 2, b: 3 }]);
  assert.deepEqual(read({ x: { a: 101, b: 8 } }), [{ a: 1, b: 2 }]);
  assert.deepEqual(read({ x: { a: 101, b: 8 }, y: { a: 9, b: 9 } }), [{ a: 0, b: 0 }, undefined]);
});

test('no rate is ever below 0', () => {
  fc.assert(fc.property(fc.array(fc.nat()), (totals) => {
    const growth = new Growth<string, { readonly n: number }>();
    for (const n of totals) {
      assert.ok(rateOf(growth.of('x', { n })?.n, 0.5) >= 0);
      growth.turn();
    }
  }));
  assert.equal(rateOf(5, 2), 2.5);
});
