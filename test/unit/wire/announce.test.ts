import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  announcementFrames, arpProbeFrame, gratuitousArpReplyFrame, gratuitousArpRequestFrame, nsProbeFrame, rarpFrame, unsolicitedNaFrame,
} from '../../../src/wire/announce.ts';
import { Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { EncodeError } from '../../../src/wire/wire.ts';
import { hex, toHex } from './arbitraries.ts';

const mac = MacAddress.parse('52:54:00:12:34:56');
const ip = Ipv4Address.parse('192.0.2.1');
const ip6 = Ipv6Address.parse('2001:db8::1');

// Captured whole: from Linux 6.18 with arp_notify and ndisc_notify on a veth pair, from QEMU 10.0.2 on a tap (padding left out).
const linuxArpNotify = hex('ffffffffffff 525400123456 0806 0001 0800 06 04 0001 525400123456 c0000201 000000000000 c0000201');
const linuxArpRequest = hex('ffffffffffff 525400123456 0806 0001 0800 06 04 0001 525400123456 c0000201 000000000000 c0000202');
const linuxNdiscNotify = hex(`333300000001 525400123456 86dd 60000000 0020 3a ff
  20010db8000000000000000000000001 ff020000000000000000000000000001
  88 00 746f 20000000 20010db8000000000000000000000001 02 01 525400123456`);
const linuxSolicitation = hex(`3333ff000002 525400123456 86dd 60000000 0020 3a ff
  20010db8000000000000000000000001 ff0200000000000000000001ff000002
  87 00 976b 00000000 20010db8000000000000000000000002 01 01 525400123456`);
const qemuRarp = hex('ffffffffffff 525400123456 8035 0001 0800 06 04 0003 525400123456 00000000 525400123456 00000000');
// From RFC 5944 §4.6.
const garpReply = hex('ffffffffffff 525400123456 0806 0001 0800 06 04 0002 525400123456 c0000201 525400123456 c0000201');

test('each announcement is the frame that Linux or QEMU sends', () => {
  assert.equal(toHex(gratuitousArpRequestFrame(mac, ip)), toHex(linuxArpNotify));
  assert.equal(toHex(gratuitousArpReplyFrame(mac, ip)), toHex(garpReply));
  assert.equal(toHex(rarpFrame(mac)), toHex(qemuRarp));
  assert.equal(toHex(unsolicitedNaFrame(mac, ip6, false)), toHex(linuxNdiscNotify));
});

test('a NIC is announced by RARP, then for each address', () => {
  assert.deepEqual(
    announcementFrames({ mac, addresses: [ip, ip6] }).map(toHex),
    [qemuRarp, linuxArpNotify, garpReply, linuxNdiscNotify].map(toHex),
  );
  assert.deepEqual(announcementFrames({ mac, addresses: [] }).map(toHex), [toHex(qemuRarp)]);
});

test('a router stays a router', () => {
  const [, frame = new Uint8Array(0)] = announcementFrames({ mac, addresses: [ip6], router: true });
  assert.equal(frame[58], 0xa0);
  assert.equal(toHex(frame), toHex(unsolicitedNaFrame(mac, ip6, true)));
});

test('probes with the sender are the requests that Linux sends', () => {
  assert.equal(toHex(arpProbeFrame(mac, Ipv4Address.parse('192.0.2.2'), ip)), toHex(linuxArpRequest));
  assert.equal(toHex(nsProbeFrame(mac, Ipv6Address.parse('2001:db8::2'), ip6)), toHex(linuxSolicitation));
});

test('probes without a sender claim no address', () => {
  assert.equal(
    toHex(arpProbeFrame(mac, ip)),
    toHex(hex('ffffffffffff 525400123456 0806 0001 0800 06 04 0001 525400123456 00000000 000000000000 c0000201')),
  );
  // As Linux's own duplicate address detection, less its nonce option: the checksum was worked out by hand from that capture,
  // 0xc080 + (0x0e01 + 0xdec3 + 0x06a6 + 0x98f9) + 8 for the option and the 8 bytes less of length, carries folded.
  assert.equal(toHex(nsProbeFrame(mac, ip6)), toHex(hex(`3333ff000001 525400123456 86dd 60000000 0018 3a ff
    00000000000000000000000000000000 ff0200000000000000000001ff000001
    87 00 4ced 00000000 20010db8000000000000000000000001`)));
});

test('a multicast address is neither announced nor probed by ND', () => {
  assert.throws(() => unsolicitedNaFrame(mac, Ipv6Address.allNodes, false), EncodeError);
  assert.throws(() => nsProbeFrame(mac, Ipv6Address.allNodes), EncodeError);
});
