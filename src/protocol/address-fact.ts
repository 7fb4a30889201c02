/** What a frame says about who has which address: ARP (RFC 826, RFC 5227), neighbour discovery (RFC 4861), DHCP (RFC 2131, RFC 8415). */
import { decodeArp } from '../wire/arp.ts';
import { decodeDhcpv4, decodeDhcpv6 } from '../wire/dhcp.ts';
import { EtherType, type EthernetFrame, decodeEthernet } from '../wire/ethernet.ts';
import { decodeNeighborDiscovery } from '../wire/icmpv6-nd.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { IpProtocol } from '../wire/ip-protocol.ts';
import { decodeIpv4 } from '../wire/ipv4.ts';
import { decodeIpv6 } from '../wire/ipv6.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import { DecodeError } from '../wire/wire.ts';

export type Evidence = 'arp' | 'nd' | 'dhcp';

export interface AddressFact {
  /** `claim`: `mac` has it. `probe`: `mac` asks whether anybody has it, to take it for itself. */
  readonly kind: 'claim' | 'probe';
  readonly address: IpAddress;
  readonly mac: MacAddress;
  readonly evidence: Evidence;
  /**
   * No contradiction to another claim: a lease that a server gives; an advertisement without override flag, as of an anycast address or
   * of a proxy (RFC 4861 §7.2.7, §7.2.8).
   */
  readonly soft: boolean;
}

/** In the frame's order; none of a frame that says nothing about addresses or cannot be read. Never throws. */
export function addressFacts(frame: Uint8Array): readonly AddressFact[] {
  try {
    const ethernet = decodeEthernet(frame);
    if (ethernet.etherType === EtherType.arp) return ofArp(ethernet);
    if (ethernet.etherType === EtherType.ipv4) return ofDhcpv4(ethernet);
    if (ethernet.etherType === EtherType.ipv6) return ofIpv6(ethernet);
    return [];
  } catch (error) {
    if (error instanceof DecodeError) return [];
    throw error;
  }
}

function ofArp({ payload }: EthernetFrame): readonly AddressFact[] {
  const { operation, senderIp, senderMac, targetIp } = decodeArp(payload);
  if (!senderIp.isUnspecified) return [{ kind: 'claim', address: senderIp, mac: senderMac, evidence: 'arp', soft: false }];
  // RFC 5227 §1.1: an ARP Probe.
  return operation === 'request' ? [{ kind: 'probe', address: targetIp, mac: senderMac, evidence: 'arp', soft: false }] : [];
}

function ofDhcpv4({ payload }: EthernetFrame): readonly AddressFact[] {
  const lease = decodeDhcpv4(decodeIpv4(payload));
  if (lease.messageType !== 'ack') return [];
  // RFC 2131 §4.3.5: the answer to an INFORM has no yiaddr, and tells of no lease.
  return lease.yourAddress.isUnspecified ? [] : [{ kind: 'claim', address: lease.yourAddress, mac: lease.clientMac, evidence: 'dhcp', soft: true }];
}

function ofIpv6({ payload, source, destination }: EthernetFrame): readonly AddressFact[] {
  const packet = decodeIpv6(payload);
  if (packet.nextHeader === IpProtocol.udp) {
    return decodeDhcpv6(packet).addresses.map((address) => ({ kind: 'claim', address, mac: destination, evidence: 'dhcp', soft: true }));
  }
  const nd = decodeNeighborDiscovery(payload);
  if (nd.kind === 'advertisement') return [{ kind: 'claim', address: nd.target, mac: nd.targetMac ?? source, evidence: 'nd', soft: !nd.override }];
  if (!nd.source.isUnspecified) return [{ kind: 'claim', address: nd.source, mac: nd.sourceMac ?? source, evidence: 'nd', soft: false }];
  return [{ kind: 'probe', address: nd.target, mac: source, evidence: 'nd', soft: false }];
}
