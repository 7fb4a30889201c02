import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { DeadlineEntry, DeadlineHeap } from '../../../src/protocol/deadline-heap.ts';

test('whatever is set, moved and taken out: the first is the earliest, as a list would have it', () => {
  const change = fc.record({ which: fc.nat(15), due: fc.oneof(fc.nat(9), fc.nat(1000), fc.constant(Infinity)), gone: fc.boolean() });
  fc.assert(fc.property(fc.array(change, { maxLength: 120, size: 'max' }), (changes) => {
    const heap = new DeadlineHeap<number>();
    const entries = Array.from({ length: 16 }, (_, i) => new DeadlineEntry(i));
    const list = new Map<number, number>();
    for (const { which, due, gone } of changes) {
      const entry = entries[which]!;
      if (gone) heap.delete(entry);
      else heap.set(entry, ms(due));
      if (gone || due === Infinity) list.delete(which);
      else list.set(which, due);
      const { first } = heap;
      assert.equal(first?.due, list.size === 0 ? undefined : Math.min(...list.values()));
      if (first) assert.equal(list.get(first.item), first.due);
    }
    // And in order to the end.
    const drained: number[] = [];
    for (let { first } = heap; first; { first } = heap) {
      drained.push(first.due);
      heap.delete(first);
    }
    assert.deepEqual(drained, [...list.values()].sort((a, b) => a - b));
  }), { numRuns: 2000 });
});
