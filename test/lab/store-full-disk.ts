/**
 * Run as a program of its own in a mount namespace of its own (`unshare --mount`): mounts a disk of 8 MiB at the directory given,
 * fills it under a store, and checks what the store does. Prints `done` when all of it held.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ms, seconds } from '../../src/base/units.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { HandClock, put, rejectsWith, settled } from '../contract/store-bench.ts';
import { fillDisk } from './fill-disk.ts';

const [, , directory] = process.argv;
assert.ok(directory !== undefined);
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'gws', directory]);
const path = join(directory, 'store.db');
const filler = join(directory, 'filler');

const big = 'x'.repeat(300_000);
const clock = new HandClock();
const store = SqliteStore.open(path, { clock });
await put(store, '/a', '1');
const lease = await store.grant(seconds(5));
await put(store, '/held', '1', lease);
const before = await store.list('');
fillDisk(filler);

// Refused whole, whoever shared the commit.
await Promise.all([
  rejectsWith(put(store, '/a', '2'), 'STORE_FULL'),
  rejectsWith(store.txn({ operations: [{ put: '/b', value: '1' }, { put: '/c', value: big }] }), 'STORE_FULL'),
  rejectsWith(store.grant(ms(1000)), 'STORE_FULL'),
]);
assert.deepEqual(await store.list(''), before);
assert.equal((await store.get('/a'))?.value, '1');

// A lease ends although its end cannot be kept: its holder cannot go on, its keys go when there is room.
clock.advance(seconds(5));
await rejectsWith(settled(store), 'STORE_FULL'); // it shares the commit of the lease's end
await rejectsWith(store.keepAlive(lease), 'STORE_LEASE_GONE');
assert.ok(await store.get('/held'));

// Opened anew while the disk is full: all is there to be read.
await store.close();
const again = SqliteStore.open(path, { clock });
assert.deepEqual(await again.list(''), before);
await rejectsWith(again.txn({ operations: [{ put: '/c', value: big }] }), 'STORE_FULL');
await again.keepAlive(lease); // its end was not kept: a restart gives it its time again
await again.close();
assert.throws(() => SqliteStore.open(join(directory, 'other.db'), { clock }), { code: 'STORE_FULL' });

// And with room it goes on, at the next revision.
rmSync(filler);
const roomy = SqliteStore.open(path, { clock });
assert.equal(await put(roomy, '/c', big), before.revision + 1);
const held = await roomy.grant(seconds(5));
await put(roomy, '/held', '2', held);
fillDisk(filler);
const seen = await roomy.list('');
await rejectsWith(roomy.txn({ operations: [{ put: '/d', value: big }] }), 'STORE_FULL');
clock.advance(seconds(5));
await rejectsWith(settled(roomy), 'STORE_FULL');
rmSync(filler);
clock.advance(seconds(1)); // the store tries again
await settled(roomy);
assert.equal(await roomy.get('/held'), undefined);
const after = await roomy.list('');
assert.equal(after.revision, seen.revision + 1);
await roomy.close();
const last = SqliteStore.open(path, { clock });
assert.deepEqual(await last.list(''), after);
await last.close();
process.stdout.write('done\n');
