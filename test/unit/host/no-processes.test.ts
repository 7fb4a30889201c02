import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const room = join(import.meta.dirname, '../../../src/host');

test('nothing in this room but nft can start a process: it costs 3-10 ms, and a switchover has that once', () => {
  const files = globSync('**/*.ts', { cwd: room });
  assert.ok(files.includes('netlink.ts'));
  const starters = files.filter((file) => /child_process|process\.binding|cluster/.test(readFileSync(join(room, file), 'utf8')));
  assert.deepEqual(starters, ['nft.ts']);
});

test('of the whole program only the marking of traffic uses nft, and neither Host nor a move uses that', () => {
  const source = join(room, '..');
  const importers = (of: string): string[] =>
    globSync('**/*.ts', { cwd: source }).filter((file) => readFileSync(join(source, file), 'utf8').includes(`/${of}.ts'`));
  assert.deepEqual(importers('nft'), ['host/dscp.ts']);
  for (const file of importers('dscp')) assert.doesNotMatch(file, /^host\/|^move\//);
});
