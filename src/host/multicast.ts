/** IP multicast groups of which the host is a member. */
import type { Membership, Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/**
 * The kernel is a member of `group` on `device` until `close`: it reports that by IGMP (RFC 3376) or MLD (RFC 3810), so that snooping
 * switches forward the group, and the device takes in its MAC. Also for groups of the link alone, as 224.0.0.18 and ff02::12. Members
 * may join more than once; the last to close leaves. Throws SystemError (ENODEV), NativeMisuseError for what is no group.
 */
export function joinGroup(
  { native, netns }: { readonly native: Native; readonly netns: Netns }, device: number, group: IpAddress,
): Membership {
  return native.joinGroup(netns, device, group.bytes());
}
