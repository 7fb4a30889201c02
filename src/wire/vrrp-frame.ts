/** VRRP adverts as whole Ethernet frames: RFC 9568 §5.1 and §7.2, RFC 3768 §5.2 and §7.2. */
import { decodeEthernet, encodeEthernet, EtherType } from './ethernet.ts';
import { type IpAddress, multicastMac } from './ip-address.ts';
import { IpProtocol } from './ip-protocol.ts';
import { decodeIpv4, encodeIpv4 } from './ipv4.ts';
import { decodeIpv6, encodeIpv6 } from './ipv6.ts';
import type { MacAddress } from './mac-address.ts';
import type { VrrpAdvert, VrrpDialect, VrrpExpectations, VrrpMessage, VrrpPacket } from './vrrp.ts';
import { decodeVrrp, encodeVrrp, vrrpGroup } from './vrrp.ts';
import { type VrrpDrop, drop } from './vrrp-drop.ts';
import { DecodeError, EncodeError } from './wire.ts';

/** Network control, RFC 4594 §3.1: adverts go before what they are there to protect. */
const CS6 = 48;
/** Of every advert, also to peers behind routers: what is left of it tells them how far it came. */
const TTL = 255;

export interface VrrpFrame {
  readonly message: VrrpMessage;
  readonly checksum: VrrpDialect;
  /** The virtual router's MAC (§7.2), or the interface's own where there is no virtual one. */
  readonly sourceMac: MacAddress;
  readonly source: IpAddress;
  /** Unicast: the peer and the MAC of the next hop to it. Absent: VRRP's group. */
  readonly to?: { readonly address: IpAddress; readonly mac: MacAddress };
}

/**
 * With TTL 255, CS6 and, over IPv4, Don't Fragment.
 * @throws EncodeError as encodeVrrp does, and for a list of addresses that is too long for any IP packet
 */
export function vrrpFrame({ message, checksum, sourceMac, source, to }: VrrpFrame): Uint8Array {
  const group = vrrpGroup[source.family];
  const destination = to?.address ?? group;
  const payload = encodeVrrp(message, { source, destination }, checksum);
  const ethernet = { destination: to?.mac ?? multicastMac(group), source: sourceMac };
  if (source.family === 4 && destination.family === 4) {
    const packet = encodeIpv4({
      dscp: CS6, ecn: 0, identification: 0, dontFragment: true, moreFragments: false, fragmentOffset: 0, ttl: TTL,
      protocol: IpProtocol.vrrp, source, destination, options: new Uint8Array(0), payload,
    });
    return encodeEthernet({ ...ethernet, etherType: EtherType.ipv4, payload: packet });
  }
  if (source.family === 6 && destination.family === 6) {
    const packet = encodeIpv6({
      dscp: CS6, ecn: 0, flowLabel: 0, nextHeader: IpProtocol.vrrp, hopLimit: TTL, source, destination, payload,
    });
    return encodeEthernet({ ...ethernet, etherType: EtherType.ipv6, payload: packet });
  }
  throw new EncodeError(`VRRP advert: ${destination} is not of the family of its source ${source}. Use addresses of one family.`);
}

export interface HeardVrrp {
  readonly kind: 'advert';
  readonly advert: VrrpAdvert;
  readonly sourceMac: MacAddress;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly ttl: number;
}

/** From a frame as it came in, Ethernet's padding included. Never throws, whatever the bytes. */
export function decodeVrrpFrame(frame: Uint8Array, expectations: VrrpExpectations): HeardVrrp | VrrpDrop {
  try {
    const { source: sourceMac, etherType, payload } = decodeEthernet(frame);
    const packet = packetOf(etherType, payload);
    if ('kind' in packet) return packet;
    const decoded = decodeVrrp(packet, expectations);
    if (decoded.kind === 'drop') return decoded;
    const { source, destination, ttl } = packet;
    return { ...decoded, sourceMac, source, destination, ttl };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return drop('ip', error.message);
  }
}

/** @throws DecodeError */
function packetOf(etherType: number, bytes: Uint8Array): VrrpPacket | VrrpDrop {
  if (etherType === EtherType.ipv4) {
    const { protocol, moreFragments, fragmentOffset, options, source, destination, ttl, payload } = decodeIpv4(bytes);
    if (protocol !== IpProtocol.vrrp) return drop('protocol', `protocol ${protocol}`);
    if (moreFragments || fragmentOffset !== 0) return drop('fragment', `fragment at ${8 * fragmentOffset}`);
    return options.length > 0 ? drop('options', `${options.length} bytes of options`) : { source, destination, ttl, payload };
  }
  if (etherType === EtherType.ipv6) {
    const { nextHeader, source, destination, hopLimit, payload } = decodeIpv6(bytes);
    if (nextHeader === IpProtocol.vrrp) return { source, destination, ttl: hopLimit, payload };
    if (nextHeader === fragmentHeader) return drop('fragment', 'a fragment header');
    if (extensionHeaders.has(nextHeader)) return drop('options', `extension header ${nextHeader}`);
    return drop('protocol', `next header ${nextHeader}`);
  }
  return drop('protocol', `EtherType 0x${etherType.toString(16)}`);
}

const fragmentHeader = 44;
/** RFC 8200 §4: hop-by-hop, routing, AH, destination options. */
const extensionHeaders = new Set([0, 43, 51, 60]);
