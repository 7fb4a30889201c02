/** The contract of `Store`, held by the store in a file; and what only a file can show: restarts, locks, damage. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, describe, it } from 'node:test';
import { ms, seconds } from '../../../src/base/units.ts';
import { SqliteStore } from '../../../src/store/sqlite-store.ts';
import { HandClock, collect, outlive, put, rejectsWith, settled } from '../../contract/store-bench.ts';
import { storeContract } from '../../contract/store.ts';

const HISTORY = 250;

const makeDirectory = (): string => mkdtempSync(join(tmpdir(), 'gws-'));

storeContract('SqliteStore', async () => {
  const clock = new HandClock();
  const directory = makeDirectory();
  const store = SqliteStore.open(join(directory, 'store.db'), { clock, history: HISTORY });
  return {
    store,
    advance: (duration) => clock.advance(duration),
    forget: () => outlive(store, HISTORY),
    end: async () => {
      await store.close();
      rmSync(directory, { recursive: true });
      assert.equal(clock.sleepers, 0, 'a timer was left behind');
    },
  };
});

/** A file in a directory of its own, gone with the test. */
function filePath(t: TestContext): string {
  const directory = makeDirectory();
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, 'store.db');
}

function openAt(t: TestContext, path: string, options: { readonly clock?: HandClock; readonly history?: number } = {}): SqliteStore {
  const store = SqliteStore.open(path, { clock: new HandClock(), ...options });
  t.after(() => store.close());
  return store;
}

const refusal = (path: string): unknown => {
  try {
    SqliteStore.open(path, { clock: new HandClock() });
  } catch (error) {
    return error;
  }
  return undefined;
};

const assertRefused = (path: string, code: string, says: RegExp): void => {
  const error = refusal(path);
  assert.ok(error instanceof Error && 'code' in error, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, says);
};

