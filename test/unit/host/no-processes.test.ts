import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const room = join(import.meta.dirname, '../../../src/host');

test('nothing in this room can start a process: it costs 3-10 ms, and a switchover has that once', () => {
  const files = globSync('**/*.ts', { cwd: room });
  assert.ok(files.includes('netlink.ts'));
  for (const file of files) assert.doesNotMatch(readFileSync(join(room, file), 'utf8'), /child_process|process\.binding|cluster/, file);
});
