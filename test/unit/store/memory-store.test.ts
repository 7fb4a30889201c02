/** The contract of `Store`, held by the store in memory; and that it leaves nothing running. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seconds } from '../../../src/base/units.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import { HandClock, outlive, put } from '../../contract/store-bench.ts';
import { storeContract } from '../../contract/store.ts';

const HISTORY = 250;

storeContract('MemoryStore', async () => {
  const clock = new HandClock();
  const store = new MemoryStore({ clock, history: HISTORY });
  return {
    store,
    advance: (duration) => clock.advance(duration),
    forget: () => outlive(store, HISTORY),
    end: async () => {
      await store.close();
      assert.equal(clock.sleepers, 0, 'a timer was left behind');
    },
  };
});

test('needs no event of the loop but microtasks: for a cluster in virtual time', async () => {
  const store = new MemoryStore({ clock: new HandClock() });
  let immediate = false;
  setImmediate(() => { immediate = true; });
  await put(store, '/a', '1', await store.grant(seconds(5)));
  assert.equal(immediate, false);
  await store.close();
});
