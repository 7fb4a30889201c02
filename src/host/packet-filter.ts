/**
 * Programs for PacketSocketOptions.filter, in classic BPF (linux/filter.h, Documentation/networking/filter.rst): each lets whole frames
 * pass and drops the rest. Pure.
 *
 * A frame of a VLAN never passes: the kernel hands it out with its tag taken off, and it would look like one of the link's own network.
 * One of VLAN 0 has a priority and no VLAN (IEEE 802.1Q §9.6): it is of the link's own network.
 */
import type { FilterInstruction } from '../native/native.ts';

// linux/bpf_common.h, linux/filter.h
const LD_W = 0x20;
const LD_H = 0x28;
const LD_B = 0x30;
/** Halfword at X + k. */
const LD_H_IND = 0x48;
/** X = 4 * (byte & 0x0f): the length of an IPv4 header. */
const LDX_MSH = 0xb1;
const JEQ = 0x15;
const JGT = 0x25;
const JGE = 0x35;
const JSET = 0x45;
const RET = 0x06;
/** SKF_AD_OFF + SKF_AD_PKTTYPE, + SKF_AD_VLAN_TAG. */
const PACKET_TYPE = 0xfffff004;
const VLAN_TAG = 0xfffff02c;
/** Of the tag; the rest is priority. */
const VLAN_ID = 0x0fff;

const ETHER_TYPE = 12;
const IP = 14;
const IPV4_FRAGMENT = IP + 6;
const IPV4_PROTOCOL = IP + 9;
const IPV6_NEXT_HEADER = IP + 6;
const IPV6_PAYLOAD = IP + 40;

const ARP = 0x0806;
const RARP = 0x8035;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const UDP = 17;
const ICMPV6 = 58;
const ROUTER_SOLICITATION = 133;
const NEIGHBOUR_ADVERTISEMENT = 136;
const PACKET_HOST = 0;
const PACKET_MULTICAST = 2;

/** Where to go: the name of a label, or on to the next line. */
type Target = string;
type Line =
  | { readonly label: string }
  | { readonly code: number; readonly k: number; readonly yes?: Target; readonly no?: Target };

const label = (name: string): Line => ({ label: name });
const load = (code: number, k: number): Line => ({ code, k });
/** Goes to `yes` where the comparison of A with `k` holds, else to `no`; without one of them, on. */
const jump = (code: number, k: number, yes?: Target, no?: Target): Line =>
  ({ code, k, ...(yes !== undefined && { yes }), ...(no !== undefined && { no }) });

/** Adds the two ends, `pass` and `drop`, and turns labels into distances. */
function assemble(lines: readonly Line[]): FilterInstruction[] {
  const whole: Line[] = [...lines, label('pass'), load(RET, 0xffffffff), label('drop'), load(RET, 0)];
  const places = new Map<string, number>();
  let count = 0;
  for (const line of whole) {
    if ('label' in line) places.set(line.label, count);
    else count++;
  }
  let at = 0;
  const distance = (target: Target | undefined): number => (target === undefined ? 0 : (places.get(target) ?? 0) - at);
  return whole.flatMap((line) => {
    if ('label' in line) return [];
    at++; // jumps count from the next instruction
    return [{ code: line.code, jt: distance(line.yes), jf: distance(line.no), k: line.k }];
  });
}

const untagged: readonly Line[] = [load(LD_W, VLAN_TAG), jump(JSET, VLAN_ID, 'drop')];

/**
 * Packets of an IP protocol right after the IP header, addressed to this host or to a group: not what is another host's, and not what
 * this host sends. IPv4 fragments pass too; for VRRP (protocol 112) that is for its decoder to count.
 */
export function ipProtocolFilter({ family, protocol }: { readonly family: 4 | 6; readonly protocol: number }): FilterInstruction[] {
  return assemble([
    ...untagged,
    load(LD_W, PACKET_TYPE), jump(JGT, PACKET_MULTICAST, 'drop'),
    load(LD_H, ETHER_TYPE), jump(JEQ, family === 4 ? IPV4 : IPV6, undefined, 'drop'),
    load(LD_B, family === 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER), jump(JEQ, protocol, 'pass', 'drop'),
  ]);
}

