/** The Internet checksum of RFC 1071, and the pseudo-headers that TCP, UDP, ICMPv6 and VRRP put in front of it. */
import type { IpAddress } from './ip-address.ts';

/** The 16-bit words of `bytes` added to `initial`, carries not yet folded in; an odd last byte counts as a high byte. */
export function wordSum(bytes: Uint8Array, initial = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const even = bytes.length & ~1;
  let sum = initial;
  for (let i = 0; i < even; i += 2) sum += view.getUint16(i);
  return even < bytes.length ? sum + view.getUint8(even) * 256 : sum;
}

/**
 * RFC 1071 §1: the one's complement of the one's complement sum, 0..0xffff. Over bytes whose checksum field is 0 it is the
 * value for that field; over bytes that carry their checksum it is 0 exactly when they are intact.
 * @param initial a wordSum of what goes before, like a pseudo-header.
 */
export function internetChecksum(bytes: Uint8Array, initial = 0): number {
  let sum = wordSum(bytes, initial);
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
  return 0xffff - sum;
}

/**
 * The wordSum of the pseudo-header of RFC 8200 §8.1 (IPv6) or RFC 9293 §3.1 (IPv4): they order the same words differently,
 * and a sum has no order.
 * @param length bytes of the upper-layer packet, its own header included.
 */
export function pseudoHeaderSum(source: IpAddress, destination: IpAddress, protocol: number, length: number): number {
  const addresses = wordSum(destination.bytes(), wordSum(source.bytes()));
  return addresses + protocol + (length >>> 16) + (length & 0xffff);
}
