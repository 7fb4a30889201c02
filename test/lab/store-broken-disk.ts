/**
 * Run as a program of its own on a disk whose syncs fail from some moment on (`strace -e inject`): writes to a store until one
 * write fails, and checks what the store does then. Prints the revision of the last that did not.
 */
import assert from 'node:assert/strict';
import { systemClock } from '../../src/native/system-clock.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { put, rejectsWith } from '../contract/store-bench.ts';

const [, , path] = process.argv;
assert.ok(path !== undefined);
const store = SqliteStore.open(path, { clock: systemClock });
let kept = 0;
const failure = await (async () => {
  try {
    for (;;) kept = await put(store, '/a', `${kept + 1}`);
  } catch (error) {
    return error;
  }
})();
assert.ok(failure instanceof Error && 'code' in failure && failure.code === 'STORE_UNAVAILABLE', String(failure));
// Nobody knows what is on the disk now: no write succeeds any more, even if the disk would take it.
await rejectsWith(put(store, '/b', '1'), 'STORE_UNAVAILABLE');
assert.equal((await store.get('/a'))?.value, `${kept}`);
assert.equal((await store.list('')).revision, kept);
await store.close();
process.stdout.write(`${kept}\n`);
