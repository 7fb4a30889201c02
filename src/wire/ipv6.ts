/** IPv6 packets (RFC 8200 §3): the fixed header. Extension headers, where there are any, are the start of the payload. */
import { ByteReader, ByteWriter, checkField } from './cursor.ts';
import { Ipv6Address } from './ip-address.ts';
import { DecodeError } from './wire.ts';

export interface Ipv6Packet {
  /** 0..63; 46 is EF. */
  readonly dscp: number;
  /** 0..3. */
  readonly ecn: number;
  /** 0..0xfffff. */
  readonly flowLabel: number;
  /** See IpProtocol; 0..255. */
  readonly nextHeader: number;
  /** 0..255. */
  readonly hopLimit: number;
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  /** A view; ends where the payload length says, so without Ethernet's padding. Empty for a jumbogram (RFC 2675). */
  readonly payload: Uint8Array;
}

const what = 'IPv6 packet';
const headerLength = 40;

/** @throws DecodeError `WIRE_TRUNCATED`, or `WIRE_MALFORMED` when the version is not 6 */
export function decodeIpv6(bytes: Uint8Array): Ipv6Packet {
  const reader = new ByteReader(what, bytes);
  const first = reader.u32();
  const version = first >>> 28;
  if (version !== 6) throw new DecodeError('WIRE_MALFORMED', `${what} says it is version ${version}. Drop it.`);
  const payloadLength = reader.u16();
  return {
    dscp: first >>> 22 & 63,
    ecn: first >>> 20 & 3,
    flowLabel: first & 0xf_ffff,
    nextHeader: reader.u8(),
    hopLimit: reader.u8(),
    source: Ipv6Address.of(reader.take(16)),
    destination: Ipv6Address.of(reader.take(16)),
    payload: reader.take(payloadLength),
  };
}

/** @throws EncodeError when a field is out of its range, or the payload is longer than 65535 bytes */
export function encodeIpv6(packet: Ipv6Packet): Uint8Array {
  const writer = new ByteWriter(what, headerLength + packet.payload.length);
  const trafficClass = checkField(what, 'dscp', packet.dscp, 63) << 2 | checkField(what, 'ecn', packet.ecn, 3);
  writer.u32('version', (6 << 28 | trafficClass << 20 | checkField(what, 'flowLabel', packet.flowLabel, 0xf_ffff)) >>> 0);
  writer.u16('payload length', packet.payload.length);
  writer.u8('nextHeader', packet.nextHeader);
  writer.u8('hopLimit', packet.hopLimit);
  writer.bytes(packet.source.bytes());
  writer.bytes(packet.destination.bytes());
  writer.bytes(packet.payload);
  return writer.finish();
}
