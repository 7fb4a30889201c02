/** RARP for IPv4 over Ethernet (RFC 903). Nobody asks for addresses by it today: it moves MAC tables when a VM has moved. */
import type { AddressResolution, Opcodes } from './address-resolution.ts';
import { decodeAddressResolution, encodeAddressResolution } from './address-resolution.ts';
import { Ipv4Address } from './ip-address.ts';
import type { MacAddress } from './mac-address.ts';

export interface RarpPacket extends AddressResolution {}

const opcodes: Opcodes = { request: 3, reply: 4 };

/**
 * From the payload of a frame of EtherType.rarp; padding after the 28 bytes is ignored, and nothing is a view.
 * @throws DecodeError `WIRE_TRUNCATED`, `WIRE_MALFORMED`, or `WIRE_UNSUPPORTED` (other hardware, protocol or opcode)
 */
export function decodeRarp(bytes: Uint8Array): RarpPacket {
  return decodeAddressResolution('RARP packet', opcodes, bytes);
}

export function encodeRarp(packet: RarpPacket): Uint8Array {
  return encodeAddressResolution('RARP packet', opcodes, packet);
}

/** Which address have I? The same packet as QEMU's self-announcement (net/announce.c): both MACs the sender's, no address. */
export function rarpRequest(mac: MacAddress): RarpPacket {
  return { operation: 'request', senderMac: mac, senderIp: Ipv4Address.unspecified, targetMac: mac, targetIp: Ipv4Address.unspecified };
}
