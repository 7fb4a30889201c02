/**
 * A routed network's place on one host: a bridge without an uplink, which is its VMs' router. They see nothing of each other but
 * through it, also on the same host: for whatever address of their subnet they ask, its MAC answers (RFC 1027, RFC 4389 §4). So
 * nothing that a VM knows of its neighbours becomes false when one of them moves, or it does itself.
 */
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import type { Native, Netns } from '../native/native.ts';
import type { Addresses } from './address.ts';
import type { Link, Links } from './link.ts';
import { ensureMade, markOf } from './made-link.ts';
import type { Neighbours } from './neighbour.ts';
import { ifThere } from './netlink.ts';
import { u8 } from './netlink-message.ts';
import { ROUTE_PROTOCOL, type Routes } from './route.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';

export interface RoutedNetwork {
  readonly name: string;
  readonly bridge: string;
  readonly mtu: number;
  /** Of the bridge, on every host. */
  readonly mac: MacAddress;
  readonly gateways: readonly IpAddress[];
  /** IPv6 addresses of its VMs, wherever they are: the kernel answers only for those that it is told. */
  readonly answerFor: readonly IpAddress[];
}

interface Parts {
  readonly native: Native;
  readonly netns: Netns;
  readonly links: Links;
  readonly addresses: Addresses;
  readonly neighbours: Neighbours;
}

/** IFLA_BR_MCAST_SNOOPING: solicitations for an address that is elsewhere go to a group that the bridge alone has joined. */
const IFLA_BR_MCAST_SNOOPING = 23;

/** Makes it, or corrects what is there. Throws DeviceTaken, KernelRefused, SysctlError. */
export function ensureRoutedNetwork(host: Parts, network: RoutedNetwork): Link {
  const { links } = host;
  const bridge = ensureMade(links, network.bridge, network.name, markOf(network.name, 'routed'), () =>
    links.create(network.bridge, 'bridge', [[IFLA_BR_MCAST_SNOOPING, u8(0)]], { address: network.mac, mtu: network.mtu }));
  const changed = Buffer.compare(bridge.address, network.mac.bytes()) !== 0 || bridge.mtu !== network.mtu;
  if (changed) links.set(bridge.index, { address: network.mac, mtu: network.mtu });
  settings(host, network.bridge);
  if (!bridge.up) links.set(bridge.index, { up: true });
  gateways(host, bridge.index, network.gateways);
  answers(host, bridge.index, network.answerFor);
  return bridge;
}

function settings(host: Parts, bridge: string): void {
  for (const [setting, value] of [
    // Forwarding first: it resets others to what suits a router.
    [`ipv4/conf/${bridge}/forwarding`, 1], [`ipv6/conf/${bridge}/forwarding`, 1], [`ipv6/conf/${bridge}/accept_ra`, 0],
    [`ipv4/conf/${bridge}/proxy_arp`, 1], [`ipv4/conf/${bridge}/proxy_arp_pvlan`, 1], [`ipv6/conf/${bridge}/proxy_ndp`, 1],
    // Without, the answers for others wait up to 0.8 s, so that those might answer first.
    [`ipv4/neigh/${bridge}/proxy_delay`, 0], [`ipv6/neigh/${bridge}/proxy_delay`, 0],
    [`ipv4/conf/${bridge}/send_redirects`, 0],
    // A link-local address the same on every host, and nobody to have a duplicate of it.
    [`ipv6/conf/${bridge}/accept_dad`, 0],
  ] as const) {
    if (readSysctl(host, setting) !== String(value)) writeSysctl(host, setting, value);
  }
}

/** Each alone, without a route to its subnet: which of its addresses are here, the host routes say. */
function gateways({ addresses }: Parts, device: number, wanted: readonly IpAddress[]): void {
  const there = addresses.list(device).filter(({ protocol }) => protocol === ROUTE_PROTOCOL);
  for (const { address, prefixLength } of there) if (!wanted.some((gateway) => gateway.equals(address))) addresses.remove(device, address, prefixLength);
  for (const gateway of wanted) {
    if (!there.some(({ address }) => address.equals(gateway))) addresses.add(device, gateway, bits(gateway), { protocol: ROUTE_PROTOCOL, noPrefixRoute: true });
  }
}

function answers({ neighbours }: Parts, device: number, wanted: readonly IpAddress[]): void {
  const keys = new Set(wanted.filter(({ family }) => family === 6).map(String));
  const there = neighbours.proxies(device).filter(({ address }) => address.family === 6);
  for (const { address } of there) if (!keys.delete(address.toString())) neighbours.deleteProxy(device, address);
  for (const address of wanted) if (keys.has(address.toString())) neighbours.addProxy(device, address);
}

/**
 * Has the host pass packets on between its devices, as a routed network needs it. A device that takes its own routes from router
 * advertisements goes on doing so (accept_ra 2), which a host that forwards would not. Returns what was changed, in words.
 */
export function forwardPackets(host: Pick<Parts, 'native' | 'netns' | 'links'>): string[] {
  const changed: string[] = [];
  if (readSysctl(host, 'ipv6/conf/all/forwarding') === '0') {
    for (const name of ['default', ...host.links.list().map((link) => link.name)]) {
      const setting = `ipv6/conf/${name}/accept_ra`;
      if (readSysctl(host, setting) === '1' && writeSysctl(host, setting, 2)) changed.push(`net/${setting} = 2`);
    }
    if (writeSysctl(host, 'ipv6/conf/all/forwarding', 1)) changed.push('net/ipv6/conf/all/forwarding = 1');
  }
  if (readSysctl(host, 'ipv4/ip_forward') === '0' && writeSysctl(host, 'ipv4/ip_forward', 1)) changed.push('net/ipv4/ip_forward = 1');
  return changed;
}

/**
 * Of the routes here: preferred before what routing daemons learn (FRR 20, BIRD 32), so that one's own VM is never looked for
 * elsewhere. Daemons pass it on (as BGP's MED, for one), and so the two tell which of two hosts to prefer.
 */
export const METRIC = { here: 1, leaving: 2 } as const;

export interface RoutedAddress {
  readonly address: IpAddress;
  readonly mac: MacAddress;
  /** Index of the network's bridge. */
  readonly bridge: number;
}

const bits = (address: IpAddress): number => address.bytes().length * 8;
const keyOf = ({ address, bridge }: RoutedAddress, metric: number) => ({ to: address, prefixLength: bits(address), device: bridge, metric });

type Tables = { readonly routes: Routes; readonly neighbours: Neighbours };

/** It is here: in the kernel's table when this returns, and with the routing daemons a moment later. Again is fine. */
export function routeHere({ routes, neighbours }: Tables, routed: RoutedAddress): void {
  neighbours.set(routed.bridge, routed.address, routed.mac);
  routes.replace(keyOf(routed, METRIC.here));
  ifThere(() => routes.delete(keyOf(routed, METRIC.leaving)));
}

/**
 * It is elsewhere. What still comes to this host goes where it went, until `routeNowhere`. Routing daemons hear that there may be a
 * better way, and not that there is none: which of the two hosts they hear of first nobody knows, and none is left without a route.
 */
export function routeLeaving({ routes }: Tables, routed: RoutedAddress): void {
  routes.replace(keyOf(routed, METRIC.leaving));
  ifThere(() => routes.delete(keyOf(routed, METRIC.here)));
}

/** Again is fine. */
export function routeNowhere({ routes, neighbours }: Tables, routed: RoutedAddress): void {
  for (const metric of Object.values(METRIC)) ifThere(() => routes.delete(keyOf(routed, metric)));
  ifThere(() => neighbours.delete(routed.bridge, routed.address));
}
