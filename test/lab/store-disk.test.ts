/** What a store does when its disk is full, or fails. Root: it mounts a small disk. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/native/system-clock.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';

/** Gives what it printed. */
function run(command: string, ...words: string[]): string {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr, error } = spawnSync(command, words, { encoding: 'utf8', env, timeout: 50_000 });
  assert.equal(status, 0, error?.message ?? stderr);
  return stdout;
}

test('a full disk: the store refuses to write, stays whole and readable, and goes on when there is room', { timeout: 60_000 }, (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gws-'));
  t.after(() => rmdirSync(directory)); // empty: the disk was mounted in the child's own namespace
  const program = join(import.meta.dirname, 'store-full-disk.ts');
  assert.equal(run('unshare', '--mount', '--propagation', 'private', process.execPath, program, directory), 'done\n');
});

test('a disk whose sync fails once: the store writes no more until it is opened anew', { timeout: 60_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gws-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'store.db');
  const strace = ['-f', '-o', join(directory, 'log'), '-e', 'trace=fsync', '-e', 'inject=fsync:error=EIO:when=20'];
  const kept = Number(run('strace', ...strace, process.execPath, join(import.meta.dirname, 'store-broken-disk.ts'), path));
  assert.ok(kept > 0);
  const store = SqliteStore.open(path, { clock: systemClock });
  const { revision } = await store.list('');
  await store.close();
  // The write that failed may be there, or not.
  assert.ok(revision === kept || revision === kept + 1, `revision ${revision}, ${kept} was acknowledged`);
});
