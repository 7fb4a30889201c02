/** Routes of a host's main table (rtnetlink(7), RTM_*ROUTE; linux/rtnetlink.h). */
import type { IpAddress } from '../wire/ip-address.ts';
import { AF_INET, AF_INET6, addressOf, familyOf, unspecifiedOf } from './ip-value.ts';
import { type Netlink } from './netlink.ts';
import {
  type Attribute, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, concat, decodeAttributes, readNumber, u16, u32, u8,
} from './netlink-message.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RT_TABLE_MAIN = 254;
const RTN_UNSPEC = 0;
const RTN_UNICAST = 1;
/** Matches any scope in a deletion. */
const RT_SCOPE_NOWHERE = 255;
const RTM_F_CLONED = 0x200;
const RTA = { dst: 1, oif: 4, gateway: 5, priority: 6, table: 15, via: 18 } as const;

const scopes = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;
/** What lies between: behind a router, on the link, on the host itself. IPv6 has only `global`, whatever it is given. */
export type RouteScope = keyof typeof scopes;

/**
 * rtm_protocol of Godwit's routes: in the range that the kernel and the routing daemons leave free (above RTPROT_STATIC, beside those of
 * /etc/iproute2/rt_protos). FRR and BIRD take such a route for a kernel route, which they can redistribute.
 */
export const ROUTE_PROTOCOL = 201;

/** Which route: the kernel tells routes to one prefix apart by `metric`. */
export interface RouteKey {
  /** The prefix: of bits behind `prefixLength` that are not 0 IPv4 says EINVAL, and IPv6 clears them. */
  readonly to: IpAddress;
  readonly prefixLength: number;
  /** Index of the interface. */
  readonly device: number;
  /** Lower is preferred; without one 0 for IPv4, 1024 for IPv6. */
  readonly metric?: number;
  /** Without one, ROUTE_PROTOCOL. */
  readonly protocol?: number;
}

export interface NewRoute extends RouteKey {
  /** The next hop, of either family; it must be reachable on the link. Without one the destinations are on the link themselves. */
  readonly via?: IpAddress;
  /** Without one, `global` with a next hop and `link` without. */
  readonly scope?: RouteScope;
}

/** A unicast route of the main table. `device` is 0, and `via` missing, where it has several next hops. */
export interface RouteEntry extends RouteKey {
  readonly metric: number;
  readonly protocol: number;
  readonly via: IpAddress | undefined;
  readonly scope: RouteScope;
}

export class Routes {
  readonly #netlink: Netlink;

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  /** Throws KernelRefused: EEXIST, ENETDOWN, ENETUNREACH (next hop), EINVAL. */
  add(route: NewRoute): void {
    this.#put('add', route, NLM_F_CREATE | NLM_F_EXCL);
  }

  /** Adds it, or puts it in the place of the one to the same prefix with the same metric, whosever that is. Throws as `add`. */
  replace(route: NewRoute): void {
    this.#put('replace', route, NLM_F_CREATE | NLM_F_REPLACE);
  }

  /** Only one of that protocol. Throws KernelRefused ESRCH where there is none. */
  delete(route: RouteKey): void {
    this.#netlink.change({
      what: `delete the route to ${nameOf(route)}`, type: RTM_DELROUTE,
      header: rtmsg(route, RT_SCOPE_NOWHERE, RTN_UNSPEC), attributes: keyAttributes(route),
    });
  }

  /** All of the main table, of both families or one, but not the ways that IPv6 remembers per destination. */
  list(family?: 4 | 6): RouteEntry[] {
    const families = [...(family === 6 ? [] : [AF_INET]), ...(family === 4 ? [] : [AF_INET6])];
    return families.flatMap((number) => {
      const header = concat(u8(number), new Uint8Array(11));
      return this.#netlink.dump({ what: 'list routes', type: RTM_GETROUTE, header }).flatMap(({ body }) => {
        const route = decodeRoute(body);
        return route && route.table === RT_TABLE_MAIN && !route.cloned && route.unicast ? [route.entry] : [];
      });
    });
  }

  #put(verb: string, route: NewRoute, flags: number): void {
    const { to, via } = route;
    const attributes = keyAttributes(route);
    if (via?.family === to.family) attributes.push([RTA.gateway, via.bytes()]);
    // struct rtvia: an IPv4 route by an IPv6 next hop (RFC 8950)
    else if (via) attributes.push([RTA.via, concat(u16(familyOf(via)), via.bytes())]);
    this.#netlink.change({
      what: `${verb} the route to ${nameOf(route)}`, type: RTM_NEWROUTE, flags,
      header: rtmsg(route, scopes[route.scope ?? (via ? 'global' : 'link')], RTN_UNICAST), attributes,
    });
  }
}

const nameOf = ({ to, prefixLength, device }: RouteKey): string => `${to}/${prefixLength} on interface ${device}`;

/** struct rtmsg. */
function rtmsg({ to, prefixLength, protocol = ROUTE_PROTOCOL }: RouteKey, scope: number, type: number): Uint8Array {
  return concat(u8(familyOf(to)), u8(prefixLength), u8(0), u8(0), u8(RT_TABLE_MAIN), u8(protocol), u8(scope), u8(type), u32(0));
}

function keyAttributes({ to, device, metric }: RouteKey): Attribute[] {
  const attributes: Attribute[] = [[RTA.dst, to.bytes()], [RTA.oif, u32(device)]];
  if (metric !== undefined) attributes.push([RTA.priority, u32(metric)]);
  return attributes;
}

export interface DecodedRoute {
  readonly entry: RouteEntry;
  readonly table: number;
  readonly unicast: boolean;
  /** One that the kernel remembers of a single destination (RTM_F_CLONED). */
  readonly cloned: boolean;
}

/** The body of RTM_NEWROUTE or RTM_DELROUTE; undefined for a family that is not IP. */
export function decodeRoute(body: Uint8Array): DecodedRoute | undefined {
  const [family = 0, prefixLength = 0, , , table = 0, protocol = 0, scope = 0, type = 0] = body;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = decodeAttributes(body.subarray(12));
  const number = (attribute: number): number => readNumber(attributes.get(attribute) ?? new Uint8Array());
  return {
    entry: {
      to: addressOf(attributes.get(RTA.dst)) ?? unspecifiedOf(family),
      prefixLength,
      device: number(RTA.oif),
      via: addressOf(attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2)),
      protocol,
      scope: scopeOf(scope),
      metric: number(RTA.priority),
    },
    table: attributes.has(RTA.table) ? number(RTA.table) : table,
    unicast: type === RTN_UNICAST,
    cloned: (readNumber(body.subarray(8, 12)) & RTM_F_CLONED) !== 0,
  };
}

/** Numbers between the named ones are an administrator's own: they count as the next wider. */
function scopeOf(number: number): RouteScope {
  if (number >= scopes.nowhere) return 'nowhere';
  if (number >= scopes.host) return 'host';
  if (number >= scopes.link) return 'link';
  return number >= scopes.site ? 'site' : 'global';
}
