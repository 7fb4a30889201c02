/**
 * Neighbour solicitation and advertisement (RFC 4861 §4.3, §4.4, §7.1), as whole IPv6 packets: their checksum covers the
 * addresses, and the hop limit of 255 is what proves that the sender is on this link.
 */
import { ByteReader, ByteWriter } from './cursor.ts';
import { internetChecksum, pseudoHeaderSum } from './internet-checksum.ts';
import { Ipv6Address } from './ip-address.ts';
import { IpProtocol } from './ip-protocol.ts';
import { decodeIpv6, encodeIpv6 } from './ipv6.ts';
import { MacAddress } from './mac-address.ts';
import { DecodeError, EncodeError } from './wire.ts';

interface NdPacket {
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  /** Whom it is about; never a multicast address. */
  readonly target: Ipv6Address;
}

export interface NeighborSolicitation extends NdPacket {
  readonly kind: 'solicitation';
  /** The source link-layer address option; undefined always when the source is `::`. */
  readonly sourceMac: MacAddress | undefined;
}

export interface NeighborAdvertisement extends NdPacket {
  readonly kind: 'advertisement';
  /** The R flag. A change from true to false takes the sender out of its neighbours' lists of routers (§7.2.5). */
  readonly router: boolean;
  /** The S flag: an answer to a solicitation; never true towards a multicast address. */
  readonly solicited: boolean;
  /** The O flag: replaces what is cached. */
  readonly override: boolean;
  /** The target link-layer address option. */
  readonly targetMac: MacAddress | undefined;
}

export type NeighborDiscovery = NeighborSolicitation | NeighborAdvertisement;

const what = 'Neighbour discovery packet';
const hopLimit = 255;
const checksumOffset = 2;
const fixedLength = 24;
const messageType = { solicitation: 135, advertisement: 136 } as const;
const linkLayerOption = { solicitation: 1, advertisement: 2 } as const;
/** In units of 8 bytes: type, length, and 6 bytes of address (RFC 2464 §6). */
const linkLayerOptionLength = 1;
const flag = { router: 0x8000_0000, solicited: 0x4000_0000, override: 0x2000_0000 } as const;

/**
 * From the payload of a frame of EtherType.ipv6; nothing is a view. Options other than the link-layer address are skipped.
 * @throws DecodeError `WIRE_UNSUPPORTED` for what is not a solicitation or advertisement, directly after the IPv6 header;
 *   `WIRE_TRUNCATED`, `WIRE_CHECKSUM`, or `WIRE_MALFORMED` for what a node must discard by RFC 4861 §7.1
 */
export function decodeNeighborDiscovery(bytes: Uint8Array): NeighborDiscovery {
  const { nextHeader, hopLimit: hops, source, destination, payload } = decodeIpv6(bytes);
  if (nextHeader !== IpProtocol.icmpv6) {
    throw new DecodeError('WIRE_UNSUPPORTED', `${what} has next header ${nextHeader}, not 58 for ICMPv6. Drop it.`);
  }
  const reader = new ByteReader(what, payload);
  const type = reader.u8();
  if (type !== messageType.solicitation && type !== messageType.advertisement) {
    throw new DecodeError('WIRE_UNSUPPORTED', `${what} has ICMPv6 type ${type}, neither 135 nor 136. Drop it.`);
  }
  const kind = type === messageType.solicitation ? 'solicitation' : 'advertisement';
  const code = reader.u8();
  reader.u16();
  const flags = reader.u32();
  const target = Ipv6Address.of(reader.take(16));
  if (hops !== hopLimit) throw malformed(`has hop limit ${hops}, so it was routed here or forged`);
  if (code !== 0) throw malformed(`has code ${code}, not 0`);
  if (internetChecksum(payload, pseudoHeaderSum(source, destination, IpProtocol.icmpv6, payload.length)) !== 0) {
    throw new DecodeError('WIRE_CHECKSUM', `${what} is damaged: its checksum does not fit. Drop it.`);
  }
  const mac = readLinkLayerAddress(reader, linkLayerOption[kind]);
  const packet: NeighborDiscovery = kind === 'solicitation'
    ? { kind, source, destination, target, sourceMac: mac }
    : {
        kind,
        source,
        destination,
        target,
        router: (flags & flag.router) !== 0,
        solicited: (flags & flag.solicited) !== 0,
        override: (flags & flag.override) !== 0,
        targetMac: mac,
      };
  const fault = faultOf(packet);
  if (fault !== undefined) throw malformed(fault);
  return packet;
}

