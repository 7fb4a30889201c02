/** Echoes on the wire: sent, looped by whoever does not forward, read, and never read from what is something else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { udpPortFilter } from '../../../src/host/packet-filter.ts';
import { runFilter } from '../../../src/native/memory-filter.ts';
import { decodeEchoFrame, echoFrame, loopedEcho } from '../../../src/wire/bfd-echo-frame.ts';
import { Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const own = MacAddress.parse('02:00:00:00:00:01');
const peer = MacAddress.parse('02:00:00:00:00:02');
const macs = { own, peer };
const four = Ipv4Address.parse('192.0.2.1');
const six = Ipv6Address.parse('2001:db8::1');
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test('over IPv4, byte for byte: RFC 791, RFC 768, TTL 255, CS6, to its sender', () => {
  assert.deepEqual(echoFrame(four, macs, bytes('0102030405')), bytes(
    '020000000002 020000000001 0800 45c0 0021 0000 4000 ff11 f708 c0000201 c0000201 0ec9 0ec9 000d 5539 0102030405'));
});

test('over IPv6, byte for byte: RFC 8200, RFC 768, hop limit 255, CS6, to its sender', () => {
  assert.deepEqual(echoFrame(six, macs, bytes('01020304')), bytes(
    '020000000002 020000000001 86dd 6c000000 000c 11 ff 20010db8000000000000000000000001 20010db8000000000000000000000001 0ec9 0ec9 000c 82ca 01020304'));
});

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map((raw) => Ipv4Address.of(raw)),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((raw) => Ipv6Address.of(raw)),
);

test('what is sent is read, passes its filter, and comes back looped with one hop less and the MACs exchanged', () => {
  fc.assert(fc.property(address, fc.uint8Array({ maxLength: 200 }), (source, payload) => {
    const frame = echoFrame(source, macs, payload);
    assert.deepEqual(decodeEchoFrame(frame), { sourceMac: own, destinationMac: peer, source, destination: source, ttl: 255, payload });
    const back = loopedEcho(frame);
    assert.deepEqual(decodeEchoFrame(back), { sourceMac: peer, destinationMac: own, source, destination: source, ttl: 254, payload });
    const { family } = source;
    assert.equal(runFilter(udpPortFilter({ family, port: 3785 }), { frame, packetType: 0 }), frame.length);
    assert.equal(runFilter(udpPortFilter({ family, port: 3784 }), { frame, packetType: 0 }), 0);
    assert.equal(runFilter(udpPortFilter({ family: family === 4 ? 6 : 4, port: 3785 }), { frame, packetType: 0 }), 0);
    // Of another host, and what this one sends.
    for (const packetType of [1, 2, 3, 4]) assert.equal(runFilter(udpPortFilter({ family, port: 3785 }), { frame, packetType }), 0);
  }));
});

test('padding of short frames is no part of it; one damaged bit behind the Ethernet header is refused, or changes no more than marks and hops', () => {
  fc.assert(fc.property(address, fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), fc.nat(7), (source, payload, at, bit) => {
    const frame = echoFrame(source, macs, payload);
    const padded = new Uint8Array(frame.length + 20);
    padded.set(frame);
    assert.deepEqual(decodeEchoFrame(padded), decodeEchoFrame(frame));
    const damaged = frame.slice();
    const place = 14 + at % (frame.length - 14);
    damaged[place] = (damaged[place] ?? 0) ^ (1 << bit);
    const read = decodeEchoFrame(damaged);
    if (!read) return;
    // An IPv6 header has no checksum of its own: traffic class, flow label and hop limit are covered by nothing.
    assert.equal(source.family, 6);
    assert.deepEqual({ ...read, ttl: 255 }, decodeEchoFrame(frame));
  }));
});

test('any bytes are an echo or none', () => {
  const head = [echoFrame(four, macs, bytes('00')), echoFrame(six, macs, bytes('00'))];
  fc.assert(fc.property(fc.constantFrom(...head), fc.nat(60), fc.uint8Array({ maxLength: 100 }), (start, keep, rest) => {
    const frame = Uint8Array.from([...start.subarray(0, keep), ...rest]);
    const echo = decodeEchoFrame(frame);
    if (echo) assert.equal(loopedEcho(frame).length, frame.length);
  }));
});
