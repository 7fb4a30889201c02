/**
 * A network of VMs, on every host a bridge of the same name. Three kinds:
 *
 *   bridge   the administrator's: she makes the bridges and joins them to one Ethernet segment (a switch, a VLAN, an EVPN).
 *   routed   Godwit's, without an uplink: each VM's address is a host route on the host where it runs, and the network's gateway is
 *            there on every host, with one MAC. Hosts need no common segment, only routes to each other.
 *   vxlan    Godwit's: a segment of its own over the hosts' own addresses (RFC 7348).
 */
import { Type, type Static } from 'typebox';
import { GodwitError } from '../base/error.ts';
import { fnv1a } from '../base/fnv-1a.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { sameNetwork } from '../wire/same-network.ts';
import { closed, declaration, nameRule, type Resource } from './resource.ts';

/** UDP port of the tunnels of moves (host/tunnel.ts): a network there would share their VNIs. */
const MOVES_PORT = 4790;
const VXLAN_PORT = 4789;

export const RoutedSpec = Type.Object(
  {
    gateways: Type.Array(Type.String(), {
      minItems: 1, maxItems: 16, description: 'what its VMs use as their router, with the length of their prefix, like 10.1.0.1/24; the same on every host',
    }),
    mac: Type.Optional(Type.String({
      pattern: '^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$', description: 'the unicast MAC of the gateway on every host; without, one made of the network\'s name',
    })),
  },
  closed,
);
export const VxlanSpec = Type.Object(
  {
    vni: Type.Integer({ minimum: 1, maximum: 2 ** 24 - 1, description: 'its number, of this network alone' }),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535, default: VXLAN_PORT, description: 'UDP port between the hosts' })),
  },
  closed,
);
export const NetworkSpec = Type.Object(
  {
    bridge: Type.String({ pattern: '^[!-.0-9;-~]{1,15}$', description: 'name of the Linux bridge on every host' }),
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 65535, default: 1500, description: 'bytes of IP packet' })),
    gateway: Type.Optional(Type.String({ description: 'address of the router; a move is refused when the two hosts see different ones' })),
    path: Type.Optional(Type.String({ pattern: nameRule.pattern, description: 'the path between hosts whose health is this network\'s; default: `main` for routed and VXLAN networks, for a bridge none' })),
    guard: Type.Optional(Type.Boolean({ description: 'of NICs that do not say for themselves: what the guest sends is pinned to its MAC and addresses' })),
    routed: Type.Optional({ ...RoutedSpec, description: 'Godwit makes the bridge, without an uplink, and routes each address to the host where it is' }),
    vxlan: Type.Optional({ ...VxlanSpec, description: 'Godwit makes the bridge, and joins the hosts\' bridges by VXLAN' }),
  },
  closed,
);
export type NetworkSpec = Static<typeof NetworkSpec>;
export const NetworkDeclaration = declaration('Network', NetworkSpec);
export type NetworkResource = Resource<'Network', NetworkSpec, never>;

export interface Prefix {
  readonly address: IpAddress;
  readonly length: number;
}

/** What a NetworkSpec comes to. */
export type NetworkKind =
  | { readonly kind: 'bridge' }
  | { readonly kind: 'routed'; readonly gateways: readonly Prefix[]; readonly mac: MacAddress }
  | { readonly kind: 'vxlan'; readonly vni: number; readonly port: number };

/** A specification that is well formed and yet means nothing. */
export class NetworkSpecError extends GodwitError {
  /** Where: `/spec/routed/gateways/0`. */
  readonly path: string;

  constructor(path: string, message: string) {
    super('MODEL_NETWORK_SPEC', message);
    this.path = path;
  }
}

/** Throws NetworkSpecError for the first thing that does not fit. */
export function kindOfNetwork(name: string, { routed, vxlan, gateway }: NetworkSpec): NetworkKind {
  if (routed && vxlan) throw new NetworkSpecError('/spec/vxlan', `network ${name} is routed, and a VXLAN too: it can be one of them; take the other out`);
  if (routed) {
    if (gateway !== undefined) throw new NetworkSpecError('/spec/gateway', `network ${name} is routed: its gateways are those in routed; take this one out`);
    const gateways = routed.gateways.map((text, n) => gatewayOf(text, `/spec/routed/gateways/${n}`));
    gateways.forEach(({ address }, n) => {
      if (gateways.slice(0, n).some((other) => other.address.equals(address))) throw new NetworkSpecError(`/spec/routed/gateways/${n}`, `${address} is there twice: once is enough`);
    });
    return { kind: 'routed', gateways, mac: routed.mac === undefined ? gatewayMac(name) : MacAddress.parse(routed.mac) };
  }
  if (vxlan) {
    const { vni, port = VXLAN_PORT } = vxlan;
    if (port === MOVES_PORT) throw new NetworkSpecError('/spec/vxlan/port', `port ${MOVES_PORT} is that of the moves' tunnels: name another, or none`);
    return { kind: 'vxlan', vni, port };
  }
  return { kind: 'bridge' };
}

/** Whose bridge it is: one that Godwit makes is there on each host where it is needed. */
export const isMadeByGodwit = ({ routed, vxlan }: NetworkSpec): boolean => routed !== undefined || vxlan !== undefined;

export const contains = ({ address, length }: Prefix, other: IpAddress): boolean => sameNetwork(address, other, length);

function gatewayOf(text: string, path: string): Prefix {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  let parsed: IpAddress;
  try {
    parsed = parseIpAddress(address);
  } catch {
    throw new NetworkSpecError(path, `${JSON.stringify(text)} is no address with the length of its prefix: write it like 10.1.0.1/24 or fd00:1::1/64`);
  }
  const bits = parsed.bytes().length * 8;
  if (Number(length) > bits) throw new NetworkSpecError(path, `${JSON.stringify(text)} has a prefix longer than the ${bits} bits of its address`);
  if (parsed.isMulticast || parsed.isUnspecified) throw new NetworkSpecError(path, `${JSON.stringify(text)} is nobody's address: a gateway has one of its own`);
  return { address: parsed, length: Number(length) };
}

/** 02:67, locally administered, and FNV-1a of the name: the same on every host without anybody telling it. */
function gatewayMac(name: string): MacAddress {
  const hash = fnv1a(name);
  return MacAddress.of(Uint8Array.of(0x02, 0x67, hash >>> 24, hash >>> 16 & 0xff, hash >>> 8 & 0xff, hash & 0xff));
}
