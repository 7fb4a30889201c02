import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ipv6Address } from '../../../src/wire/ip-address.ts';
import { decodeIpv6, encodeIpv6 } from '../../../src/wire/ipv6.ts';
import type { DecodeErrorCode } from '../../../src/wire/wire.ts';
import { DecodeError, EncodeError } from '../../../src/wire/wire.ts';
import { hex, ipv6Packet, toHex } from './arbitraries.ts';

const refusedAs = (code: DecodeErrorCode) => (error: unknown): boolean => error instanceof DecodeError && error.code === code;

// Captured on a veth pair, Linux 6.18: UDP with a flow label.
const linuxUdp = hex(`600dd3cd 000e 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002
  a2f8 270f 000e 5b94 676f64776974`);

test('a datagram of Linux', () => {
  const packet = decodeIpv6(linuxUdp);
  assert.deepEqual(packet, {
    dscp: 0,
    ecn: 0,
    flowLabel: 0xdd3cd,
    nextHeader: 17,
    hopLimit: 64,
    source: Ipv6Address.parse('2001:db8::1'),
    destination: Ipv6Address.parse('2001:db8::2'),
    payload: hex('a2f8 270f 000e 5b94 676f64776974'),
  });
  assert.equal(toHex(encodeIpv6(packet)), toHex(linuxUdp));
});

test('the traffic class is the second and third nibble', () => {
  const packet = decodeIpv6(linuxUdp.with(0, 0x6b).with(1, 0x9d));
  assert.equal(packet.dscp, 46);
  assert.equal(packet.ecn, 1);
  assert.equal(packet.flowLabel, 0xdd3cd);
});

test('decode after encode is identity', () => {
  fc.assert(fc.property(ipv6Packet, fc.uint8Array({ maxLength: 30 }), (packet, padding) => {
    assert.deepEqual(decodeIpv6(Uint8Array.of(...encodeIpv6(packet), ...padding)), packet);
  }));
});

test('what is refused, and why', () => {
  for (let length = 0; length < linuxUdp.length; length++) {
    assert.throws(() => decodeIpv6(linuxUdp.subarray(0, length)), refusedAs('WIRE_TRUNCATED'), String(length));
  }
  assert.throws(() => decodeIpv6(linuxUdp.with(0, 0x40)), refusedAs('WIRE_MALFORMED'));
});

test('a value that does not fit is refused, not cut', () => {
  const packet = decodeIpv6(linuxUdp);
  assert.equal(decodeIpv6(encodeIpv6({ ...packet, payload: new Uint8Array(65535) })).payload.length, 65535);
  for (const bad of [
    { dscp: 64 }, { ecn: 4 }, { flowLabel: 0x10_0000 }, { nextHeader: 256 }, { hopLimit: -1 }, { payload: new Uint8Array(65536) },
  ]) {
    assert.throws(() => encodeIpv6({ ...packet, ...bad }), EncodeError, Object.keys(bad).join());
  }
});
