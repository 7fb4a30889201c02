import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bar } from '../../../src/cli/bar.ts';
import { styleOf } from '../../../src/cli/cli.ts';
import { clip, formatBytes, formatMs, wrap } from '../../../src/cli/text.ts';

const terminal = { isTTY: true };

test('bars only on a terminal, and not under NO_COLOR, CI or a dumb terminal', () => {
  assert.equal(styleOf(terminal, {}).bars, true);
  assert.equal(styleOf(terminal, { NO_COLOR: '', CI: 'false', TERM: 'xterm' }).bars, true);
  assert.equal(styleOf({}, {}).bars, false);
  for (const env of [{ NO_COLOR: '1' }, { CI: 'true' }, { TERM: 'dumb' }]) assert.equal(styleOf(terminal, env).bars, false);
});

test('the first locale variable that is set decides about UTF-8', () => {
  assert.equal(styleOf(terminal, {}).unicode, false);
  assert.equal(styleOf(terminal, { LANG: 'de_DE.UTF-8' }).unicode, true);
  assert.equal(styleOf(terminal, { LC_ALL: '', LC_CTYPE: 'C.utf8', LANG: 'C' }).unicode, true);
  assert.equal(styleOf(terminal, { LC_ALL: 'C', LANG: 'de_DE.UTF-8' }).unicode, false);
});

test('a bar grows with its fraction and stays within its width', () => {
  const any = fc.double({ min: -0.5, max: 1.5, noNaN: true });
  fc.assert(fc.property(any, any, fc.boolean(), (a, b, unicode) => {
    const [shorter, longer] = [bar(Math.min(a, b), 10, unicode), bar(Math.max(a, b), 10, unicode)];
    assert.ok(shorter.length <= longer.length && longer.length <= 10);
  }));
  assert.deepEqual([0, 0.01, 0.3125, 0.999, 1].map((f) => bar(f, 2, true)), ['', '▏', '▋', '█▉', '██']);
  assert.deepEqual([0, 0.5, 0.99, 1].map((f) => bar(f, 2, false)), ['', '#', '#', '##']);
});

test('times and sizes', () => {
  assert.deepEqual([0, 13.06, 999.94, 999.96, 1840, 59_994, 59_996, 125_400, undefined].map(formatMs),
    ['0.0 ms', '13.1 ms', '999.9 ms', '1.00 s', '1.84 s', '59.99 s', '1 min 0 s', '2 min 5 s', '-']);
  assert.deepEqual([0, 1023, 1024, 1_258_291, 2 ** 30, 2 ** 60, Infinity].map(formatBytes),
    ['0 B', '1023 B', '1.0 KiB', '1.2 MiB', '1.0 GiB', '1048576.0 TiB', '?']);
});

test('wrapping keeps every word, in order, below its prefix', () => {
  const words = fc.array(fc.string({ minLength: 1, maxLength: 30, unit: fc.constantFrom('a', 'b', 'é') }), { minLength: 1 });
  fc.assert(fc.property(words, (words) => {
    const lines = wrap(words.join(' '), 'Why: ');
    assert.ok(lines.every((line, i) => line.startsWith(i === 0 ? 'Why: ' : '     ') && Array.from(line).length <= 100));
    assert.equal(lines.map((line) => line.slice(5)).join(' '), words.join(' '));
  }));
  assert.deepEqual(wrap('x'.repeat(150)), ['x'.repeat(100), 'x'.repeat(50)]);
});

test('what is cut says so, and what came from elsewhere cannot move the cursor', () => {
  assert.equal(clip('abcdef', 4), 'abc~');
  assert.equal(clip('ab\r\n\u001b[2Jc', 10), 'ab c');
});
