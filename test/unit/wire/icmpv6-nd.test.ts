import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { internetChecksum, pseudoHeaderSum } from '../../../src/wire/internet-checksum.ts';
import type { NeighborAdvertisement, NeighborSolicitation } from '../../../src/wire/icmpv6-nd.ts';
import { decodeNeighborDiscovery, encodeNeighborDiscovery } from '../../../src/wire/icmpv6-nd.ts';
import { Ipv6Address } from '../../../src/wire/ip-address.ts';
import { decodeIpv6, encodeIpv6 } from '../../../src/wire/ipv6.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import type { DecodeErrorCode } from '../../../src/wire/wire.ts';
import { DecodeError, EncodeError } from '../../../src/wire/wire.ts';
import { hex, neighborAdvertisement, neighborSolicitation, toHex } from './arbitraries.ts';

const refusedAs = (code: DecodeErrorCode) => (error: unknown): boolean => error instanceof DecodeError && error.code === code;
const one = Ipv6Address.parse('2001:db8::1');
const two = Ipv6Address.parse('2001:db8::2');

// Captured on a veth pair, Linux 6.18, addresses 2001:db8::1 (52:54:00:12:34:56) and ::2 (52:54:00:ab:cd:ef).
const linuxSolicitation = hex(`60000000 0020 3a ff 20010db8000000000000000000000001 ff0200000000000000000001ff000002
  87 00 976b 00000000 20010db8000000000000000000000002 01 01 525400123456`);
const linuxAnswer = hex(`60000000 0020 3a ff 20010db8000000000000000000000002 20010db8000000000000000000000001
  88 00 6b84 60000000 20010db8000000000000000000000002 02 01 525400abcdef`);
const linuxNdiscNotify = hex(`60000000 0020 3a ff 20010db8000000000000000000000001 ff020000000000000000000000000001
  88 00 746f 20000000 20010db8000000000000000000000001 02 01 525400123456`);
// Duplicate address detection with the nonce option of RFC 7527.
const linuxDad = hex(`60000000 0020 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000001
  87 00 c080 00000000 20010db8000000000000000000000001 0e 01 dec306a698f9`);
const linuxRouterSolicitation = hex(`60000000 0010 3a ff fe80000000000000505400fffe123456 ff020000000000000000000000000002
  85 00 71b5 00000000 01 01 525400123456`);

const solicitation: NeighborSolicitation = {
  kind: 'solicitation',
  source: one,
  destination: Ipv6Address.parse('ff02::1:ff00:2'),
  target: two,
  sourceMac: MacAddress.parse('52:54:00:12:34:56'),
};
const answer: NeighborAdvertisement = {
  kind: 'advertisement',
  source: two,
  destination: one,
  target: two,
  router: false,
  solicited: true,
  override: true,
  targetMac: MacAddress.parse('52:54:00:ab:cd:ef'),
};

/** The packet with other ICMPv6 bytes, or another hop limit, under a checksum that fits. */
function rebuilt(bytes: Uint8Array, icmp: Uint8Array, hopLimit = 255): Uint8Array {
  const packet = decodeIpv6(bytes);
  const payload = icmp.slice();
  const view = new DataView(payload.buffer);
  view.setUint16(2, 0);
  view.setUint16(2, internetChecksum(payload, pseudoHeaderSum(packet.source, packet.destination, 58, payload.length)));
  return encodeIpv6({ ...packet, hopLimit, payload });
}
const icmpOf = (bytes: Uint8Array): Uint8Array => decodeIpv6(bytes).payload;

test("Linux's solicitation, both ways", () => {
  assert.deepEqual(decodeNeighborDiscovery(linuxSolicitation), solicitation);
  assert.equal(toHex(encodeNeighborDiscovery(solicitation)), toHex(linuxSolicitation));
});

test("Linux's answer, both ways", () => {
  assert.deepEqual(decodeNeighborDiscovery(linuxAnswer), answer);
  assert.equal(toHex(encodeNeighborDiscovery(answer)), toHex(linuxAnswer));
});

test('the unsolicited advertisement of Linux with ndisc_notify, both ways', () => {
  const packet = decodeNeighborDiscovery(linuxNdiscNotify);
  assert.deepEqual(packet, {
    ...answer, source: one, destination: Ipv6Address.allNodes, target: one, solicited: false, targetMac: solicitation.sourceMac,
  });
  assert.equal(toHex(encodeNeighborDiscovery(packet)), toHex(linuxNdiscNotify));
});

test('a solicitation from :: with an option that is not ours', () => {
  assert.deepEqual(decodeNeighborDiscovery(linuxDad), {
    kind: 'solicitation',
    source: Ipv6Address.unspecified,
    destination: Ipv6Address.parse('ff02::1:ff00:1'),
    target: one,
    sourceMac: undefined,
  });
});

