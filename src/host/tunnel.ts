/**
 * The tunnel of one NIC in one move: a point-to-point VXLAN device (RFC 7348) of its own, so that its counters count
 * nothing but that NIC's redirected frames.
 */
import type { IpAddress } from '../wire/ip-address.ts';
import type { Link, Links } from './link.ts';
import { type Attribute, u16be, u32, u8 } from './netlink-message.ts';

const VXLAN = { id: 1, group: 2, local: 4, learning: 7, port: 15, group6: 16, local6: 17 } as const;

/** Godwit's own port, beside 4789, so that no VXLAN of the host's shares a socket with ours. */
export const TUNNEL_PORT = 4790;

/** Bytes that VXLAN adds to an IP packet of the inner network: Ethernet 14, VXLAN 8, UDP 8, and the outer IP header. */
export const tunnelOverhead = (outer: IpAddress): number => 14 + 8 + 8 + (outer.family === 4 ? 20 : 40);

/**
 * A GSO frame is longer than this, always: so every one is segmented before it enters the tunnel, and the tunnel's packet
 * counter counts frames as they are on the wire.
 */
const SEGMENT_ABOVE = 1000;

export interface Tunnel {
  readonly name: string;
  /** 24 bits; unique among the moves of both hosts. */
  readonly vni: number;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  /** Of the inner network. Outer IPv4 fragments where the path between the hosts is narrower. */
  readonly mtu: number;
}

/** Makes the device, up. Throws KernelRefused EEXIST where the name, or the VNI, is taken. */
export function createTunnel(links: Links, tunnel: Tunnel): Link {
  const v4 = tunnel.remote.family === 4;
  const data: Attribute[] = [
    [VXLAN.id, u32(tunnel.vni)],
    [v4 ? VXLAN.group : VXLAN.group6, tunnel.remote.bytes()],
    [v4 ? VXLAN.local : VXLAN.local6, tunnel.local.bytes()],
    [VXLAN.learning, u8(0)],
    [VXLAN.port, u16be(TUNNEL_PORT)],
  ];
  const link = links.create(tunnel.name, 'vxlan', data, { mtu: tunnel.mtu, gsoMaxSize: SEGMENT_ABOVE });
  try {
    links.set(link.index, { noIpv6Address: true, up: true });
    return links.get(tunnel.name);
  } catch (error) {
    links.delete(link.index);
    throw error;
  }
}
