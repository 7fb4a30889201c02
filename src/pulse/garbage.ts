/**
 * Garbage, collected when nobody waits for this process. A full collection stands still for some 20 ms on the one thread there is (of 14
 * MiB alive; measured with --trace-gc), and V8 begins one at any moment once the heap has grown by as much again. So a pulse collects
 * before that, at moments of its own choosing: while no router is Active here, where it only delays what a Backup decides, or between two
 * adverts that are far enough apart. An Active with adverts every 10 ms has no such moment: there V8 decides, once in some ten minutes.
 */
import { setFlagsFromString, getHeapStatistics } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Bytes, type Milliseconds, bytes, mib, ms, seconds } from '../base/units.ts';

export interface Heap {
  used(): Bytes;
  /** All of it, at once. */
  collect(): void;
}

/** Of this process. */
export function ownHeap(): Heap {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  return {
    used: () => bytes(getHeapStatistics().used_heap_size),
    collect: () => {
      if (typeof collect === 'function') Reflect.apply(collect, undefined, []);
    },
  };
}

/** Between two looks at the heap. */
const LOOK = seconds(10);
/** That much more than was alive makes a collection worth its while; V8 lets it grow by some 10 MiB before it begins one. */
const GROWN = mib(2);

export class Garbage {
  readonly #heap: Heap;
  #alive: Bytes;
  #next: Milliseconds;

  /** Collects at once: what the start left is the most there will ever be. */
  constructor(heap: Heap, now: Milliseconds) {
    this.#heap = heap;
    heap.collect();
    this.#alive = heap.used();
    this.#next = ms(now + LOOK);
  }

  /** Collects if it is worth it. `harmless`: this is such a moment. True: it did, and time has passed. */
  mayCollect(harmless: () => boolean, now: Milliseconds): boolean {
    if (now < this.#next || !harmless()) return false;
    this.#next = ms(now + LOOK);
    if (this.#heap.used() - this.#alive < GROWN) return false;
    this.#heap.collect();
    this.#alive = this.#heap.used();
    return true;
  }
}