test('the three flags have their own bits', () => {
  const flagsOf = (flags: Partial<NeighborAdvertisement>): number | undefined =>
    encodeNeighborDiscovery({ ...answer, router: false, solicited: false, override: false, ...flags })[44];
  assert.equal(flagsOf({ router: true }), 0x80);
  assert.equal(flagsOf({ solicited: true }), 0x40);
  assert.equal(flagsOf({ override: true }), 0x20);
});

test('decode after encode is identity, with Ethernet padding too', () => {
  fc.assert(fc.property(fc.oneof(neighborSolicitation, neighborAdvertisement), fc.nat(20), (packet, padding) => {
    const bytes = encodeNeighborDiscovery(packet);
    assert.deepEqual(decodeNeighborDiscovery(Uint8Array.of(...bytes, ...new Uint8Array(padding))), packet);
  }));
});

test('any one changed bit of addresses or message is refused', () => {
  for (let bit = 8 * 8; bit < linuxAnswer.length * 8; bit++) {
    const bytes = linuxAnswer.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    assert.throws(() => decodeNeighborDiscovery(bytes), DecodeError, `bit ${bit}`);
  }
});

test('RFC 4861 §7.1: what a node must discard', () => {
  const icmp = icmpOf(linuxSolicitation);
  assert.doesNotThrow(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp)));
  for (const hops of [0, 64, 254]) {
    assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp, hops)), refusedAs('WIRE_MALFORMED'), `hop limit ${hops}`);
  }
  assert.throws(() => decodeNeighborDiscovery(linuxSolicitation.with(43, 0)), refusedAs('WIRE_CHECKSUM'));
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp.with(1, 1))), refusedAs('WIRE_MALFORMED'), 'code');
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp.subarray(0, 23))), refusedAs('WIRE_TRUNCATED'), 'length');
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp.with(8, 0xff))), refusedAs('WIRE_MALFORMED'), 'target');
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp.with(25, 0))), refusedAs('WIRE_MALFORMED'), 'option of 0');
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, icmp.with(25, 2))), refusedAs('WIRE_TRUNCATED'), 'option of 2');
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxDad, icmpOf(linuxDad).with(24, 1))), refusedAs('WIRE_MALFORMED'), 'MAC from ::');
  const solicitedToGroup = rebuilt(linuxNdiscNotify, icmpOf(linuxNdiscNotify).with(4, 0x60));
  assert.throws(() => decodeNeighborDiscovery(solicitedToGroup), refusedAs('WIRE_MALFORMED'), 'S to group');
  const dadElsewhere = linuxDad.with(35, 0);
  assert.throws(() => decodeNeighborDiscovery(rebuilt(dadElsewhere, icmpOf(dadElsewhere))), refusedAs('WIRE_MALFORMED'), ':: elsewhere');
});

test('a link-layer address that is not 6 bytes is refused; of two the first counts; the other kind is skipped', () => {
  const icmp = icmpOf(linuxSolicitation);
  const longMac = Uint8Array.of(...icmp.subarray(0, 24), 1, 2, ...new Uint8Array(14));
  assert.throws(() => decodeNeighborDiscovery(rebuilt(linuxSolicitation, longMac)), refusedAs('WIRE_MALFORMED'));
  assert.throws(
    () => decodeNeighborDiscovery(rebuilt(linuxSolicitation, Uint8Array.of(...icmp, ...longMac.subarray(24)))),
    refusedAs('WIRE_MALFORMED'),
  );
  const twice = Uint8Array.of(...icmp, 1, 1, 2, 2, 2, 2, 2, 2);
  assert.deepEqual(decodeNeighborDiscovery(rebuilt(linuxSolicitation, twice)), solicitation);
  const otherKind = icmp.with(24, 2);
  assert.deepEqual(decodeNeighborDiscovery(rebuilt(linuxSolicitation, otherKind)), { ...solicitation, sourceMac: undefined });
});

test('what is not ours is unsupported', () => {
  assert.throws(() => decodeNeighborDiscovery(linuxRouterSolicitation), refusedAs('WIRE_UNSUPPORTED'));
  assert.throws(() => decodeNeighborDiscovery(linuxSolicitation.with(6, 17)), refusedAs('WIRE_UNSUPPORTED'));
});

test('what every receiver would drop is not encoded', () => {
  for (const bad of [
    { ...solicitation, target: Ipv6Address.allNodes },
    { ...solicitation, source: Ipv6Address.unspecified },
    { ...solicitation, source: Ipv6Address.unspecified, sourceMac: undefined, destination: Ipv6Address.allNodes },
    { ...answer, destination: Ipv6Address.allNodes },
  ]) {
    assert.throws(() => encodeNeighborDiscovery(bad), EncodeError);
  }
});
