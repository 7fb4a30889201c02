/** When a pulse collects its garbage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Bytes, bytes, mib, ms } from '../../../src/base/units.ts';
import { Garbage, ownHeap } from '../../../src/pulse/garbage.ts';

class FakeHeap {
  garbage: Bytes = bytes(0);
  collections = 0;

  used(): Bytes {
    return bytes(mib(14) + this.garbage);
  }

  collect(): void {
    this.collections++;
    this.garbage = bytes(0);
  }
}

const always = (): boolean => true;

test('at its start, then when there is enough of it, at a harmless moment, and not looked at all the time', () => {
  const heap = new FakeHeap();
  const garbage = new Garbage(heap, ms(0));
  assert.equal(heap.collections, 1);
  heap.garbage = mib(5);
  assert.equal(garbage.mayCollect(always, ms(9_999)), false, 'looked at every 10 s');
  assert.equal(garbage.mayCollect(() => false, ms(10_000)), false, 'not a moment for it');
  assert.equal(garbage.mayCollect(always, ms(10_001)), true, 'the first that is');
  assert.equal(heap.collections, 2);
  heap.garbage = mib(1);
  assert.equal(garbage.mayCollect(always, ms(21_000)), false, 'too little');
  heap.garbage = mib(2);
  assert.equal(garbage.mayCollect(always, ms(25_000)), false);
  assert.equal(garbage.mayCollect(always, ms(31_000)), true);
  assert.equal(heap.collections, 3);
});

test('the heap of a process: what is let go of is gone', () => {
  const heap = ownHeap();
  heap.collect();
  const before = heap.used();
  let held: number[] | undefined = Array.from({ length: 1_000_000 }, (_, i) => i + 0.5);
  assert.ok(heap.used() - before > mib(4), `${held.length} numbers are held`);
  held = undefined;
  heap.collect();
  assert.ok(heap.used() - before < mib(1));
});
