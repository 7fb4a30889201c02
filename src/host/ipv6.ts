/** IPv6 of the host itself on a device that is only a guest's: off. */
import { GodwitError } from '../base/error.ts';
import type { Native, Netns } from '../native/native.ts';
import { writeSysctl } from './sysctl.ts';

/**
 * No frame of the host's own leaves `device` then: no DAD, no MLD. Without an address alone, a host that forwards IPv6 still
 * joins ff02::2 and reports that by MLD (net/ipv6/mcast.c), down the tunnel and into the other host's tap. To be called while the
 * device is down. A kernel without IPv6 is fine. Throws GodwitError HOST_IPV6_STAYS_ON.
 */
export function disableIpv6(native: Native, netns: Netns, device: string): void {
  try {
    writeSysctl({ native, netns }, `ipv6/conf/${device}/disable_ipv6`, 1);
  } catch (error) {
    throw new GodwitError('HOST_IPV6_STAYS_ON', `IPv6 cannot be turned off on ${device}: make /proc/sys/net writable`, { cause: error });
  }
}
