import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { internetChecksum, pseudoHeaderSum, wordSum } from '../../../src/wire/internet-checksum.ts';
import { Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { bytesOf, hex, ipv4, ipv6, u8 } from './arbitraries.ts';

test('RFC 1071 §3: the numerical example', () => {
  assert.equal(internetChecksum(hex('0001 f203 f4f5 f6f7')), 0xffff - 0xddf2);
});

test('an odd last byte is a high byte', () => {
  assert.equal(internetChecksum(hex('0001f2')), internetChecksum(hex('0001f200')));
  assert.equal(internetChecksum(hex('')), 0xffff);
});

test('the largest packet there is does not overflow', () => {
  assert.equal(internetChecksum(new Uint8Array(65536).fill(0xff)), 0);
});

test('with its checksum in place the sum is 0, and one changed bit shows', () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 4, maxLength: 60 }), fc.nat(), (bytes, at) => {
    bytes.fill(0, 2, 4);
    new DataView(bytes.buffer).setUint16(2, internetChecksum(bytes));
    assert.equal(internetChecksum(bytes), 0);
    const bit = at % (bytes.length * 8);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    assert.notEqual(internetChecksum(bytes), 0);
  }));
});

test('the pseudo-header sum is that of the pseudo-header written out', () => {
  fc.assert(fc.property(ipv4, ipv4, u8, fc.nat(0xffff), (source, destination, protocol, length) => {
    // RFC 9293 §3.1: source, destination, zero, protocol, TCP length.
    const header = Uint8Array.of(...source.bytes(), ...destination.bytes(), 0, protocol, length >> 8, length & 0xff);
    assert.equal(pseudoHeaderSum(source, destination, protocol, length), wordSum(header));
  }));
  fc.assert(fc.property(ipv6, ipv6, u8, bytesOf(4), (source, destination, protocol, length) => {
    // RFC 8200 §8.1: source, destination, upper-layer length in 32 bits, three zero bytes, next header.
    const header = Uint8Array.of(...source.bytes(), ...destination.bytes(), ...length, 0, 0, 0, protocol);
    const number = new DataView(length.buffer).getUint32(0);
    assert.equal(pseudoHeaderSum(source, destination, protocol, number), wordSum(header));
  }));
});

test('a UDP datagram that Linux 6.18 sent between namespaces, captured with its partial checksum', () => {
  // The kernel leaves the folded, uncomplemented pseudo-header sum in the field for the device to complete.
  const partial = (sum: number): number => 0xffff - internetChecksum(new Uint8Array(0), sum);
  assert.equal(partial(pseudoHeaderSum(Ipv4Address.parse('192.0.2.1'), Ipv4Address.parse('192.0.2.2'), 17, 14)), 0x8423);
  assert.equal(partial(pseudoHeaderSum(Ipv6Address.parse('2001:db8::1'), Ipv6Address.parse('2001:db8::2'), 17, 14)), 0x5b94);
});
