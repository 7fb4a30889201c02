/**
 * The tunnel of one NIC in one move: a point-to-point VXLAN device (RFC 7348) of its own, so that its counters count
 * nothing but that NIC's redirected frames.
 */
import type { Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { disableIpv6 } from './ipv6.ts';
import type { Link, Links } from './link.ts';
import { type Attribute, u16be, u32, u8 } from './netlink-message.ts';

const VXLAN = { id: 1, group: 2, local: 4, learning: 7, port: 15, group6: 16, local6: 17 } as const;

/** Godwit's own port, beside 4789, so that no VXLAN of the host's shares a socket with ours. */
export const TUNNEL_PORT = 4790;

/** Bytes that VXLAN adds to an IP packet of the inner network: Ethernet 14, VXLAN 8, UDP 8, and the outer IP header. */
export const tunnelOverhead = (outer: IpAddress): number => 14 + 8 + 8 + (outer.family === 4 ? 20 : 40);

/**
 * GSO frames are segmented before they enter the tunnel, so that its packet counter counts frames as they are on the wire.
 * The device's limit of one segment sees to that, but for a frame from another guest of the host, whose number of segments the
 * kernel does not know (SKB_GSO_DODGY): there the length decides. Kernels since 6.8 refuse less than MAX_TCP_HEADER + 1,
 * which is 385 at most. A GSO frame this short has an MSS below 346 bytes.
 */
const SEGMENT_ABOVE = 400;

export interface Tunnel {
  readonly name: string;
  /** 24 bits; unique among the moves of both hosts. */
  readonly vni: number;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  /**
   * Of the inner network. Where the path between the hosts is narrower, outer IPv4 fragments; outer IPv6 does not: the tunnel
   * drops the frame and counts a transmit error.
   */
  readonly mtu: number;
}

/** IFLA_VXLAN_* of the device (linux/if_link.h). */
export function tunnelAttributes(tunnel: Pick<Tunnel, 'vni' | 'local' | 'remote'>): Attribute[] {
  const v4 = tunnel.remote.family === 4;
  return [
    [VXLAN.id, u32(tunnel.vni)],
    [v4 ? VXLAN.group : VXLAN.group6, tunnel.remote.bytes()],
    [v4 ? VXLAN.local : VXLAN.local6, tunnel.local.bytes()],
    [VXLAN.learning, u8(0)],
    [VXLAN.port, u16be(TUNNEL_PORT)],
  ];
}

interface Parts {
  readonly native: Native;
  readonly netns: Netns;
  readonly links: Links;
}

/** Makes the device, up. Throws KernelRefused EEXIST where the name, or the VNI, is taken. */
export function createTunnel({ native, netns, links }: Parts, tunnel: Tunnel): Link {
  const link = links.create(tunnel.name, 'vxlan', tunnelAttributes(tunnel), { mtu: tunnel.mtu, gsoMaxSize: SEGMENT_ABOVE });
  try {
    disableIpv6(native, netns, tunnel.name);
    links.set(link.index, { up: true });
    return links.get(tunnel.name);
  } catch (error) {
    links.delete(link.index);
    throw error;
  }
}
