/** ARP for IPv4 over Ethernet (RFC 826), and the packets that announce and probe an address (RFC 5227, RFC 5944). */
import type { AddressResolution, Opcodes } from './address-resolution.ts';
import { decodeAddressResolution, encodeAddressResolution } from './address-resolution.ts';
import { Ipv4Address } from './ip-address.ts';
import { MacAddress } from './mac-address.ts';

export interface ArpPacket extends AddressResolution {}

const opcodes: Opcodes = { request: 1, reply: 2 };

/**
 * From the payload of a frame of EtherType.arp; padding after the 28 bytes is ignored, and nothing is a view.
 * @throws DecodeError `WIRE_TRUNCATED`, `WIRE_MALFORMED`, or `WIRE_UNSUPPORTED` (other hardware, protocol or opcode)
 */
export function decodeArp(bytes: Uint8Array): ArpPacket {
  return decodeAddressResolution('ARP packet', opcodes, bytes);
}

export function encodeArp(packet: ArpPacket): Uint8Array {
  return encodeAddressResolution('ARP packet', opcodes, packet);
}

/** Who has `targetIp`? Whoever hears it also learns where the sender is (RFC 826, the merge flag). */
export function arpRequest(senderMac: MacAddress, senderIp: Ipv4Address, targetIp: Ipv4Address): ArpPacket {
  return { operation: 'request', senderMac, senderIp, targetMac: MacAddress.zero, targetIp };
}

/** RFC 5227 §2.1.1: asks for an address without claiming one, so it changes nobody's cache. */
export function arpProbe(senderMac: MacAddress, targetIp: Ipv4Address): ArpPacket {
  return arpRequest(senderMac, Ipv4Address.unspecified, targetIp);
}

/** RFC 5227 §3, the request form of gratuitous ARP: the sender asks for its own address. */
export function arpAnnouncement(mac: MacAddress, ip: Ipv4Address): ArpPacket {
  return arpRequest(mac, ip, ip);
}

/**
 * RFC 5944 §4.6, the reply form of gratuitous ARP, for those who ignore the other. Both MAC addresses are the sender's:
 * Linux takes a reply for gratuitous only then (arp_is_garp in net/ipv4/arp.c).
 */
export function gratuitousArpReply(mac: MacAddress, ip: Ipv4Address): ArpPacket {
  return { operation: 'reply', senderMac: mac, senderIp: ip, targetMac: mac, targetIp: ip };
}