/**
 * The whole IPv6 packet, hop limit 255, checksum computed.
 * @throws EncodeError for what RFC 4861 §7.1 has receivers discard
 */
export function encodeNeighborDiscovery(packet: NeighborDiscovery): Uint8Array {
  const fault = faultOf(packet);
  if (fault !== undefined) throw new EncodeError(`${what} ${fault}; every receiver would drop it. Correct the addresses.`);
  const { kind, source, destination } = packet;
  const mac = packet.kind === 'solicitation' ? packet.sourceMac : packet.targetMac;
  const writer = new ByteWriter(what, fixedLength + (mac === undefined ? 0 : 8 * linkLayerOptionLength));
  writer.u8('type', messageType[kind]);
  writer.u8('code', 0);
  writer.u16('checksum', 0);
  writer.u32('flags', packet.kind === 'solicitation' ? 0 : flagsOf(packet));
  writer.bytes(packet.target.bytes());
  if (mac !== undefined) {
    writer.u8('option type', linkLayerOption[kind]);
    writer.u8('option length', linkLayerOptionLength);
    writer.bytes(mac.bytes());
  }
  const payload = writer.finish();
  const checksum = internetChecksum(payload, pseudoHeaderSum(source, destination, IpProtocol.icmpv6, payload.length));
  new DataView(payload.buffer).setUint16(checksumOffset, checksum);
  return encodeIpv6({ dscp: 0, ecn: 0, flowLabel: 0, nextHeader: IpProtocol.icmpv6, hopLimit, source, destination, payload });
}

function flagsOf({ router, solicited, override }: NeighborAdvertisement): number {
  return (router ? flag.router : 0) + (solicited ? flag.solicited : 0) + (override ? flag.override : 0);
}

/** The rules of RFC 4861 §7.1.1 and §7.1.2 that bind the fields to each other; the same for both directions. */
function faultOf(packet: NeighborDiscovery): string | undefined {
  if (packet.target.isMulticast) return `has the multicast target ${packet.target}`;
  if (packet.kind === 'advertisement') {
    return packet.solicited && packet.destination.isMulticast ? `answers a solicitation to the group ${packet.destination}` : undefined;
  }
  if (!packet.source.isUnspecified) return undefined;
  if (!packet.destination.isSolicitedNodeMulticast) return `comes from :: but goes to ${packet.destination}, not a solicited-node group`;
  return packet.sourceMac === undefined ? undefined : `comes from :: but tells the source MAC ${packet.sourceMac}`;
}

/** Walks all options, which must be whole; of several link-layer addresses the first counts, as in Linux. */
function readLinkLayerAddress(reader: ByteReader, wanted: number): MacAddress | undefined {
  let mac: MacAddress | undefined;
  while (reader.remaining > 0) {
    const type = reader.u8();
    const length = reader.u8();
    if (length === 0) throw malformed('has an option of length 0');
    const body = reader.take(8 * length - 2);
    if (type !== wanted) continue;
    if (length !== linkLayerOptionLength) throw malformed(`has a link-layer address of ${body.length} bytes, not 6`);
    mac ??= MacAddress.of(body);
  }
  return mac;
}

function malformed(fault: string): DecodeError {
  return new DecodeError('WIRE_MALFORMED', `${what} ${fault}. Drop it.`);
}
