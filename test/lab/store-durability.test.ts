/**
 * What a SqliteStore has acknowledged is on the disk. strace records a program that writes to a store; then each moment of it is
 * a power cut, on a disk that forgets what was not synced.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/native/system-clock.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { DiskDouble } from './disk-double.ts';
import { operationsOf } from './store-durability-load.ts';
import { type Call, readStrace } from './strace-log.ts';

/** All calls by which a file can be changed, made durable, or come and go. */
const CALLS = 'write,pwrite64,writev,pwritev,pwritev2,fdatasync,fsync,sync_file_range,ftruncate,fallocate,openat,open,creat,unlink,unlinkat,rename,renameat,renameat2,link';

interface Acknowledged {
  revision: number;
  readonly leases: string[];
}

const directory = mkdtempSync(join(tmpdir(), 'gws-'));
const traced = join(directory, 'traced');
const log = join(directory, 'strace.log');

/** Gives the call to the disk, if it is about the store. True when it changed anything there. */
function replay(disk: DiskDouble, { name, path, strings, words, result }: Call): boolean {
  if (path === traced && /^(fsync|fdatasync)$/.test(name)) {
    disk.syncDirectory();
    return true;
  }
  if (dirname(path) !== traced) return false;
  const file = basename(path);
  const numbers = [...words.matchAll(/, (\d+)(?=[,)])/g)].map(([, number]) => Number(number));
  switch (name) {
    case 'openat':
      assert.doesNotMatch(words, /O_TRUNC/);
      if (/O_CREAT/.test(words)) disk.create(file);
      return true;
    case 'pwrite64': {
      const [data, at] = [strings[0], numbers[1]];
      assert.ok(data !== undefined && at !== undefined && numbers[0] === data.length);
      disk.write(file, at, data.subarray(0, result));
      return true;
    }
    case 'ftruncate':
      assert.ok(numbers[0] !== undefined);
      disk.truncate(file, numbers[0]);
      return true;
    case 'unlink':
      disk.unlink(file);
      return true;
    case 'fsync':
    case 'fdatasync':
      disk.sync(file);
      return true;
    default:
      return assert.fail(`the disk double does not know ${name}(2)`);
  }
}

/** The acknowledgement that the call printed, if it is one. */
function acknowledge(acknowledged: Acknowledged, { name, words, strings }: Call): boolean {
  if (name !== 'write' || !words.startsWith('write(1,')) return false;
  const [kind, what = ''] = (strings[0]?.toString() ?? '').trim().split(' ');
  if (kind === 'revision') acknowledged.revision = Number(what);
  else if (kind === 'lease') acknowledged.leases.push(what);
  else assert.equal(kind, 'closed');
  return true;
}

/** What there is after the transactions of revisions 1 to `revision`. */
function expected(revision: number): [string, string, number][] {
  const entries = new Map<string, [string, string, number]>();
  for (let n = 1; n <= revision; n++) {
    for (const operation of operationsOf(n)) {
      if ('put' in operation) entries.set(operation.put, [operation.put, operation.value, n]);
      else entries.delete(operation.delete);
    }
  }
  return [...entries.values()].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Opens what the power cut left; gives the revision found. */
async function checkAfter(files: Map<string, Buffer>, acknowledged: Acknowledged, when: string): Promise<number> {
  const found = mkdtempSync(join(directory, 'found-'));
  for (const [name, contents] of files) writeFileSync(join(found, name), contents);
  const store = SqliteStore.open(join(found, 'store.db'), { clock: systemClock, history: 200 });
  try {
    const { entries, revision } = await store.list('');
    assert.ok(revision >= acknowledged.revision, `${when}: revision ${acknowledged.revision} was acknowledged, ${revision} was found`);
    assert.deepEqual(entries.map(({ key, value, modRevision }) => [key, value, modRevision]), expected(revision), when);
    for (const lease of acknowledged.leases) await store.keepAlive(lease);
    return revision;
  } finally {
    await store.close();
    rmSync(found, { recursive: true });
  }
}

/** Runs the load under strace; gives what it printed. */
function trace(to: string, ...what: string[]): string {
  const load = join(import.meta.dirname, 'store-durability-load.ts');
  const words = ['-f', '-y', '-xx', '-s', '1000000', '-o', to, '-e', `trace=${CALLS}`, process.execPath, load, join(traced, 'store.db'), ...what];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr, error } = spawnSync('strace', words, { encoding: 'utf8', env });
  assert.equal(status, 0, error?.message ?? stderr);
  return stdout;
}

