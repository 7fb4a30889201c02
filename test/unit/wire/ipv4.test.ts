import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ipv4Address } from '../../../src/wire/ip-address.ts';
import { decodeIpv4, encodeIpv4 } from '../../../src/wire/ipv4.ts';
import type { DecodeErrorCode } from '../../../src/wire/wire.ts';
import { DecodeError, EncodeError } from '../../../src/wire/wire.ts';
import { hex, ipv4Packet, toHex } from './arbitraries.ts';

const refusedAs = (code: DecodeErrorCode) => (error: unknown): boolean => error instanceof DecodeError && error.code === code;

// Captured on a veth pair, Linux 6.18: UDP with IP_TOS 0xb8, and UDP with a record route option.
const linuxUdp = hex('45b8 0022 7b9e 4000 40 11 3a71 c0000201 c0000202 d89a 270f 000e 8423 676f64776974');
const linuxOptions = hex('4700 0026 7b9f 4000 40 11 285b c0000201 c0000202 070708c000020100 b7a4 270e 000a 841f 7272');

test('a datagram of Linux with DSCP EF', () => {
  const packet = decodeIpv4(linuxUdp);
  assert.deepEqual(packet, {
    dscp: 46,
    ecn: 0,
    identification: 0x7b9e,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: 64,
    protocol: 17,
    source: Ipv4Address.parse('192.0.2.1'),
    destination: Ipv4Address.parse('192.0.2.2'),
    options: new Uint8Array(0),
    payload: hex('d89a 270f 000e 8423 676f64776974'),
  });
  assert.equal(toHex(encodeIpv4(packet)), toHex(linuxUdp));
});

test('a datagram of Linux with options, padded by Ethernet', () => {
  const packet = decodeIpv4(Uint8Array.of(...linuxOptions, 0, 0, 0, 0, 0, 0, 0, 0));
  assert.equal(toHex(packet.options), '070708c000020100');
  assert.equal(toHex(packet.payload), 'b7a4270e000a841f7272');
  assert.equal(toHex(encodeIpv4(packet)), toHex(linuxOptions));
});

test('decode after encode is identity', () => {
  fc.assert(fc.property(ipv4Packet, fc.uint8Array({ maxLength: 30 }), (packet, padding) => {
    assert.deepEqual(decodeIpv4(Uint8Array.of(...encodeIpv4(packet), ...padding)), packet);
  }));
});

test('any one changed bit of the header is refused', () => {
  for (let bit = 0; bit < 28 * 8; bit++) {
    const bytes = linuxOptions.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    assert.throws(() => decodeIpv4(bytes), DecodeError, `bit ${bit}`);
  }
});

test('what is refused, and why', () => {
  for (let length = 0; length < linuxUdp.length; length++) {
    assert.throws(() => decodeIpv4(linuxUdp.subarray(0, length)), refusedAs('WIRE_TRUNCATED'), String(length));
  }
  assert.throws(() => decodeIpv4(linuxUdp.with(0, 0x65)), refusedAs('WIRE_MALFORMED'));
  assert.throws(() => decodeIpv4(linuxUdp.with(0, 0x44)), refusedAs('WIRE_MALFORMED'));
  assert.throws(() => decodeIpv4(linuxUdp.with(3, 19)), refusedAs('WIRE_MALFORMED'));
  assert.throws(() => decodeIpv4(linuxUdp.with(3, 0x23)), refusedAs('WIRE_TRUNCATED'));
  assert.throws(() => decodeIpv4(linuxUdp.with(8, 63)), refusedAs('WIRE_CHECKSUM'));
});

test('a value that does not fit is refused, not cut', () => {
  const packet = decodeIpv4(linuxUdp);
  const longest = { ...packet, payload: new Uint8Array(65515) };
  assert.equal(decodeIpv4(encodeIpv4(longest)).payload.length, 65515);
  for (const bad of [
    { dscp: 64 }, { ecn: 4 }, { identification: 0x1_0000 }, { fragmentOffset: 8192 }, { ttl: 256 }, { ttl: 1.5 }, { protocol: -1 },
    { options: new Uint8Array(3) }, { options: new Uint8Array(44) }, { payload: new Uint8Array(65516) },
  ]) {
    assert.throws(() => encodeIpv4({ ...packet, ...bad }), EncodeError, Object.keys(bad).join());
  }
});
