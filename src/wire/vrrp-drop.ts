/** Why a VRRP advert is not acted on: what a receiver counts it by, with the section that says so. */

/**
 * A row per reason, for people. Sections are RFC 9568's, of version 2 RFC 3768's. A frame is judged in about this order, so a packet that
 * breaks several rules counts for the first.
 */
export const vrrpDropReasons = {
  ip: 'not a whole, undamaged IP packet (RFC 791 §3.1, RFC 8200 §3)',
  fragment: 'a fragment of an IP packet; adverts fit into one (RFC 791 §3.2)',
  options: 'IPv4 options, or IPv6 headers between the fixed one and the advert; nobody sends them, so they are not read (§5.1)',
  protocol: 'not IP protocol 112 (§5.1.1.4, §5.1.2.4)',
  truncated: 'ends within the 8 fixed bytes (§7.1, RFC 3768 §7.1)',
  vrid: 'of a virtual router that this host has no part in (§7.1, RFC 3768 §7.1)',
  source: 'from an address that cannot be: IPv6 not link-local (§5.1.2.1), no unicast address (§5.1.1.1), with unicast none of the peers',
  destination: 'to another address than VRRP\'s group (§5.1.1.2, §5.1.2.2), or with unicast to that group',
  ttl: 'TTL or hop limit below 255, so it was routed here (§5.1.1.3, §5.1.2.3); below `minTtl` where that is lower',
  version: 'of another VRRP version than this router speaks (§5.2.1, RFC 3768 §5.3.1)',
  type: 'of a type other than 1, advertisement (§5.2.2, RFC 3768 §5.3.2)',
  authentication: 'with a password: version 2 knows none since RFC 3768 (RFC 3768 §5.3.6)',
  count: 'lists no address (§5.2.5)',
  length: 'shorter or longer than its number of addresses makes it (§7.1); OpenBSD\'s CARP, which uses VRRP\'s protocol number, ends here',
  checksum: 'damaged on the way (§5.2.8, RFC 3768 §5.3.8)',
  interval: 'says that it will be sent again after no time (§7.1 with erratum 8301)',
} as const;

export type VrrpDropReason = keyof typeof vrrpDropReasons;

export interface VrrpDrop {
  readonly kind: 'drop';
  readonly reason: VrrpDropReason;
  /** Where it was read: a damaged one may say any. */
  readonly vrid?: number;
  /** What was found, in a few words: `TTL 64, wanted 255`. */
  readonly found: string;
}

export function drop(reason: VrrpDropReason, found: string, vrid?: number): VrrpDrop {
  return { kind: 'drop', reason, found, ...(vrid === undefined ? {} : { vrid }) };
}
