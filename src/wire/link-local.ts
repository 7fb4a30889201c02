/** The IPv6 link-local address that follows from a MAC (RFC 4291 §2.5.1, appendix A; RFC 2464 §5), and whose addresses are whose by it. */
import { type IpAddress, Ipv6Address } from './ip-address.ts';
import type { MacAddress } from './mac-address.ts';

/** fe80::/64 with the modified EUI-64 of `mac`. A guest with stable or temporary identifiers (RFC 7217, RFC 8981) has another. */
export function linkLocalOf(mac: MacAddress): Ipv6Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.bytes();
  return Ipv6Address.of(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}

/** Whether a guarded NIC may say that `mac` has `address`. */
export function permitted(nic: { readonly mac: MacAddress; readonly addresses: readonly IpAddress[] }, mac: MacAddress, address: IpAddress): boolean {
  return nic.mac.equals(mac) && (nic.addresses.some((own) => own.equals(address)) || linkLocalOf(mac).equals(address));
}
