/** What the parts of the contract of `Store` share: the store under test, a clock that is turned by hand, and how a test reads a watch. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/base/clock.ts';
import { type Milliseconds, ms } from '../../src/base/units.ts';
import type { ChangeBatch, Outcome, Store } from '../../src/store/store.ts';

export interface StoreUnderTest {
  readonly store: Store;
  /** Time passes for the store. */
  advance(duration: Milliseconds): void;
  /** Makes the store forget the history of all that happened so far; may write to keys below /forget/. */
  forget(): Promise<void>;
  /** Removes what the store left behind; it may still be open. */
  end(): Promise<void>;
}

export type OpenStore = () => Promise<StoreUnderTest>;

/** Opened for one test, ended with it. */
export async function openFor(t: TestContext, open: OpenStore): Promise<StoreUnderTest> {
  const opened = await open();
  t.after(() => opened.end());
  return opened;
}

/** Time stands still but for `advance`. */
export class HandClock implements Clock {
  #now = 0;
  readonly #sleepers = new Set<{ readonly until: number; wake(): void }>();

  now(): Milliseconds {
    return ms(1_700_000_000_000 + this.#now);
  }

  monotonic(): Milliseconds {
    return ms(this.#now);
  }

  sleep(duration: Milliseconds, signal?: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sleeper = {
      until: this.#now + duration,
      wake: () => {
        this.#sleepers.delete(sleeper);
        resolve();
      },
    };
    this.#sleepers.add(sleeper);
    signal?.addEventListener('abort', sleeper.wake, { once: true });
    if (signal?.aborted) sleeper.wake();
    return promise;
  }

  advance(duration: Milliseconds): void {
    this.#now += duration;
    for (const sleeper of this.#sleepers) if (sleeper.until <= this.#now) sleeper.wake();
  }

  get sleepers(): number {
    return this.#sleepers.size;
  }
}

/** Two transactions, of nothing, after each other: what the store had to do of itself was asked before the second, and is done. */
export async function settled(store: Store): Promise<void> {
  await store.txn({ operations: [] });
  await store.txn({ operations: [] });
}

export async function put(store: Store, key: string, value: string, lease?: string): Promise<number> {
  return revisionOf(await store.txn({ operations: [lease === undefined ? { put: key, value } : { put: key, value, lease }] }));
}

/** `forget` of a store that keeps so many revisions. */
export async function outlive(store: Store, history: number): Promise<void> {
  for (let i = 0; i < history; i++) await put(store, '/forget/', `${i}`);
}

export function revisionOf(outcome: Outcome): number {
  assert.ok(outcome.ok, 'the comparison failed');
  return outcome.revision;
}

/** The next so many batches. */
export async function take(batches: AsyncIterable<ChangeBatch>, count: number): Promise<ChangeBatch[]> {
  const taken: ChangeBatch[] = [];
  for await (const batch of batches) {
    taken.push(batch);
    if (taken.length === count) break;
  }
  return taken;
}

/** All batches of a watch until `count` were seen, read from now on while the test goes on. */
export function collect(store: Store, prefix: string, from: number, count: number, t: TestContext): Promise<ChangeBatch[]> {
  const stop = new AbortController();
  t.after(() => stop.abort());
  return take(store.watch(prefix, from, stop.signal), count);
}

export const rejectsWith = (promise: Promise<unknown>, code: string): Promise<void> => assert.rejects(promise, { name: 'StoreError', code });
