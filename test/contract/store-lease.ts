/** Contract of `Store`: leases. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ms, seconds } from '../../src/base/units.ts';
import type { Store } from '../../src/store/store.ts';
import { type OpenStore, collect, openFor, put, rejectsWith, settled } from './store-bench.ts';

const keys = async (store: Store): Promise<string[]> => (await store.list('/k/')).entries.map(({ key }) => key);

export function leaseContract(open: OpenStore): void {
  describe('leases', () => {
    it('ends when its time has passed, not before, and its keys with it, in one batch', async (t) => {
      const { store, advance } = await openFor(t, open);
      const lease = await store.grant(seconds(5));
      await put(store, '/k/b', '1', lease);
      await put(store, '/k/a', '1', lease);
      await put(store, '/k/free', '1');
      assert.equal((await store.get('/k/a'))?.lease, lease);
      advance(ms(4999));
      await settled(store);
      assert.deepEqual(await keys(store), ['/k/a', '/k/b', '/k/free']);
      const { revision } = await store.list('');
      const seen = collect(store, '/k/', revision + 1, 1, t);
      advance(ms(1));
      await settled(store);
      assert.deepEqual(await keys(store), ['/k/free']);
      const [batch] = await seen;
      assert.deepEqual(batch, { revision: revision + 1, changes: ['/k/a', '/k/b'].map((key) => ({ kind: 'delete', key, revision: revision + 1 })) });
    });

    it('lives on from its last keepAlive', async (t) => {
      const { store, advance } = await openFor(t, open);
      const lease = await store.grant(seconds(5));
      await put(store, '/k/a', '1', lease);
      for (let i = 0; i < 4; i++) {
        advance(ms(4000));
        await store.keepAlive(lease);
      }
      advance(ms(4999));
      await settled(store);
      assert.deepEqual(await keys(store), ['/k/a']);
      advance(ms(1));
      await settled(store);
      assert.deepEqual(await keys(store), []);
    });

    it('is gone for its holder from the moment it ends', async (t) => {
      const { store, advance } = await openFor(t, open);
      const lease = await store.grant(seconds(5));
      await put(store, '/k/a', '1', lease);
      advance(seconds(5));
      await Promise.all([
        rejectsWith(store.keepAlive(lease), 'STORE_LEASE_GONE'),
        rejectsWith(put(store, '/k/b', '1', lease), 'STORE_LEASE_GONE'),
        rejectsWith(store.revoke(lease), 'STORE_LEASE_GONE'),
      ]);
      await settled(store);
      assert.deepEqual(await keys(store), []);
    });

    it('ends at once when it is revoked, and for good', async (t) => {
      const { store } = await openFor(t, open);
      const [lease, other] = await Promise.all([store.grant(seconds(5)), store.grant(seconds(5))]);
      assert.notEqual(lease, other);
      await store.txn({ operations: [{ put: '/k/a', value: '1', lease }, { put: '/k/b', value: '1', lease: other }] });
      await Promise.all([store.revoke(lease), rejectsWith(put(store, '/k/c', '1', lease), 'STORE_LEASE_GONE')]);
      assert.deepEqual(await keys(store), ['/k/b']);
      await rejectsWith(store.revoke(lease), 'STORE_LEASE_GONE');
      await rejectsWith(store.keepAlive(lease), 'STORE_LEASE_GONE');
      assert.notEqual(await store.grant(seconds(5)), lease);
    });

    it('does not hold what was put anew without it, or was deleted', async (t) => {
      const { store } = await openFor(t, open);
      const lease = await store.grant(seconds(5));
      for (const key of ['/k/a', '/k/b', '/k/c']) await put(store, key, '1', lease);
      const other = await store.grant(seconds(5));
      await put(store, '/k/a', '2');
      await put(store, '/k/b', '2', other);
      await store.txn({ operations: [{ delete: '/k/c' }] });
      const { revision } = await store.list('');
      await store.revoke(lease);
      assert.deepEqual(await keys(store), ['/k/a', '/k/b']);
      assert.equal((await store.list('')).revision, revision); // it held nothing: nothing changed
      assert.equal((await store.get('/k/a'))?.lease, undefined);
    });

    it('fails a transaction whole when it names one that is not; but first it compares', async (t) => {
      const { store } = await openFor(t, open);
      await rejectsWith(store.txn({ operations: [{ put: '/k/a', value: '1' }, { put: '/k/b', value: '1', lease: 'none' }] }), 'STORE_LEASE_GONE');
      assert.deepEqual(await keys(store), []);
      const outcome = await store.txn({ compare: [{ key: '/k/a', modRevision: 1 }], operations: [{ put: '/k/b', value: '1', lease: 'none' }] });
      assert.equal(outcome.ok, false);
    });

    it('takes any time above zero, up to months', async (t) => {
      const { store, advance } = await openFor(t, open);
      for (const ttl of [0, -1, NaN, Infinity]) await rejectsWith(store.grant(ms(ttl)), 'STORE_MISUSE');
      const year = seconds(365 * 24 * 3600);
      await put(store, '/k/a', '1', await store.grant(year));
      advance(ms(year / 2));
      await settled(store);
      assert.deepEqual(await keys(store), ['/k/a']);
      advance(ms(year / 2));
      await settled(store);
      assert.deepEqual(await keys(store), []);
    });
  });
}
