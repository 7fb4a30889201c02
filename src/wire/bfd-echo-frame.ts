/**
 * BFD echoes on the wire: RFC 5881 §4. They go to the neighbour's MAC and to an IP address of their own sender, so that the neighbour
 * forwards them back like any packet, or loops them where it does not forward.
 *
 * Source and destination are the same address. The RFC would have a source outside of the subnet, against ICMP redirects; no host has
 * one to spare, FRR does it like this too, and a redirect to oneself is ignored.
 */
import { BFD_TTL, bfdPort } from './bfd.ts';
import { ByteReader, ByteWriter } from './cursor.ts';
import { decodeEthernet, encodeEthernet, EtherType } from './ethernet.ts';
import { internetChecksum, pseudoHeaderSum } from './internet-checksum.ts';
import type { IpAddress } from './ip-address.ts';
import { IpProtocol } from './ip-protocol.ts';
import { decodeIpv4, encodeIpv4 } from './ipv4.ts';
import { decodeIpv6, encodeIpv6 } from './ipv6.ts';
import type { MacAddress } from './mac-address.ts';
import { DecodeError, EncodeError } from './wire.ts';

const UDP_HEADER = 8;
const CHECKSUM = 6;
/** In a frame, and in the IP header. */
const ETHER_TYPE = 12;
const IP = 14;
const IPV4_TTL = 8;
const IPV4_CHECKSUM = 10;
const IPV6_HOP_LIMIT = 7;
/** Network control, as BFD's other packets. */
const CS6 = 48;

export interface BfdEchoFrame {
  readonly sourceMac: MacAddress;
  readonly destinationMac: MacAddress;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** IPv6: hop limit. */
  readonly ttl: number;
  /** What is in the datagram. */
  readonly payload: Uint8Array;
}

/** @param address its sender's, where it is to come back to */
export function echoFrame(address: IpAddress, macs: { readonly own: MacAddress; readonly peer: MacAddress }, payload: Uint8Array): Uint8Array {
  return encodeEcho({ sourceMac: macs.own, destinationMac: macs.peer, source: address, destination: address, ttl: BFD_TTL, payload });
}

/**
 * A frame that `decodeEchoFrame` reads, on its way back. Its TTL is one less, as if it had been forwarded: who loops what has TTL 255
 * alone never loops it twice.
 */
export function loopedEcho(frame: Uint8Array): Uint8Array {
  const back = frame.slice();
  back.set(frame.subarray(6, 12), 0);
  back.set(frame.subarray(0, 6), 6);
  const view = new DataView(back.buffer);
  if (view.getUint16(ETHER_TYPE) === EtherType.ipv6) {
    back[IP + IPV6_HOP_LIMIT] = (back[IP + IPV6_HOP_LIMIT] ?? 0) - 1;
    return back;
  }
  back[IP + IPV4_TTL] = (back[IP + IPV4_TTL] ?? 0) - 1;
  view.setUint16(IP + IPV4_CHECKSUM, 0);
  const headerLength = (back[IP] ?? 0) % 16 * 4;
  view.setUint16(IP + IPV4_CHECKSUM, internetChecksum(back.subarray(IP, IP + headerLength)));
  return back;
}

/** From a frame as it came in; undefined for what is no datagram to the echo port, or damaged. Never throws, whatever the bytes. */
export function decodeEchoFrame(frame: Uint8Array): BfdEchoFrame | undefined {
  try {
    const { source: sourceMac, destination: destinationMac, etherType, payload: packet } = decodeEthernet(frame);
    const ip = etherType === EtherType.ipv4 ? fromIpv4(packet) : etherType === EtherType.ipv6 ? fromIpv6(packet) : undefined;
    if (!ip) return undefined;
    const { source, destination, ttl, datagram } = ip;
    const reader = new ByteReader('UDP datagram', datagram);
    reader.u16();
    if (reader.u16() !== bfdPort.echo) return undefined;
    const length = reader.u16();
    const checksum = reader.u16();
    if (length < UDP_HEADER || length > datagram.length) return undefined;
    const whole = datagram.subarray(0, length);
    // Over IPv4 there may be none (RFC 768); over IPv6 there has to be one (RFC 8200 §8.1).
    const unsummed = checksum === 0 && source.family === 4;
    if (!unsummed && internetChecksum(whole, pseudoHeaderSum(source, destination, IpProtocol.udp, length)) !== 0) return undefined;
    return { sourceMac, destinationMac, source, destination, ttl, payload: whole.subarray(UDP_HEADER) };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return undefined;
  }
}

type Inside = Pick<BfdEchoFrame, 'source' | 'destination' | 'ttl'> & { readonly datagram: Uint8Array };

function fromIpv4(packet: Uint8Array): Inside | undefined {
  const { protocol, moreFragments, fragmentOffset, source, destination, ttl, payload: datagram } = decodeIpv4(packet);
  return protocol === IpProtocol.udp && !moreFragments && fragmentOffset === 0 ? { source, destination, ttl, datagram } : undefined;
}

function fromIpv6(packet: Uint8Array): Inside | undefined {
  const { nextHeader, source, destination, hopLimit: ttl, payload: datagram } = decodeIpv6(packet);
  return nextHeader === IpProtocol.udp ? { source, destination, ttl, datagram } : undefined;
}

function encodeEcho({ sourceMac, destinationMac, source, destination, ttl, payload }: BfdEchoFrame): Uint8Array {
  const ethernet = { destination: destinationMac, source: sourceMac };
  const datagram = udp(source, destination, payload);
  if (source.family === 4 && destination.family === 4) {
    const packet = encodeIpv4({
      dscp: CS6, ecn: 0, identification: 0, dontFragment: true, moreFragments: false, fragmentOffset: 0, ttl,
      protocol: IpProtocol.udp, source, destination, options: new Uint8Array(0), payload: datagram,
    });
    return encodeEthernet({ ...ethernet, etherType: EtherType.ipv4, payload: packet });
  }
  if (source.family === 6 && destination.family === 6) {
    const packet = encodeIpv6({
      dscp: CS6, ecn: 0, flowLabel: 0, nextHeader: IpProtocol.udp, hopLimit: ttl, source, destination, payload: datagram,
    });
    return encodeEthernet({ ...ethernet, etherType: EtherType.ipv6, payload: packet });
  }
  throw new EncodeError(`BFD echo: ${source} and ${destination} are not of one family. Use addresses of one family.`);
}

/** From the echo port to the echo port. */
function udp(source: IpAddress, destination: IpAddress, payload: Uint8Array): Uint8Array {
  const length = UDP_HEADER + payload.length;
  const writer = new ByteWriter('UDP datagram', length);
  writer.u16('source port', bfdPort.echo);
  writer.u16('destination port', bfdPort.echo);
  writer.u16('length', length);
  writer.u16('checksum', 0);
  writer.bytes(payload);
  const out = writer.finish();
  const sum = internetChecksum(out, pseudoHeaderSum(source, destination, IpProtocol.udp, length));
  // 0 says that there is none (RFC 768).
  new DataView(out.buffer, out.byteOffset).setUint16(CHECKSUM, sum === 0 ? 0xffff : sum);
  return out;
}
