/** IP addresses as netlink carries them. */
import { type IpAddress, Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';

// linux/socket.h
export const AF_INET = 2;
export const AF_INET6 = 10;

export const familyOf = (address: IpAddress): number => (address.family === 4 ? AF_INET : AF_INET6);

/** By its length, 4 or 16 bytes; undefined for anything else, also for no bytes at all. */
export function addressOf(bytes: Uint8Array | undefined): IpAddress | undefined {
  if (bytes?.length === 4) return Ipv4Address.of(bytes);
  return bytes?.length === 16 ? Ipv6Address.of(bytes) : undefined;
}

/** The address of which all bytes are 0: what a default route is to. */
export const unspecifiedOf = (family: number): IpAddress => (family === AF_INET ? Ipv4Address.unspecified : Ipv6Address.unspecified);
