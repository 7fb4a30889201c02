import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('the demo: what it does not know it refuses before it begins, and says what it knows', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '../../../src/lab/demo.ts'), '--bogus'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^demo: .*--bogus.*\nnpm run demo \[-- --keep\]\n$/);
});
