/**
 * VRRP advertisements: version 3 (RFC 9568 §5.2) over IPv4 and IPv6, version 2 (RFC 3768 §5.3) over IPv4. The message alone;
 * vrrp-frame.ts puts IP and Ethernet around it. A § without an RFC is RFC 9568's.
 *
 *    0                   1                   2                   3
 *   |Version| Type  | Virtual Rtr ID|   Priority    |  Addr Count   |
 *   |(rsvd) |  Max Advertise Int    |           Checksum            |   version 3: centiseconds
 *   |   Auth Type   |   Adver Int   |           Checksum            |   version 2: seconds
 *   |                     IPvX Address(es)                          |
 *   |          Authentication Data: 8 bytes, zeros                  |   version 2
 *
 * Version 3 over IPv4 is summed in two ways. RFC 5798, and keepalived and FRR by default, put a pseudo-header in front; RFC 9568
 * §5.2.8 does not. Both are taken and told apart. That leaves the checksum one hole: where the pseudo-header's words add up to a power
 * of two or its negative (mod 65535; 32 in 65535 pairs of source and destination), one bit of damage turns one way into the other.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { ByteReader, ByteWriter, checkField } from './cursor.ts';
import { internetChecksum, pseudoHeaderSum } from './internet-checksum.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from './ip-address.ts';
import { IpProtocol } from './ip-protocol.ts';
import { MacAddress } from './mac-address.ts';
import { type VrrpDrop, drop } from './vrrp-drop.ts';
import { EncodeError } from './wire.ts';

/** How version 3 is summed over IPv4; over IPv6 it has always been with the pseudo-header. */
export type VrrpDialect = 'pseudo-header' | 'rfc9568';

export interface VrrpMessage {
  readonly version: 2 | 3;
  /** 1..255. */
  readonly vrid: number;
  /** 0: leaves; 255: owns the addresses. */
  readonly priority: number;
  /** Version 3: 10 ms to 40.95 s in steps of 10 ms. Version 2: 1 to 255 whole seconds. */
  readonly interval: Milliseconds;
  /** 1..255, all of the packet's family; version 2: IPv4. */
  readonly addresses: readonly IpAddress[];
}

export interface VrrpAdvert extends VrrpMessage {
  /** How it was summed; over IPv6 always `pseudo-header`. */
  readonly checksum: VrrpDialect | 'version-2';
}

/** An IP packet of protocol 112. */
export interface VrrpPacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** IPv6: hop limit. */
  readonly ttl: number;
  /** What follows the IP header, up to the length that the header says: Ethernet's padding is no part of it. */
  readonly payload: Uint8Array;
}

/** What a router takes. */
export interface VrrpExpected {
  readonly version: 2 | 3;
  /** 1..255; 255, unless peers are behind routers. */
  readonly minTtl: number;
  /** The one that is told where both fit. */
  readonly checksum: VrrpDialect;
  /** Unicast: who may send. Empty: multicast. */
  readonly peers: readonly IpAddress[];
}

/** Of the virtual router `vrid` of this family on the interface where the packet came in; undefined: there is none. */
export type VrrpExpectations = (family: 4 | 6, vrid: number) => VrrpExpected | undefined;

export interface DecodedVrrp {
  readonly kind: 'advert';
  readonly advert: VrrpAdvert;
}

/** §5.1.1.2, §5.1.2.2. */
export const vrrpGroup = { 4: Ipv4Address.parse('224.0.0.18'), 6: Ipv6Address.parse('ff02::12') } as const;

/** fe80::/10 (RFC 4291 §2.5.6): what IPv6 adverts come from, and the first address of an IPv6 virtual router (§5.2.9). */
export function isLinkLocal(address: IpAddress): boolean {
  const [first = 0, second = 0] = address.bytes();
  return address.family === 6 && first === 0xfe && second >> 6 === 2;
}

