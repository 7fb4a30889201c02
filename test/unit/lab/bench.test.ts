import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const wrong: readonly (readonly [string[], RegExp])[] = [
  [['vrrp', '--bogus'], /--bogus/], [['vrrp', '--runs'], /--runs/], [['vrrp', '--runs', '0'], /whole number from 1, not '0'/],
  [['bfd', '--minutes', '0'], /--minutes takes a number above 0, not '0'/],
  [[], /name one of: .*vrrp/], [['bogus'], /name one of: .*vrrp/], [['vrrp', 'move'], /name one of: .*vrrp/], [['toString'], /name one of: .*vrrp/],
];

for (const [words, said] of wrong) {
  test(`the bench refuses \`${words.join(' ')}\` before it begins, and says what it knows`, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '../../../src/lab/bench.ts'), ...words], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, said);
    assert.match(stderr, /^bench: .*\nnpm run bench -- NAME \[--runs N\] \[--minutes N\] \[--check\]\n$/);
  });
}
