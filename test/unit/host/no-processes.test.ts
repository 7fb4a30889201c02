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

test('nft is used where something is set up, and never in a switchover', () => {
  const source = join(room, '..');
  const importers = (of: string): string[] =>
    globSync('**/*.ts', { cwd: source }).filter((file) => readFileSync(join(source, file), 'utf8').includes(`/${of}.ts'`)).toSorted();
  // An agent's start, a tap's or a router's making, a routed network's, the end of what a dead pulse had. The lab cuts wires with it.
  assert.deepEqual(importers('nft').filter((file) => !file.startsWith('lab/')), ['host/dscp.ts', 'host/duplicate-probes.ts', 'host/source-guard.ts', 'pulse/farewell.ts', 'pulse/ground-kernel.ts']);
  for (const file of importers('dscp')) assert.doesNotMatch(file, /^host\/|^move\//);
  assert.deepEqual(importers('guard'), ['move/kernel-guest.ts']);
});