/** UDP datagrams to a port, addressed to this host's MAC alone; no fragments, no IPv6 with extension headers. */
export function udpPortFilter({ family, port }: { readonly family: 4 | 6; readonly port: number }): FilterInstruction[] {
  return assemble([
    ...untagged,
    load(LD_W, PACKET_TYPE), jump(JEQ, PACKET_HOST, undefined, 'drop'),
    load(LD_H, ETHER_TYPE), jump(JEQ, family === 4 ? IPV4 : IPV6, undefined, 'drop'),
    load(LD_B, family === 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER), jump(JEQ, UDP, undefined, 'drop'),
    ...(family === 4
      ? [load(LD_H, IPV4_FRAGMENT), jump(JSET, 0x3fff, 'drop'), load(LDX_MSH, IP), load(LD_H_IND, IP + 2)]
      : [load(LD_H, IPV6_PAYLOAD + 2)]),
    jump(JEQ, port, 'pass', 'drop'),
  ]);
}

/**
 * What neighbours tell each other, in both directions: ARP, RARP, ICMPv6 router and neighbour solicitations and advertisements
 * (133..136, RFC 4861 §4), DHCP (UDP 67, 68) and DHCPv6 (UDP 546, 547).
 */
export function neighbourTalkFilter(): FilterInstruction[] {
  return assemble([
    ...untagged,
    load(LD_H, ETHER_TYPE), jump(JEQ, ARP, 'pass'), jump(JEQ, RARP, 'pass'), jump(JEQ, IPV4, 'ipv4'), jump(JEQ, IPV6, undefined, 'drop'),
    load(LD_B, IPV6_NEXT_HEADER), jump(JEQ, UDP, 'udp6'), jump(JEQ, ICMPV6, undefined, 'drop'),
    load(LD_B, IPV6_PAYLOAD), jump(JGE, ROUTER_SOLICITATION, undefined, 'drop'), jump(JGT, NEIGHBOUR_ADVERTISEMENT, 'drop', 'pass'),
    label('udp6'),
    ...eitherPort([load(LD_H, IPV6_PAYLOAD)], [load(LD_H, IPV6_PAYLOAD + 2)], 546, 547),
    label('ipv4'),
    load(LD_B, IPV4_PROTOCOL), jump(JEQ, UDP, undefined, 'drop'),
    // A later fragment has no ports.
    load(LD_H, IPV4_FRAGMENT), jump(JSET, 0x1fff, 'drop'),
    load(LDX_MSH, IP),
    ...eitherPort([load(LD_H_IND, IP)], [load(LD_H_IND, IP + 2)], 67, 68),
  ]);
}

const eitherPort = (source: readonly Line[], destination: readonly Line[], one: number, other: number): Line[] => [
  ...source, jump(JEQ, one, 'pass'), jump(JEQ, other, 'pass'),
  ...destination, jump(JEQ, one, 'pass'), jump(JEQ, other, 'pass', 'drop'),
];

/** ARP alone. Answers to a virtual MAC pass also on the parent of its macvlan, where they are another host's (socket of ETH_P_ALL). */
export function arpFilter(): FilterInstruction[] {
  return assemble([...untagged, load(LD_H, ETHER_TYPE), jump(JEQ, ARP, 'pass', 'drop')]);
}

/** Neighbour advertisements alone (ICMPv6 136); see `arpFilter`. */
export function neighbourAdvertisementFilter(): FilterInstruction[] {
  return assemble([
    ...untagged,
    load(LD_H, ETHER_TYPE), jump(JEQ, IPV6, undefined, 'drop'),
    load(LD_B, IPV6_NEXT_HEADER), jump(JEQ, ICMPV6, undefined, 'drop'),
    load(LD_B, IPV6_PAYLOAD), jump(JEQ, NEIGHBOUR_ADVERTISEMENT, 'pass', 'drop'),
  ]);
}
