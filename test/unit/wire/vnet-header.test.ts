import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeVnetHeader, encodeVnetHeader, VnetFlag, VnetGso } from '../../../src/wire/vnet-header.ts';
import type { DecodeErrorCode } from '../../../src/wire/wire.ts';
import { DecodeError, EncodeError } from '../../../src/wire/wire.ts';
import { hex, toHex, vnetHeader } from './arbitraries.ts';

const refusedAs = (code: DecodeErrorCode) => (error: unknown): boolean => error instanceof DecodeError && error.code === code;

// Captured with PACKET_VNET_HDR, Linux 6.18, in front of a TCP frame of 7306 bytes: 14 + 20 + 32 of headers, MSS 1448.
const linuxTso = hex('01 01 4200 a805 2200 1000');
const tso = {
  flags: VnetFlag.needsChecksum,
  gsoType: VnetGso.tcpv4,
  headerLength: 66,
  gsoSize: 1448,
  checksumStart: 34,
  checksumOffset: 16,
};

test('the 10 bytes in front of a large TCP segment of Linux', () => {
  assert.deepEqual(decodeVnetHeader(linuxTso), { ...tso, numBuffers: undefined });
  assert.equal(toHex(encodeVnetHeader({ ...tso, numBuffers: undefined })), toHex(linuxTso));
});

test('the 12 bytes of a tap end in the number of buffers', () => {
  const bytes = Uint8Array.of(...linuxTso, 1, 2);
  assert.deepEqual(decodeVnetHeader(bytes), { ...tso, numBuffers: 0x201 });
  assert.equal(toHex(encodeVnetHeader({ ...tso, numBuffers: 0x201 })), toHex(bytes));
});

test('decode after encode is identity, unknown bits included', () => {
  fc.assert(fc.property(vnetHeader, (header) => {
    assert.deepEqual(decodeVnetHeader(encodeVnetHeader(header)), header);
  }));
});

test('other lengths', () => {
  for (let length = 0; length < 10; length++) {
    assert.throws(() => decodeVnetHeader(new Uint8Array(length)), refusedAs('WIRE_TRUNCATED'), String(length));
  }
  for (const length of [11, 13, 20, 24]) {
    assert.throws(() => decodeVnetHeader(new Uint8Array(length)), refusedAs('WIRE_UNSUPPORTED'), String(length));
  }
});

test('a value that does not fit is refused, not cut', () => {
  for (const bad of [{ flags: 256 }, { gsoType: -1 }, { gsoSize: 0x1_0000 }, { numBuffers: 0x1_0000 }]) {
    assert.throws(() => encodeVnetHeader({ ...tso, numBuffers: 0, ...bad }), EncodeError, Object.keys(bad).join());
  }
});
