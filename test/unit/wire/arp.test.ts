import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { arpAnnouncement, arpProbe, arpRequest, decodeArp, encodeArp, gratuitousArpReply } from '../../../src/wire/arp.ts';
import { Ipv4Address } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { decodeRarp, encodeRarp, rarpRequest } from '../../../src/wire/rarp.ts';
import type { DecodeErrorCode } from '../../../src/wire/wire.ts';
import { DecodeError } from '../../../src/wire/wire.ts';
import { addressResolution, hex, toHex } from './arbitraries.ts';

const mac = MacAddress.parse('52:54:00:12:34:56');
const ip = Ipv4Address.parse('192.0.2.1');
const peer = Ipv4Address.parse('192.0.2.2');
const refusedAs = (code: DecodeErrorCode) => (error: unknown): boolean => error instanceof DecodeError && error.code === code;

// Captured on a veth pair, Linux 6.18.
const linuxRequest = hex('0001 0800 06 04 0001 525400123456 c0000201 000000000000 c0000202');
const linuxReply = hex('0001 0800 06 04 0002 525400abcdef c0000202 525400123456 c0000201');
const linuxArpNotify = hex('0001 0800 06 04 0001 525400123456 c0000201 000000000000 c0000201');
// Captured on a tap, QEMU 10.0.2, announce-self; with Ethernet's padding.
const qemuRarp = hex('0001 0800 06 04 0003 525400123456 00000000 525400123456 00000000 000000000000000000000000000000000000');

test("Linux's request and reply", () => {
  assert.equal(toHex(encodeArp(arpRequest(mac, ip, peer))), toHex(linuxRequest));
  assert.deepEqual(decodeArp(linuxReply), {
    operation: 'reply', senderMac: MacAddress.parse('52:54:00:ab:cd:ef'), senderIp: peer, targetMac: mac, targetIp: ip,
  });
  assert.equal(toHex(encodeArp(decodeArp(linuxReply))), toHex(linuxReply));
});

test('the announcement is the one of Linux with arp_notify', () => {
  assert.equal(toHex(encodeArp(arpAnnouncement(mac, ip))), toHex(linuxArpNotify));
});

test('RFC 5227 §2.1.1: a probe has sender 0.0.0.0 and an unknown target MAC', () => {
  assert.equal(toHex(encodeArp(arpProbe(mac, peer))), toHex(hex('0001 0800 06 04 0001 525400123456 00000000 000000000000 c0000202')));
});

test('RFC 5944 §4.6: a gratuitous reply names the sender in all four addresses', () => {
  const wanted = hex('0001 0800 06 04 0002 525400123456 c0000201 525400123456 c0000201');
  assert.equal(toHex(encodeArp(gratuitousArpReply(mac, ip))), toHex(wanted));
});

test("QEMU's RARP", () => {
  assert.deepEqual(decodeRarp(qemuRarp), rarpRequest(mac));
  assert.equal(toHex(encodeRarp(rarpRequest(mac))), toHex(qemuRarp.subarray(0, 28)));
});

test('RARP and ARP do not take each other', () => {
  assert.throws(() => decodeArp(qemuRarp), refusedAs('WIRE_UNSUPPORTED'));
  assert.throws(() => decodeRarp(linuxRequest), refusedAs('WIRE_UNSUPPORTED'));
});

test('decode after encode is identity, padded or not', () => {
  fc.assert(fc.property(addressResolution, fc.nat(20), (packet, padding) => {
    const pad = (bytes: Uint8Array): Uint8Array => Uint8Array.of(...bytes, ...new Uint8Array(padding));
    assert.deepEqual(decodeArp(pad(encodeArp(packet))), packet);
    assert.deepEqual(decodeRarp(pad(encodeRarp(packet))), packet);
  }));
});

test('what is refused, and why', () => {
  const changed = (at: number, byte: number): Uint8Array => linuxRequest.with(at, byte);
  for (let length = 0; length < 28; length++) {
    assert.throws(() => decodeArp(linuxRequest.subarray(0, length)), refusedAs('WIRE_TRUNCATED'), String(length));
  }
  assert.throws(() => decodeArp(changed(1, 6)), refusedAs('WIRE_UNSUPPORTED'));
  assert.throws(() => decodeArp(changed(2, 0x86)), refusedAs('WIRE_UNSUPPORTED'));
  assert.throws(() => decodeArp(changed(4, 8)), refusedAs('WIRE_MALFORMED'));
  assert.throws(() => decodeArp(changed(5, 16)), refusedAs('WIRE_MALFORMED'));
  assert.throws(() => decodeArp(changed(7, 8)), refusedAs('WIRE_UNSUPPORTED'));
});

test('nothing decoded is a view', () => {
  const bytes = linuxRequest.slice();
  const packet = decodeArp(bytes);
  bytes.fill(0xee);
  assert.deepEqual(packet, arpRequest(mac, ip, peer));
});
