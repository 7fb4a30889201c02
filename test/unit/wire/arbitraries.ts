/** Generators of valid values for every codec, and helpers to write bytes down as hex. */
import fc from 'fast-check';
import type { AddressResolution } from '../../../src/wire/address-resolution.ts';
import type { EthernetFrame } from '../../../src/wire/ethernet.ts';
import type { NeighborAdvertisement, NeighborSolicitation } from '../../../src/wire/icmpv6-nd.ts';
import { Ipv4Address, Ipv6Address, solicitedNodeMulticast } from '../../../src/wire/ip-address.ts';
import type { Ipv4Packet } from '../../../src/wire/ipv4.ts';
import type { Ipv6Packet } from '../../../src/wire/ipv6.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import type { VnetHeader } from '../../../src/wire/vnet-header.ts';

/** Bytes from hex; white space is for the reader. */
export function hex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '');
  const bytes = new Uint8Array(Buffer.from(digits, 'hex'));
  if (bytes.length * 2 !== digits.length) throw new Error(`not hex: ${text}`);
  return bytes;
}

/** For fc.record: plain objects, as decoders make them, so that deep comparison takes them for equal. */
const plain = { noNullPrototype: true } as const;

/** Hex from bytes, so that a failed comparison can be read. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
export const u8 = fc.nat(0xff);
export const u16 = fc.nat(0xffff);
const payload = fc.uint8Array({ maxLength: 200 });

export const mac = bytesOf(6).map((bytes) => MacAddress.of(bytes));
export const ipv4 = bytesOf(4).map((bytes) => Ipv4Address.of(bytes));
/** With runs of zeros, which the text form treats specially. */
export const ipv6 = fc.array(fc.oneof(fc.constant(0), fc.constant(0xffff), u16), { minLength: 8, maxLength: 8 })
  .map((groups) => Ipv6Address.of(Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))));
const unicastIpv6 = ipv6.filter((address) => !address.isMulticast);

export const ethernetFrame: fc.Arbitrary<EthernetFrame> = fc.record(
  { destination: mac, source: mac, etherType: u16, payload }, plain,
);

export const addressResolution: fc.Arbitrary<AddressResolution> = fc.record({
  operation: fc.constantFrom('request', 'reply'),
  senderMac: mac,
  senderIp: ipv4,
  targetMac: mac,
  targetIp: ipv4,
}, plain);

export const ipv4Packet: fc.Arbitrary<Ipv4Packet> = fc.record({
  dscp: fc.nat(63),
  ecn: fc.nat(3),
  identification: u16,
  dontFragment: fc.boolean(),
  moreFragments: fc.boolean(),
  fragmentOffset: fc.nat(8191),
  ttl: u8,
  protocol: u8,
  source: ipv4,
  destination: ipv4,
  options: fc.nat(10).chain((words) => bytesOf(4 * words)),
  payload,
}, plain);

export const ipv6Packet: fc.Arbitrary<Ipv6Packet> = fc.record({
  dscp: fc.nat(63),
  ecn: fc.nat(3),
  flowLabel: fc.nat(0xf_ffff),
  nextHeader: u8,
  hopLimit: u8,
  source: ipv6,
  destination: ipv6,
  payload,
}, plain);

const maybeMac = fc.option(mac, { nil: undefined });

export const neighborSolicitation: fc.Arbitrary<NeighborSolicitation> = fc
  .record({
    kind: fc.constant('solicitation' as const),
    source: fc.oneof(unicastIpv6, fc.constant(Ipv6Address.unspecified)),
    destination: ipv6,
    target: unicastIpv6,
    sourceMac: maybeMac,
  }, plain)
  .map((packet) =>
    packet.source.isUnspecified ? { ...packet, destination: solicitedNodeMulticast(packet.target), sourceMac: undefined } : packet,
  );

export const neighborAdvertisement: fc.Arbitrary<NeighborAdvertisement> = fc
  .record({
    kind: fc.constant('advertisement' as const),
    source: unicastIpv6,
    destination: ipv6,
    target: unicastIpv6,
    router: fc.boolean(),
    solicited: fc.boolean(),
    override: fc.boolean(),
    targetMac: maybeMac,
  }, plain)
  .map((packet) => ({ ...packet, solicited: packet.solicited && !packet.destination.isMulticast }));

export const vnetHeader: fc.Arbitrary<VnetHeader> = fc.record({
  flags: u8,
  gsoType: u8,
  headerLength: u16,
  gsoSize: u16,
  checksumStart: u16,
  checksumOffset: u16,
  numBuffers: fc.option(u16, { nil: undefined }),
}, plain);
