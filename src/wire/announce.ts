/**
 * Whole Ethernet frames that speak for a VM's NIC: those that tell switches and neighbours where it is now, and those that
 * ask whether an address is there. All are to be sent as if from the VM's tap, so that its own bridge learns too.
 */
import type { ArpPacket } from './arp.ts';
import { arpAnnouncement, arpProbe, arpRequest, encodeArp, gratuitousArpReply } from './arp.ts';
import { encodeEthernet, EtherType } from './ethernet.ts';
import { encodeNeighborDiscovery } from './icmpv6-nd.ts';
import type { IpAddress, Ipv4Address } from './ip-address.ts';
import { Ipv6Address, multicastMac, solicitedNodeMulticast } from './ip-address.ts';
import { MacAddress } from './mac-address.ts';
import { encodeRarp, rarpRequest } from './rarp.ts';

export interface AnnouncedNic {
  readonly mac: MacAddress;
  readonly addresses: readonly IpAddress[];
  /** The VM forwards IPv6. Said wrongly, neighbours drop it from their lists of routers (RFC 4861 §7.2.5). Default false. */
  readonly router?: boolean;
}

/** All that announces a NIC or a virtual router, in the order to send: RARP for the switches, then for each address what moves its neighbours. */
export function announcementFrames(nic: AnnouncedNic): Uint8Array[] {
  const perAddress = nic.addresses.map((address) =>
    address.family === 4
      ? [gratuitousArpRequestFrame(nic.mac, address), gratuitousArpReplyFrame(nic.mac, address)]
      : [unsolicitedNaFrame(nic.mac, address, nic.router ?? false)],
  );
  return [rarpFrame(nic.mac), ...perAddress.flat()];
}

/** Gratuitous ARP as a request: RFC 5227 §3. */
export function gratuitousArpRequestFrame(mac: MacAddress, ip: Ipv4Address): Uint8Array {
  return arpFrame(arpAnnouncement(mac, ip));
}

/** Gratuitous ARP as a reply: RFC 5944 §4.6. */
export function gratuitousArpReplyFrame(mac: MacAddress, ip: Ipv4Address): Uint8Array {
  return arpFrame(gratuitousArpReply(mac, ip));
}

/** What QEMU sends after a migration, without its padding. Moves MAC tables, not ARP or ND caches: it names no address. */
export function rarpFrame(mac: MacAddress): Uint8Array {
  const payload = encodeRarp(rarpRequest(mac));
  return encodeEthernet({ destination: MacAddress.broadcast, source: mac, etherType: EtherType.rarp, payload });
}

/**
 * RFC 4861 §7.2.6: to all nodes, from the address itself, S=0, O=1.
 * @throws EncodeError when `ip` is multicast
 */
export function unsolicitedNaFrame(mac: MacAddress, ip: Ipv6Address, router: boolean): Uint8Array {
  const destination = Ipv6Address.allNodes;
  const payload = encodeNeighborDiscovery({
    kind: 'advertisement', source: ip, destination, target: ip, router, solicited: false, override: true, targetMac: mac,
  });
  return encodeEthernet({ destination: multicastMac(destination), source: mac, etherType: EtherType.ipv6, payload });
}

/**
 * Is `target` there? Without a sender the probe of RFC 5227 §2.1.1, which touches nobody's cache: for duplicates. With the
 * VM's own address as sender an ordinary request: for reachability, and the target learns the sender's place.
 */
export function arpProbeFrame(mac: MacAddress, target: Ipv4Address, sender?: Ipv4Address): Uint8Array {
  return arpFrame(sender === undefined ? arpProbe(mac, target) : arpRequest(mac, sender, target));
}

/**
 * Is `target` there? Without a sender from `::`, as in duplicate address detection (RFC 4862 §5.4.2), and the answer goes to
 * all nodes. With the VM's own address as sender an ordinary solicitation (RFC 4861 §7.2.2).
 * @throws EncodeError when `target` is multicast
 */
export function nsProbeFrame(mac: MacAddress, target: Ipv6Address, sender?: Ipv6Address): Uint8Array {
  const destination = solicitedNodeMulticast(target);
  const payload = encodeNeighborDiscovery({
    kind: 'solicitation', source: sender ?? Ipv6Address.unspecified, destination, target, sourceMac: sender && mac,
  });
  return encodeEthernet({ destination: multicastMac(destination), source: mac, etherType: EtherType.ipv6, payload });
}

function arpFrame(packet: ArpPacket): Uint8Array {
  const payload = encodeArp(packet);
  return encodeEthernet({ destination: MacAddress.broadcast, source: packet.senderMac, etherType: EtherType.arp, payload });
}
