/** What every implementation of `Store` has to do: transactions here, watches, leases and the whole against a model beside it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { type OpenStore, openFor, put, rejectsWith, revisionOf } from './store-bench.ts';
import { leaseContract } from './store-lease.ts';
import { modelContract } from './store-model.ts';
import { watchContract } from './store-watch.ts';

export function storeContract(name: string, open: OpenStore): void {
  describe(`store: ${name}`, { timeout: 120_000 }, () => {
    transactionContract(open);
    watchContract(open);
    leaseContract(open);
    modelContract(open);
  });
}

function transactionContract(open: OpenStore): void {
  describe('transactions', () => {
    it('begins empty, at revision 0', async (t) => {
      const { store } = await openFor(t, open);
      assert.deepEqual(await store.list(''), { entries: [], revision: 0 });
      assert.equal(await store.get('/none'), undefined);
    });

    it('numbers what is written from 1 on, without a gap', async (t) => {
      const { store } = await openFor(t, open);
      const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => store.txn({ operations: [{ put: `/k/${i}`, value: `${i}` }] })));
      assert.deepEqual(outcomes.map(revisionOf), Array.from({ length: 20 }, (_, i) => i + 1));
      assert.equal((await store.list('/')).revision, 20);
    });

    it('keeps the revision of creation, and of the last change', async (t) => {
      const { store } = await openFor(t, open);
      await put(store, '/a', 'one');
      await put(store, '/b', 'other');
      await put(store, '/a', 'two');
      assert.deepEqual(await store.get('/a'), { key: '/a', value: 'two', modRevision: 3, createRevision: 1 });
      await store.txn({ operations: [{ delete: '/a' }] });
      assert.equal(await store.get('/a'), undefined);
      await put(store, '/a', 'three');
      assert.deepEqual(await store.get('/a'), { key: '/a', value: 'three', modRevision: 5, createRevision: 5 });
    });

    it('lists by prefix, in the order of bytes', async (t) => {
      const { store } = await openFor(t, open);
      for (const key of ['/vm/b', '/vm/a', '/vms', '/vm/a-1', '/vm/a/x', '/vm/B', '/host/a']) await put(store, key, key);
      const { entries, revision } = await store.list('/vm/');
      assert.deepEqual(entries.map(({ key }) => key), ['/vm/B', '/vm/a', '/vm/a-1', '/vm/a/x', '/vm/b']);
      assert.equal(revision, 7);
      assert.deepEqual((await store.list('/none')).entries, []);
    });

    it('writes all operations or, when a comparison does not hold, nothing, and names the first that did not', async (t) => {
      const { store } = await openFor(t, open);
      await put(store, '/a', '1');
      const wrong = { key: '/a', value: '2' };
      const refused = await store.txn({
        compare: [{ key: '/a', modRevision: 1 }, wrong, { key: '/b', modRevision: 9 }], operations: [{ put: '/a', value: '3' }, { put: '/b', value: '3' }],
      });
      assert.deepEqual(refused, { ok: false, failed: wrong, revision: 1 });
      assert.deepEqual((await store.list('')).entries.map(({ value }) => value), ['1']);
      const compare = [{ key: '/a', modRevision: 1 }, { key: '/a', value: '1' }, { key: '/b', modRevision: 0 }];
      assert.deepEqual(await store.txn({ compare, operations: [{ delete: '/a' }, { put: '/b', value: '4' }] }), { ok: true, revision: 2 });
      assert.deepEqual((await store.list('')).entries.map(({ key }) => key), ['/b']);
      assert.equal((await store.txn({ compare: [{ key: '/none', value: '' }], operations: [] })).ok, false);
    });

    it('gives no revision to what changes nothing', async (t) => {
      const { store } = await openFor(t, open);
      await put(store, '/a', '1');
      assert.deepEqual(await store.txn({ operations: [{ delete: '/none' }] }), { ok: true, revision: 1 });
      assert.deepEqual(await store.txn({ compare: [{ key: '/a', modRevision: 1 }], operations: [] }), { ok: true, revision: 1 });
      assert.equal(await put(store, '/a', '1'), 2); // the same value is a change all the same
    });

    it('lets one of many win who compare at once, and each learns its own result', async (t) => {
      const { store } = await openFor(t, open);
      const claims = Array.from({ length: 16 }, (_, i) => store.txn({ compare: [{ key: '/leader', modRevision: 0 }], operations: [{ put: '/leader', value: `${i}` }] }));
      const outcomes = await Promise.all(claims);
      const winners = outcomes.flatMap((outcome, i) => (outcome.ok ? [`${i}`] : []));
      assert.deepEqual(winners, [(await store.get('/leader'))?.value]);
      assert.equal((await store.list('')).revision, 1);
    });

    it('keeps values to the letter', async (t) => {
      const { store } = await openFor(t, open);
      for (const value of ['', '"ü 🦆 \u2028"', 'x'.repeat(300_000), 'nul \0 within', "' \" ; --"]) {
        await put(store, '/value', value);
        assert.equal((await store.get('/value'))?.value, value);
      }
    });

    it('refuses what can never be right, and writes nothing of it', async (t) => {
      const { store } = await openFor(t, open);
      for (const key of ['', 'a', '/ü', '/a b', '/a\n']) await rejectsWith(put(store, key, '1'), 'STORE_MISUSE');
      await rejectsWith(store.txn({ operations: [{ put: '/a', value: '1' }, { delete: '/a' }] }), 'STORE_MISUSE');
      await rejectsWith(put(store, '/a', '\ud800'), 'STORE_MISUSE');
      assert.deepEqual(await store.list(''), { entries: [], revision: 0 });
    });

    it('keeps what was asked of it before it closed, and refuses everything after', async (t) => {
      const { store } = await openFor(t, open);
      const lease = await store.grant(ms(1000));
      const last = put(store, '/a', '1');
      await store.close();
      assert.equal(await last, 1);
      await store.close();
      const asked = [store.get('/a'), store.list(''), put(store, '/a', '2'), store.keepAlive(lease), store.revoke(lease)];
      for (const answer of asked) await rejectsWith(answer, 'STORE_CLOSED');
    });
  });
}