const what = 'VRRP advert';
const typeAdvertisement = 1;
const fixedLength = 8;
const checksumOffset = 6;
const authenticationLength = 8;
const maxIntervalField = { 2: 0xff, 3: 0xfff } as const;
const intervalUnit = { 2: 1000, 3: 10 } as const;
const addressLength = { 4: 4, 6: 16 } as const;

/** RFC 9568 §7.3, RFC 3768 §7.3: 00:00:5e:00:01:VRID, for IPv6 00:00:5e:00:02:VRID. @throws EncodeError when vrid is not 1..255 */
export function virtualRouterMac(family: 4 | 6, vrid: number): MacAddress {
  return MacAddress.of(Uint8Array.of(0, 0, 0x5e, 0, family === 4 ? 1 : 2, checkVrid(vrid)));
}

/**
 * RFC 9568 §7.1, RFC 3768 §7.1. Not done here: what the RFC has a receiver only report (another list of addresses, in version 3 another
 * interval), and what an owner does about adverts for its addresses (§7.1 with erratum 8298). Against RFC 3768 §7.1, version 2 with
 * another interval is taken too, and so is an advert from the receiver's own address: whoever is not heard is Active beside another. The
 * machine (protocol/vrrp.ts) knows what to do about both.
 * Never throws, whatever the bytes.
 */
export function decodeVrrp(packet: VrrpPacket, expectations: VrrpExpectations): DecodedVrrp | VrrpDrop {
  const { payload, source: { family } } = packet;
  if (payload.length < fixedLength) return drop('truncated', `${payload.length} bytes`);
  const reader = new ByteReader(what, payload);
  const first = reader.u8();
  const vrid = reader.u8();
  const expected = vrid === 0 ? undefined : expectations(family, vrid);
  if (!expected) return drop('vrid', `VRID ${vrid}`, vrid);
  const misdirected = faultOfPath(packet, expected, vrid);
  if (misdirected) return misdirected;

  const { version } = expected;
  if (first >> 4 !== version) return drop('version', `version ${first >> 4}, wanted ${version}`, vrid);
  if ((first & 0xf) !== typeAdvertisement) return drop('type', `type ${first & 0xf}`, vrid);
  const priority = reader.u8();
  const count = reader.u8();
  const authentication = version === 2 ? reader.u8() : 0;
  // The upper 4 bits of version 3 are reserved: §5.2.6 has receivers ignore them.
  const units = version === 2 ? reader.u8() : reader.u16() & maxIntervalField[3];
  reader.u16();
  if (authentication !== 0) return drop('authentication', `Auth Type ${authentication}`, vrid);
  if (count === 0) return drop('count', '0 addresses', vrid);
  const length = lengthOf(version, family, count);
  if (payload.length !== length) return drop('length', `${payload.length} bytes, ${length} with ${count} addresses`, vrid);
  const checksum = checksumOf(packet, expected);
  if (checksum === undefined) return drop('checksum', 'the sum does not fit', vrid);
  if (units === 0) return drop('interval', 'interval 0', vrid);
  const interval = ms(units * intervalUnit[version]);
  const addresses = Array.from({ length: count }, () => {
    const bytes = reader.take(addressLength[family]);
    return family === 4 ? Ipv4Address.of(bytes) : Ipv6Address.of(bytes);
  });
  return { kind: 'advert', advert: { version, vrid, priority, interval, addresses, checksum } };
}

/** Where it comes from, where it goes to and how far it came: §5.1. */
function faultOfPath({ source, destination, ttl }: VrrpPacket, expected: VrrpExpected, vrid: number): VrrpDrop | undefined {
  const { peers, minTtl } = expected;
  const unicast = peers.length > 0;
  const plausible = unicast
    ? peers.some((peer) => peer.equals(source))
    : !source.isMulticast && !source.isUnspecified && (source.family === 4 || isLinkLocal(source));
  if (!plausible) return drop('source', `from ${source}`, vrid);
  const wanted = unicast ? !destination.isMulticast : destination.equals(vrrpGroup[source.family]);
  if (!wanted) return drop('destination', `to ${destination}`, vrid);
  return ttl < minTtl ? drop('ttl', `TTL ${ttl}, wanted ${minTtl}`, vrid) : undefined;
}

