/** Whatever arrives, a decoder returns a value or throws DecodeError. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeArp, encodeArp } from '../../../src/wire/arp.ts';
import { decodeEthernet, encodeEthernet } from '../../../src/wire/ethernet.ts';
import { decodeNeighborDiscovery, encodeNeighborDiscovery } from '../../../src/wire/icmpv6-nd.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../src/wire/internet-checksum.ts';
import { decodeIpv4, encodeIpv4 } from '../../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6 } from '../../../src/wire/ipv6.ts';
import { decodeRarp, encodeRarp } from '../../../src/wire/rarp.ts';
import { decodeVnetHeader, encodeVnetHeader } from '../../../src/wire/vnet-header.ts';
import { DecodeError } from '../../../src/wire/wire.ts';
import {
  addressResolution, ethernetFrame, ipv4Packet, ipv6Packet, neighborAdvertisement, neighborSolicitation, u8, vnetHeader,
} from './arbitraries.ts';

const numRuns = 2000;

/** Valid packets, some bytes overwritten, then cut or extended. */
function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(), u8), { maxLength: 4 }), fc.nat(), fc.boolean(), fc.uint8Array({ maxLength: 8 }))
    .map(([bytes, writes, at, cut, tail]) => {
      const out = Uint8Array.of(...bytes, ...tail);
      // Headers are where decoders decide: half of the writes land in the first 64 bytes.
      for (const [where, byte] of writes) if (out.length > 0) out[where % (where % 2 === 0 ? out.length : Math.min(64, out.length))] = byte;
      return cut ? out.slice(0, at % (out.length + 1)) : out;
    });
}

/** Gives a mutated neighbour discovery packet a checksum that fits, so that the rules behind the checksum are reached. */
function withChecksum(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  if (out.length < 44 || (out[0] ?? 0) >> 4 !== 6) return out;
  const length = Math.min(out.length - 40, 0xffff);
  const view = new DataView(out.buffer);
  view.setUint16(4, length);
  view.setUint16(42, 0);
  const { source, destination, payload } = decodeIpv6(out);
  view.setUint16(42, internetChecksum(payload, pseudoHeaderSum(source, destination, 58, length)));
  return out;
}

/** Fails unless `decode` gives a value, or a DecodeError; a value must survive another round. */
function check<T>(decode: (bytes: Uint8Array) => T, encode: (value: T) => Uint8Array): (bytes: Uint8Array) => void {
  return (bytes) => {
    let value: T;
    try {
      value = decode(bytes);
    } catch (error) {
      assert.ok(error instanceof DecodeError, String(error));
      return;
    }
    assert.deepEqual(decode(encode(value)), value);
  };
}

const neighborDiscovery = fc.oneof(neighborSolicitation, neighborAdvertisement).map(encodeNeighborDiscovery);
const codecs: [name: string, valid: fc.Arbitrary<Uint8Array>, check: (bytes: Uint8Array) => void][] = [
  ['Ethernet', ethernetFrame.map(encodeEthernet), check(decodeEthernet, encodeEthernet)],
  ['ARP', addressResolution.map(encodeArp), check(decodeArp, encodeArp)],
  ['RARP', addressResolution.map(encodeRarp), check(decodeRarp, encodeRarp)],
  ['IPv4', ipv4Packet.map(encodeIpv4), check(decodeIpv4, encodeIpv4)],
  ['IPv6', ipv6Packet.map(encodeIpv6), check(decodeIpv6, encodeIpv6)],
  ['neighbour discovery', neighborDiscovery, check(decodeNeighborDiscovery, encodeNeighborDiscovery)],
  ['vnet header', vnetHeader.map(encodeVnetHeader), check(decodeVnetHeader, encodeVnetHeader)],
];

for (const [name, valid, checkBytes] of codecs) {
  test(`${name}: arbitrary bytes`, () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), checkBytes), { numRuns });
  });
  test(`${name}: mutated packets`, () => {
    fc.assert(fc.property(mutated(valid), checkBytes), { numRuns });
  });
}

test('neighbour discovery: mutated packets whose checksum fits', () => {
  const checkBytes = check(decodeNeighborDiscovery, encodeNeighborDiscovery);
  fc.assert(fc.property(mutated(neighborDiscovery).map(withChecksum), checkBytes), { numRuns });
});
