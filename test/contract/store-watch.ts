/** Contract of `Store`: watches. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Change } from '../../src/store/store.ts';
import { type OpenStore, collect, openFor, put, rejectsWith, revisionOf, take } from './store-bench.ts';

const keyOf = (change: Change): string => (change.kind === 'put' ? change.entry.key : change.key);

export function watchContract(open: OpenStore): void {
  describe('watches', () => {
    it('tells what was, from the revision asked for on, and then what comes', async (t) => {
      const { store } = await openFor(t, open);
      for (const value of ['1', '2', '3']) await put(store, '/a', value);
      const seen = collect(store, '/', 2, 4, t);
      await put(store, '/a', '4');
      await store.txn({ operations: [{ delete: '/a' }] });
      assert.deepEqual(await seen, [
        ...[2, 3, 4].map((n) => ({ revision: n, changes: [{ kind: 'put', entry: { key: '/a', value: `${n}`, modRevision: n, createRevision: 1 } }] })),
        { revision: 5, changes: [{ kind: 'delete', key: '/a', revision: 5 }] },
      ]);
    });

    it('tells a transaction whole, in its order, and only keys of its prefix', async (t) => {
      const { store } = await openFor(t, open);
      await put(store, '/vm/c', '0');
      const seen = collect(store, '/vm/', 2, 2, t);
      await put(store, '/host/a', '1');
      await store.txn({ operations: [{ put: '/vm/b', value: '1' }, { put: '/host/b', value: '1' }, { delete: '/vm/c' }, { put: '/vm/a', value: '1' }, { delete: '/vm/none' }] });
      await put(store, '/vm/d', '1');
      const told = (await seen).map(({ revision, changes }) => ({ revision, changes: changes.map((change) => `${change.kind} ${keyOf(change)}`) }));
      assert.deepEqual(told, [{ revision: 3, changes: ['put /vm/b', 'delete /vm/c', 'put /vm/a'] }, { revision: 4, changes: ['put /vm/d'] }]);
    });

    it('waits for a revision that is still to come', async (t) => {
      const { store } = await openFor(t, open);
      const seen = collect(store, '/', 3, 1, t);
      for (const value of ['1', '2', '3', '4']) await put(store, '/a', value);
      assert.deepEqual((await seen).map(({ revision }) => revision), [3]);
    });

    it('has no gap and no repeat after a listing, while transactions go on', async (t) => {
      const { store } = await openFor(t, open);
      const WRITERS = 8;
      const EACH = 25;
      const outcomes: number[] = [];
      const writer = async (w: number): Promise<void> => {
        for (let i = 0; i < EACH; i++) {
          outcomes.push(revisionOf(await store.txn({ operations: [{ put: `/a/${w}`, value: `${i}` }, { put: `/b/${w}-${i}`, value: `${i}` }] })));
        }
      };
      // A reader lists, follows, and must have at each batch what the store had at that revision.
      const reader = async (after: number): Promise<void> => {
        await take(store.watch('/a/', 1, never()), after);
        const { entries, revision } = await store.list('/a/');
        const values = new Map(entries.map(({ key, value }) => [key, value]));
        let next = revision + 1;
        if (next > WRITERS * EACH) return;
        for await (const batch of store.watch('/a/', next, never())) {
          assert.equal(batch.revision, next++);
          for (const change of batch.changes) {
            assert.ok(change.kind === 'put' && change.entry.modRevision === batch.revision);
            assert.equal(Number(change.entry.value), Number(values.get(change.entry.key) ?? -1) + 1, 'a change of this key was left out or repeated');
            values.set(change.entry.key, change.entry.value);
          }
          if (next > WRITERS * EACH) break;
        }
        assert.deepEqual([...values.values()], Array.from({ length: WRITERS }, () => `${EACH - 1}`));
      };
      const stop = new AbortController();
      t.after(() => stop.abort());
      const never = (): AbortSignal => stop.signal;
      await Promise.all([...Array.from({ length: WRITERS }, (_, w) => writer(w)), ...[1, 2, 30, 77, 150, 199].map(reader)]);
      assert.deepEqual(outcomes.toSorted((a, b) => a - b), Array.from({ length: WRITERS * EACH }, (_, i) => i + 1));
    });

    it('ends when it is aborted, before and while it waits', async (t) => {
      const { store } = await openFor(t, open);
      await put(store, '/a', '1');
      assert.deepEqual(await take(store.watch('/', 1, AbortSignal.abort()), 1), []);
      const stop = new AbortController();
      const waiting = take(store.watch('/', 2, stop.signal), 1);
      await put(store, '/a', '2');
      assert.equal((await waiting).length, 1);
      const rest = take(store.watch('/', 3, stop.signal), 1);
      stop.abort();
      assert.deepEqual(await rest, []);
    });

    it('fails when the store is closed, and for a revision that cannot be', async (t) => {
      const { store } = await openFor(t, open);
      for (const from of [0, -1, 1.5, NaN]) await rejectsWith(collect(store, '/', from, 1, t), 'STORE_MISUSE');
      const waiting = rejectsWith(collect(store, '/', 1, 1, t), 'STORE_CLOSED');
      await store.close();
      await waiting;
      await rejectsWith(collect(store, '/', 1, 1, t), 'STORE_CLOSED');
    });

    it('fails for a revision whose history is gone, and for who reads too slowly; never leaves anything out', async (t) => {
      const { store, forget } = await openFor(t, open);
      await put(store, '/a', '1');
      await put(store, '/a', '2');
      const stop = new AbortController();
      t.after(() => stop.abort());
      const slow = store.watch('/a', 1, stop.signal)[Symbol.asyncIterator]();
      const first = await slow.next();
      assert.ok(first.done !== true && first.value.revision === 1);
      await forget();
      await rejectsWith(slow.next(), 'STORE_COMPACTED');
      await rejectsWith(collect(store, '/a', 2, 1, t), 'STORE_COMPACTED');
      const { entries, revision } = await store.list('/a');
      assert.deepEqual(entries.map(({ value, modRevision }) => [value, modRevision]), [['2', 2]]);
      const seen = collect(store, '/a', revision + 1, 1, t);
      await put(store, '/a', '3');
      assert.deepEqual((await seen).map((batch) => batch.revision), [revision + 1]);
    });
  });
}