describe('durability of the store', { timeout: 240_000 }, () => {
  before(() => {
    mkdirSync(traced);
    assert.match(trace(log), /closed\n$/);
  });
  after(() => rmSync(directory, { recursive: true }));

  it('syncs before each acknowledgement', async () => {
    const disk = new DiskDouble();
    const acknowledged: Acknowledged = { revision: 0, leases: [] };
    let acknowledgements = 0;
    for await (const call of readStrace(log)) {
      if (replay(disk, call) || !acknowledge(acknowledged, call)) continue;
      acknowledgements++;
      assert.deepEqual(disk.unsynced, [], `when revision ${acknowledged.revision} was acknowledged`);
    }
    assert.ok(acknowledgements > 500, `${acknowledgements} acknowledgements`);
  });

  it('has all that was acknowledged after a power cut, whatever was lost', async () => {
    const disk = new DiskDouble();
    const acknowledged: Acknowledged = { revision: 0, leases: [] };
    const random = randomOf(0x5eed);
    const cut = (what: string, survives: () => boolean): Promise<number> =>
      checkAfter(disk.afterPowerCut(survives), acknowledged, `${what}, after revision ${acknowledged.revision}`);
    let cuts = 0;
    let changes = 0;
    let news = false;
    for await (const call of readStrace(log)) {
      if (acknowledge(acknowledged, call)) {
        news = true;
        continue;
      }
      // Between two changes of the disk all cuts are alike: the one after the last acknowledgement asks for most.
      if (dirname(call.path) === traced && news) {
        await cut('all lost', () => false);
        news = false;
        cuts++;
      }
      // The making of the file change by change, then now and again.
      if (replay(disk, call) && (++changes < 40 || random() < 0.02)) {
        await cut('all lost', () => false);
        await cut('some lost', () => random() < 0.5);
        await cut('nothing lost', () => true);
        cuts += 3;
      }
    }
    assert.equal(await cut('the end', () => false), acknowledged.revision);
    assert.ok(cuts > 300, `${cuts} cuts`);
  });

  it('acts on nothing that a killed writer had not synced before it is on the disk', async () => {
    rmSync(traced, { recursive: true });
    mkdirSync(traced);
    const path = join(traced, 'store.db');
    const made = SqliteStore.open(join(directory, 'made.db'), { clock: systemClock });
    for (let n = 1; n <= 5; n++) await made.txn({ operations: operationsOf(n) });
    const disk = new DiskDouble();
    for (const end of ['', '-wal']) {
      const contents = readFileSync(join(directory, `made.db${end}`));
      writeFileSync(`${path}${end}`, contents);
      disk.create(`store.db${end}`);
      disk.write(`store.db${end}`, 0, contents);
      if (end === '') disk.sync('store.db');
    }
    await made.close();
    const second = join(directory, 'second.log');
    assert.equal(trace(second, 'read'), 'revision 5\n');
    const acknowledged: Acknowledged = { revision: 0, leases: [] };
    for await (const call of readStrace(second)) {
      if (replay(disk, call) || !acknowledge(acknowledged, call)) continue;
      assert.equal(await checkAfter(disk.afterPowerCut(() => false), acknowledged, 'all lost'), 5);
    }
    assert.equal(acknowledged.revision, 5);
  });
});

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
