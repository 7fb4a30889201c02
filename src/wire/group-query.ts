/**
 * Whole Ethernet frames that ask a VM's NIC which multicast groups it listens to: general queries of IGMPv3 and MLDv2. Switches
 * that snoop learn a group's port from the reports alone, and a guest reports unasked only when it joins: after a move it must be
 * asked, or the switches go on sending its groups to the port it left until the network's own querier asks, up to 125 s later.
 *
 * The frames go to the NIC's own MAC, not to the group's (RFC 6085 has receivers take that): a guest that is a bridge answers, and
 * does not pass them on to a network where their source could be taken for the querier.
 */
import { encodeEthernet, EtherType } from './ethernet.ts';
import { internetChecksum, pseudoHeaderSum } from './internet-checksum.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from './ip-address.ts';
import { IpProtocol } from './ip-protocol.ts';
import { encodeIpv4 } from './ipv4.ts';
import { encodeIpv6 } from './ipv6.ts';
import type { MacAddress } from './mac-address.ts';

/** IANA's protocol numbers; here alone, for nothing else speaks them. */
const IGMP = 2;
const HOP_BY_HOP = 0;
const allSystems = Ipv4Address.of(Uint8Array.of(224, 0, 0, 1));
/** Precedence "Internetwork Control", RFC 3376 §4. */
const CS6 = 48;
/** Both alike in IGMPv3 and MLDv2, and the defaults of RFC 3376 §8 and RFC 3810 §9: a guest is not to keep other timers after us. */
const ROBUSTNESS = 2;
const QUERY_INTERVAL_SECONDS = 125;

export interface QueriedNic {
  readonly mac: MacAddress;
  readonly addresses: readonly IpAddress[];
}

/** A query for each family that the NIC has an address of. `source`: see mldQueryFrame. */
export function groupQueryFrames({ mac, addresses }: QueriedNic, source: MacAddress): Uint8Array[] {
  const has = (family: 4 | 6): boolean => addresses.some((address) => address.family === family);
  return [...(has(4) ? [igmpQueryFrame(mac, source)] : []), ...(has(6) ? [mldQueryFrame(mac, source)] : [])];
}

/**
 * IGMPv3 general query: RFC 3376 §4.1, with the Router Alert of RFC 2113, from 0.0.0.0 as RFC 4541 §2.1.1 has those ask who are no
 * querier and must not be elected. Max Resp Code 0: at once. Its 12 bytes keep it from being an IGMPv1 query (§7.1); Linux takes
 * 0 for one jiffy and answers within three.
 */
export function igmpQueryFrame(destination: MacAddress, source: MacAddress): Uint8Array {
  const message = Uint8Array.of(0x11, 0, 0, 0, 0, 0, 0, 0, ROBUSTNESS, QUERY_INTERVAL_SECONDS, 0, 0);
  setChecksum(message, internetChecksum(message));
  const payload = encodeIpv4({
    dscp: CS6, ecn: 0, identification: 0, dontFragment: true, moreFragments: false, fragmentOffset: 0, ttl: 1, protocol: IGMP,
    source: Ipv4Address.unspecified, destination: allSystems, options: Uint8Array.of(0x94, 4, 0, 0), payload: message,
  });
  return encodeEthernet({ destination, source, etherType: EtherType.ipv4, payload });
}

/**
 * MLDv2 general query: RFC 3810 §5.1, with the Router Alert of RFC 2711, Maximum Response Code 1 ms.
 * @param source its link-local address asks: receivers drop queries from `::` (RFC 3810 §5.1.14). The lowest address is elected
 *   querier, so a MAC that begins with a high byte, like fe of a tap, does not silence a guest that is one.
 */
export function mldQueryFrame(destination: MacAddress, source: MacAddress): Uint8Array {
  const message = Uint8Array.of(130, 0, 0, 0, 0, 1, 0, 0, ...Ipv6Address.unspecified.bytes(), ROBUSTNESS, QUERY_INTERVAL_SECONDS, 0, 0);
  const [asker, everyone] = [linkLocalAddress(source), Ipv6Address.allNodes];
  setChecksum(message, internetChecksum(message, pseudoHeaderSum(asker, everyone, IpProtocol.icmpv6, message.length)));
  // Router Alert 0, "there is an MLD message within", and PadN to 8 bytes.
  const hopByHop = Uint8Array.of(IpProtocol.icmpv6, 0, 5, 2, 0, 0, 1, 0);
  const payload = encodeIpv6({
    dscp: 0, ecn: 0, flowLabel: 0, nextHeader: HOP_BY_HOP, hopLimit: 1, source: asker, destination: everyone,
    payload: Uint8Array.of(...hopByHop, ...message),
  });
  return encodeEthernet({ destination, source, etherType: EtherType.ipv6, payload });
}

/** fe80::/64 and the modified EUI-64 of the MAC: RFC 2464 §4 and §5. */
function linkLocalAddress(mac: MacAddress): Ipv6Address {
  const [first = 0, ...rest] = mac.bytes();
  return Ipv6Address.of(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, first ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)));
}

/** Where IGMP and ICMPv6 both have it. */
function setChecksum(message: Uint8Array, checksum: number): void {
  new DataView(message.buffer).setUint16(2, checksum);
}