/** How it is summed; undefined: no way fits. */
function checksumOf(packet: VrrpPacket, { version, checksum: preferred }: VrrpExpected): VrrpAdvert['checksum'] | undefined {
  const { source, destination, payload } = packet;
  const fits = (dialect: VrrpDialect): boolean =>
    internetChecksum(payload, dialect === 'rfc9568' ? 0 : pseudoHeaderSum(source, destination, IpProtocol.vrrp, payload.length)) === 0;
  if (version === 2) return fits('rfc9568') ? 'version-2' : undefined;
  if (source.family === 6) return fits('pseudo-header') ? 'pseudo-header' : undefined;
  if (fits(preferred)) return preferred;
  const other = preferred === 'rfc9568' ? 'pseudo-header' : 'rfc9568';
  return fits(other) ? other : undefined;
}

/**
 * What goes behind the IP header.
 * @param path the IP packet's addresses, which the pseudo-header sums
 * @param dialect only version 3 over IPv4 has a choice
 * @throws EncodeError when a field is out of its range, the interval is not on its grid, or the families do not fit
 */
export function encodeVrrp(message: VrrpMessage, path: Pick<VrrpPacket, 'source' | 'destination'>, dialect: VrrpDialect): Uint8Array {
  const { version, vrid, priority, addresses } = message;
  const { source, destination } = path;
  const { family } = source;
  if (version === 2 && family === 6) throw new EncodeError(`${what}: version 2 is for IPv4 alone. Use version 3.`);
  const stray = [destination, ...addresses].find((address) => address.family !== family);
  if (stray) throw new EncodeError(`${what}: ${stray} is not of the family of its source ${source}. Use a virtual router for each family.`);
  if (addresses.length === 0) throw new EncodeError(`${what}: no addresses. Give at least one.`);
  checkField(what, 'count of addresses', addresses.length, 0xff);
  const units = intervalField(version, message.interval);

  const writer = new ByteWriter(what, lengthOf(version, family, addresses.length));
  writer.u8('version', version << 4 | typeAdvertisement);
  writer.u8('vrid', checkVrid(vrid));
  writer.u8('priority', priority);
  writer.u8('count', addresses.length);
  writer.u16('interval', units);
  writer.u16('checksum', 0);
  for (const address of addresses) writer.bytes(address.bytes());
  const out = writer.finish();
  const plain = version === 2 || (family === 4 && dialect === 'rfc9568');
  const initial = plain ? 0 : pseudoHeaderSum(source, destination, IpProtocol.vrrp, out.length);
  new DataView(out.buffer).setUint16(checksumOffset, internetChecksum(out, initial));
  return out;
}

/** Never rounded: half a second of version 2 would be 0, and every receiver would drop it. */
function intervalField(version: 2 | 3, interval: Milliseconds): number {
  const units = interval / intervalUnit[version];
  if (!Number.isInteger(units) || units < 1 || units > maxIntervalField[version]) {
    const wanted = version === 2 ? '1 to 255 whole seconds' : '10 ms to 40.95 s in steps of 10 ms';
    throw new EncodeError(`${what}: the interval is ${interval} ms; version ${version} can say ${wanted}.`);
  }
  return units;
}

const lengthOf = (version: 2 | 3, family: 4 | 6, count: number): number =>
  fixedLength + count * addressLength[family] + (version === 2 ? authenticationLength : 0);

function checkVrid(vrid: number): number {
  if (vrid === 0) throw new EncodeError(`${what}: vrid is 0; give a whole number in 1..255.`);
  return checkField(what, 'vrid', vrid, 0xff);
}
