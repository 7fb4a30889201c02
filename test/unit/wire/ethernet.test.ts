import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeEthernet, encodeEthernet, EtherType } from '../../../src/wire/ethernet.ts';
import { DecodeError, EncodeError } from '../../../src/wire/wire.ts';
import { ethernetFrame, hex, toHex } from './arbitraries.ts';

// Sent by QEMU 10.0.2 on announce-self; the last 18 bytes are padding.
const qemuRarp = hex(`ffffffffffff 525400123456 8035
  0001 0800 06 04 0003 525400123456 00000000 525400123456 00000000 000000000000000000000000000000000000`);

test('header and payload', () => {
  const frame = decodeEthernet(qemuRarp);
  assert.equal(frame.destination.toString(), 'ff:ff:ff:ff:ff:ff');
  assert.equal(frame.source.toString(), '52:54:00:12:34:56');
  assert.equal(frame.etherType, EtherType.rarp);
  assert.equal(frame.payload.length, 46);
  assert.equal(toHex(encodeEthernet(frame)), toHex(qemuRarp));
});

test('decode after encode is identity', () => {
  fc.assert(fc.property(ethernetFrame, (frame) => {
    assert.deepEqual(decodeEthernet(encodeEthernet(frame)), frame);
  }));
});

test('the payload is a view, the rest is not', () => {
  // At an offset inside a larger buffer, as from a receive ring.
  const ring = new Uint8Array(100);
  const bytes = ring.subarray(7, 7 + qemuRarp.length);
  bytes.set(qemuRarp);
  const frame = decodeEthernet(bytes);
  ring.fill(0xee);
  assert.equal(frame.source.toString(), '52:54:00:12:34:56');
  assert.equal(frame.payload[0], 0xee);
});

test('an encoder aliases nothing', () => {
  const frame = decodeEthernet(qemuRarp.slice());
  const out = encodeEthernet(frame);
  out.fill(0xee);
  assert.equal(frame.payload[0], 0);
});

test('a short frame and an impossible EtherType', () => {
  assert.throws(() => decodeEthernet(qemuRarp.subarray(0, 13)), (e) => e instanceof DecodeError && e.code === 'WIRE_TRUNCATED');
  assert.equal(decodeEthernet(qemuRarp.subarray(0, 14)).payload.length, 0);
  for (const etherType of [-1, 0x1_0000, 0.5, Number.NaN]) {
    assert.throws(() => encodeEthernet({ ...decodeEthernet(qemuRarp), etherType }), EncodeError);
  }
});