describe('a store in a file', () => {
  it('is after a restart what it was: entries, revision, history, leases', async (t) => {
    const path = filePath(t);
    const before = openAt(t, path);
    const lease = await before.grant(seconds(5));
    await before.txn({ operations: [{ put: '/b', value: '1', lease }, { put: '/a', value: 'nul \0 🦆' }] });
    await put(before, '/c', '1');
    await before.txn({ operations: [{ delete: '/c' }, { put: '/a', value: '2' }] });
    const [listing, history] = [await before.list(''), await collect(before, '', 1, 3, t)];
    await before.close();
    const after = openAt(t, path);
    assert.deepEqual(await after.list(''), listing);
    assert.deepEqual(await collect(after, '', 1, 3, t), history);
    assert.equal(await put(after, '/d', '1'), 4);
    assert.notEqual(await after.grant(seconds(5)), lease);
  });

  it('gives a lease its whole time again after a restart', async (t) => {
    const path = filePath(t);
    const clock = new HandClock();
    const before = openAt(t, path, { clock });
    const lease = await before.grant(seconds(5));
    const revoked = await before.grant(seconds(5));
    await put(before, '/a', '1', lease);
    await before.revoke(revoked);
    clock.advance(ms(4999));
    await before.close();
    const later = new HandClock();
    const after = openAt(t, path, { clock: later });
    later.advance(ms(4999));
    await settled(after);
    assert.ok(await after.get('/a'));
    await rejectsWith(after.keepAlive(revoked), 'STORE_LEASE_GONE');
    later.advance(ms(1));
    await settled(after);
    assert.equal(await after.get('/a'), undefined);
    await after.close();
    const last = openAt(t, path);
    await rejectsWith(last.keepAlive(lease), 'STORE_LEASE_GONE');
  });

  it('forgets history beyond its bound, and stays so after a restart with a larger one', async (t) => {
    const path = filePath(t);
    const before = openAt(t, path, { history: 3 });
    for (let i = 1; i <= 5; i++) await before.txn({ operations: [{ put: '/a', value: `${i}` }, { put: '/b', value: `${i}` }] });
    await before.close();
    const after = openAt(t, path, { history: 100 });
    await rejectsWith(collect(after, '', 2, 1, t), 'STORE_COMPACTED');
    assert.deepEqual((await collect(after, '/b', 3, 3, t)).map(({ revision }) => revision), [3, 4, 5]);
    await put(after, '/a', '6');
    await after.close();
    const smaller = openAt(t, path, { history: 2 });
    await rejectsWith(collect(smaller, '', 4, 1, t), 'STORE_COMPACTED');
    assert.deepEqual((await collect(smaller, '', 5, 2, t)).map(({ revision }) => revision), [5, 6]);
  });

  it('is open once at a time', async (t) => {
    const path = filePath(t);
    const store = openAt(t, path);
    assertRefused(path, 'STORE_LOCKED', /second server/);
    await put(store, '/a', '1');
    assertRefused(path, 'STORE_LOCKED', /second server/);
    await store.close();
    assert.ok(await openAt(t, path).get('/a'));
  });

  it('is for its owner alone to read', async (t) => {
    const path = filePath(t);
    await put(openAt(t, path), '/a', '1');
    for (const name of [path, `${path}-wal`]) assert.equal(statSync(name).mode & 0o777, 0o600, name);
  });

  it('refuses a file of a newer format, and leaves it as it is', async (t) => {
    const path = filePath(t);
    await openAt(t, path).close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 2');
    database.close();
    const before = readFileSync(path);
    assertRefused(path, 'STORE_NEWER', /format 2.*up to 1/);
    assert.deepEqual(readFileSync(path), before);
  });

  it('refuses what is no store', (t) => {
    const path = filePath(t);
    writeFileSync(path, 'something else entirely, '.repeat(100));
    assertRefused(path, 'STORE_CORRUPT', /not a database/);
    const foreign = filePath(t);
    const database = new DatabaseSync(foreign);
    database.exec('CREATE TABLE theirs (a)');
    database.close();
    assertRefused(foreign, 'STORE_CORRUPT', /not a store of Godwit/);
    assertRefused(join(path, 'store.db'), 'STORE_UNAVAILABLE', /cannot be read or written/);
    assertRefused(join(foreign, '../none/store.db'), 'STORE_UNAVAILABLE', /cannot be read or written/);
  });

  it('never opens a damaged file as if it were whole', async (t) => {
    const path = filePath(t);
    const store = openAt(t, path);
    for (let i = 0; i < 40; i++) await put(store, `/k/${i}`, `${i}`.repeat(700));
    const listing = await store.list('');
    const history = await collect(store, '', 1, 40, t);
    await store.close();
    const whole = readFileSync(path);
    let refused = 0;
    // A page of noise at each place in turn.
    for (let at = 0; at < whole.length; at += 4096) {
      const damaged = Buffer.from(whole);
      damaged.fill(0xa5, at, at + 4096);
      const copy = `${path}.${at}`;
      writeFileSync(copy, damaged);
      const error = refusal(copy);
      if (error === undefined) assert.fail(`opened with page ${at / 4096} destroyed`);
      assert.ok(error instanceof Error && 'code' in error && error.code === 'STORE_CORRUPT', `page ${at / 4096}`);
      assert.match(error.message, /restore a backup/);
      refused++;
    }
    assert.ok(refused > 10);
    copyFileSync(path, `${path}.copy`);
    const copy = openAt(t, `${path}.copy`);
    assert.deepEqual([await copy.list(''), await collect(copy, '', 1, 40, t)], [listing, history]);
  });

  it('refuses a history with a gap', async (t) => {
    const path = filePath(t);
    const store = openAt(t, path);
    for (const value of ['1', '2', '3']) await put(store, '/a', value);
    await store.close();
    const database = new DatabaseSync(path);
    database.exec('DELETE FROM history WHERE modified = 2');
    database.close();
    assertRefused(path, 'STORE_CORRUPT', /gap/);
  });

  it('keeps the transactions of one turn with one commit, each with its own revision', async (t) => {
    const path = filePath(t);
    const store = openAt(t, path);
    await put(store, '/a', '1');
    const frames = (): number => statSync(`${path}-wal`).size;
    const before = frames();
    await put(store, '/a', '2');
    const one = frames() - before;
    const asked: Promise<number>[] = [];
    for (let i = 0; i < 50; i++) {
      asked.push(put(store, '/a', `${i + 3}`));
      await Promise.resolve(); // later, but in the same turn
    }
    const outcomes = await Promise.all(asked);
    assert.deepEqual(outcomes, Array.from({ length: 50 }, (_, i) => i + 3));
    const fifty = frames() - before - one;
    assert.ok(one > 0 && fifty < 5 * one, `${fifty} bytes were written for fifty, ${one} for one`);
  });
});
