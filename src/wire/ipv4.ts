/** IPv4 packets (RFC 791; the DS field of RFC 2474 and ECN of RFC 3168). */
import { ByteReader, ByteWriter, checkField } from './cursor.ts';
import { internetChecksum } from './internet-checksum.ts';
import { Ipv4Address } from './ip-address.ts';
import { DecodeError, EncodeError } from './wire.ts';

export interface Ipv4Packet {
  /** 0..63; 46 is EF. */
  readonly dscp: number;
  /** 0..3. */
  readonly ecn: number;
  /** 0..0xffff. */
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In units of 8 bytes, 0..8191. */
  readonly fragmentOffset: number;
  /** Hops, 0..255. */
  readonly ttl: number;
  /** See IpProtocol; 0..255. */
  readonly protocol: number;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  /** A view; 0..40 bytes, a multiple of 4, not interpreted. */
  readonly options: Uint8Array;
  /** A view; ends where the total length says, so without Ethernet's padding. */
  readonly payload: Uint8Array;
}

const what = 'IPv4 packet';
const fixedLength = 20;
const checksumOffset = 10;
const dontFragment = 0x4000;
const moreFragments = 0x2000;

/**
 * The reserved flag is ignored (RFC 791 wants it 0, nobody enforces it).
 * @throws DecodeError `WIRE_TRUNCATED`, `WIRE_MALFORMED` (version, lengths) or `WIRE_CHECKSUM` (of the header)
 */
export function decodeIpv4(bytes: Uint8Array): Ipv4Packet {
  const reader = new ByteReader(what, bytes);
  const first = reader.u8();
  if (first >> 4 !== 4) throw new DecodeError('WIRE_MALFORMED', `${what} says it is version ${first >> 4}. Drop it.`);
  const headerLength = (first & 0xf) * 4;
  if (headerLength < fixedLength) {
    throw new DecodeError('WIRE_MALFORMED', `${what} says its header has ${headerLength} bytes, fewer than 20. Drop it.`);
  }
  const trafficClass = reader.u8();
  const totalLength = reader.u16();
  if (totalLength < headerLength) {
    throw new DecodeError('WIRE_MALFORMED', `${what} of ${totalLength} bytes says its header has ${headerLength}. Drop it.`);
  }
  const identification = reader.u16();
  const fragment = reader.u16();
  const ttl = reader.u8();
  const protocol = reader.u8();
  reader.u16();
  const source = Ipv4Address.of(reader.take(4));
  const destination = Ipv4Address.of(reader.take(4));
  const options = reader.take(headerLength - fixedLength);
  const payload = reader.take(totalLength - headerLength);
  if (internetChecksum(bytes.subarray(0, headerLength)) !== 0) {
    throw new DecodeError('WIRE_CHECKSUM', `${what} has a damaged header: its checksum does not fit. Drop it.`);
  }
  return {
    dscp: trafficClass >> 2,
    ecn: trafficClass & 3,
    identification,
    dontFragment: (fragment & dontFragment) !== 0,
    moreFragments: (fragment & moreFragments) !== 0,
    fragmentOffset: fragment & 0x1fff,
    ttl,
    protocol,
    source,
    destination,
    options,
    payload,
  };
}

/**
 * Computes lengths and checksum.
 * @throws EncodeError when a field is out of its range, or options and payload are too long together (65535 bytes in all)
 */
export function encodeIpv4(packet: Ipv4Packet): Uint8Array {
  const { options, payload } = packet;
  if (options.length > 40 || options.length % 4 !== 0) {
    throw new EncodeError(`${what}: options have ${options.length} bytes; pad them to a multiple of 4, at most 40.`);
  }
  const headerLength = fixedLength + options.length;
  const writer = new ByteWriter(what, headerLength + payload.length);
  writer.u8('version', 4 << 4 | headerLength / 4);
  writer.u8('traffic class', checkField(what, 'dscp', packet.dscp, 63) << 2 | checkField(what, 'ecn', packet.ecn, 3));
  writer.u16('total length', headerLength + payload.length);
  writer.u16('identification', packet.identification);
  const flags = (packet.dontFragment ? dontFragment : 0) | (packet.moreFragments ? moreFragments : 0);
  writer.u16('fragment', flags | checkField(what, 'fragmentOffset', packet.fragmentOffset, 0x1fff));
  writer.u8('ttl', packet.ttl);
  writer.u8('protocol', packet.protocol);
  writer.u16('checksum', 0);
  writer.bytes(packet.source.bytes());
  writer.bytes(packet.destination.bytes());
  writer.bytes(options);
  writer.bytes(payload);
  const out = writer.finish();
  new DataView(out.buffer).setUint16(checksumOffset, internetChecksum(out.subarray(0, headerLength)));
  return out;
}
