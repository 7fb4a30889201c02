import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fnv1a } from '../../../src/base/fnv-1a.ts';

test('its authors\' test vectors', () => {
  for (const [text, hash] of [['', 0x811c9dc5], ['a', 0xe40c292c], ['foobar', 0xbf9cf968]] as const) assert.equal(fnv1a(text), hash, text);
});

test('of bytes of UTF-8, not of characters; another seed gives another number', () => {
  // By hand: two rounds for the two bytes of é, c3 a9.
  const round = (hash: number, byte: number): number => Math.imul(hash ^ byte, 0x01000193) >>> 0;
  assert.equal(fnv1a('é'), round(round(0x811c9dc5, 0xc3), 0xa9));
  assert.notEqual(fnv1a('foobar', 1), fnv1a('foobar'));
});
