import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { DecodeError } from '../../../src/wire/wire.ts';
import { bytesOf, hex, mac, toHex } from './arbitraries.ts';

test('parse reads either case and prints lower case', () => {
  const address = MacAddress.parse('52:54:00:AB:cd:0f');
  assert.equal(address.toString(), '52:54:00:ab:cd:0f');
  assert.equal(toHex(address.bytes()), '525400abcd0f');
  assert.equal(JSON.stringify({ address }), '{"address":"52:54:00:ab:cd:0f"}');
});

for (const text of ['', '52:54:00:12:34', '52:54:00:12:34:56:78', '52-54-00-12-34-56', '5254.0012.3456', '52:54:00:12:34:5g',
  '2:54:00:12:34:56', ' 52:54:00:12:34:56', '52:54:00:12:34:56\n']) {
  test(`parse refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => MacAddress.parse(text), (error) => error instanceof DecodeError && error.code === 'WIRE_MALFORMED');
  });
}

test('of refuses any other length than 6', () => {
  for (const length of [0, 5, 7]) assert.throws(() => MacAddress.of(new Uint8Array(length)), DecodeError);
});

test('bytes and text give the same address back', () => {
  fc.assert(fc.property(bytesOf(6), (bytes) => {
    const address = MacAddress.of(bytes);
    assert.deepEqual(address.bytes(), bytes);
    assert.ok(MacAddress.parse(address.toString()).equals(address));
  }));
});

test('equality is that of the bytes, for equals and for deep comparison', () => {
  fc.assert(fc.property(mac, fc.nat(47), (address, bit) => {
    const bytes = address.bytes();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    const other = MacAddress.of(bytes);
    assert.ok(!address.equals(other));
    assert.notDeepEqual(address, other);
  }));
});

test('nothing handed in or out is shared', () => {
  const bytes = hex('525400123456');
  const address = MacAddress.of(bytes);
  bytes.fill(0);
  address.bytes().fill(0);
  assert.equal(address.toString(), '52:54:00:12:34:56');
});

test('isGroup is the lowest bit of the first byte', () => {
  assert.ok(MacAddress.broadcast.isGroup);
  assert.ok(MacAddress.parse('01:00:5e:00:00:12').isGroup);
  assert.ok(MacAddress.parse('33:33:00:00:00:01').isGroup);
  assert.ok(!MacAddress.parse('fe:ff:ff:ff:ff:ff').isGroup);
  assert.ok(!MacAddress.zero.isGroup);
  assert.equal(MacAddress.broadcast.toString(), 'ff:ff:ff:ff:ff:ff');
});
