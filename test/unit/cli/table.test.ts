import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatTable, left, right } from '../../../src/cli/cli.ts';

test('names to the left, numbers to the right, a rule below the titles', () => {
  const columns = [left('host'), right('frames'), left('note')];
  assert.deepEqual(formatTable(columns, [['h1', 7, ''], ['host-b', 1207, 'late']], { rule: true, indent: 1 }), [
    ' host    frames  note',
    ' ------  ------  ----',
    ' h1           7',
    ' host-b    1207  late',
  ]);
});

test('without titles there is neither a header nor a rule; missing cells are empty', () => {
  assert.deepEqual(formatTable([left(''), right('')], [['a', 1], ['b']], { rule: true }), ['a  1', 'b']);
  assert.deepEqual(formatTable([left('a')], []), ['a']);
});

test('control sequences take no width', () => {
  const bold = '\u001b[1mab\u001b[0m';
  assert.deepEqual(formatTable([left(''), right('')], [[bold, 1], ['abc', 22]]), [`${bold}    1`, 'abc  22']);
});

test('right-aligned cells of the last column end in the same place', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.string({ unit: 'grapheme-ascii' }), fc.nat()), { minLength: 1 }), (rows) => {
    assert.equal(new Set(formatTable([left('name'), right('n')], rows).map((line) => line.length)).size, 1);
  }));
});
