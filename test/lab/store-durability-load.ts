/**
 * Run as a program of its own under strace: `node store-durability-load.ts PATH` writes to a SqliteStore and prints each
 * acknowledgement the moment it has it, by one write(2): `revision N` or `lease ID`. `node store-durability-load.ts PATH read` only
 * prints the revision it finds.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/native/system-clock.ts';
import { seconds } from '../../src/base/units.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import type { Operation } from '../../src/store/store.ts';

/** What takes revision `n`: a few keys that change often, some large values, some deletions. */
export function operationsOf(n: number): readonly Operation[] {
  const key = `/k/${n % 37}`;
  if (n % 11 === 0) return [{ delete: `/k/${(n - 1) % 37}` }, { put: '/last', value: `${n}` }];
  return [{ put: key, value: `${n} ${'x'.repeat(n % 7 === 0 ? 9000 : (n * 131) % 900)}` }, { put: '/last', value: `${n}` }];
}

/** Fills the log of SQLite beyond its automatic checkpoint (1000 pages) more than once. */
const REVISIONS = 600;

const tell = (what: string): number => writeSync(1, `${what}\n`);

async function read(path: string): Promise<void> {
  const store = SqliteStore.open(path, { clock: systemClock });
  tell(`revision ${(await store.list('')).revision}`);
  await store.close();
}

async function write(path: string): Promise<void> {
  for (const [first, last] of [[1, REVISIONS - 100], [REVISIONS - 99, REVISIONS]] as const) {
    const store = SqliteStore.open(path, { clock: systemClock, history: 200 });
    for (let n = first; n <= last; ) {
      const together: Promise<unknown>[] = [];
      for (const end = Math.min(last, n + (n % 5)); n <= end; n++) {
        together.push(store.txn({ operations: operationsOf(n) }).then(({ revision }) => tell(`revision ${revision}`)));
      }
      if (n % 10 === 0) together.push(store.grant(seconds(600)).then((lease) => tell(`lease ${lease}`)));
      await Promise.all(together);
    }
    await store.close();
    tell('closed');
  }
}

if (import.meta.main) {
  const [, , path, what] = process.argv;
  if (path === undefined) throw new Error('no path');
  await (what === 'read' ? read(path) : write(path));
}
