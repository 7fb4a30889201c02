/** The texts of a virtual router's declaration as values, and what of it applies to one host. */
import { type RouterHostSpec, type Track, type TrackSpec, type VirtualRouterSpec, routerDefaults } from '../model/virtual-router.ts';
import { parseDuration } from '../model/quantity.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import { type IpPrefix, longestPrefix, parseIpPrefix, prefixText } from '../wire/ip-prefix.ts';
import { isLinkLocal } from '../wire/vrrp.ts';

/** IP addresses that hosts are reached by, by their names; undefined where that is not known. */
export type HostAddresses = (host: string) => string | undefined;

/** undefined for what is none. */
export const addressOf = (text: string): IpAddress | undefined => parsed(parseIpAddress, text);

/** `192.0.2.1/24`; without a prefix length the address alone: /32, /128. undefined for what is neither. */
export const prefixedOf = (text: string): IpPrefix | undefined => parsed(parseIpPrefix, text);

function parsed<T>(parse: (text: string) => T, text: string): T | undefined {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** In ms. Rounded to µs: 2.01 s times 1000 is 2009.9999999999998, and that is on no grid of 10 ms. */
export const durationOf = (text: string): number => Math.round(parseDuration(text) * 1000) / 1000;

/** The host's own part; undefined if it has none. */
export const partOf = (spec: VirtualRouterSpec, host: string): RouterHostSpec | undefined =>
  (Object.hasOwn(spec.hosts, host) ? spec.hosts[host] : undefined);

/** Of the first address that is one. */
export function familyOf(spec: VirtualRouterSpec): 4 | 6 | undefined {
  for (const text of spec.addresses) {
    const prefixed = prefixedOf(text);
    if (prefixed) return prefixed.address.family;
  }
  return undefined;
}

/** The networks that its addresses are in: none where they stand without a prefix length. A link-local one is in all. */
export const networksOf = (spec: VirtualRouterSpec): readonly IpPrefix[] => spec.addresses.flatMap((text) => {
  const prefixed = prefixedOf(text);
  if (!prefixed || isLinkLocal(prefixed.address)) return [];
  return prefixed.prefixLength < longestPrefix(prefixed.address) ? [prefixed] : [];
});

export const deviceOf = (spec: VirtualRouterSpec, host: string): string | undefined => partOf(spec, host)?.interface ?? spec.interface;

/**
 * Where its adverts come from. With unicast the others have to know it, so that is declared, or the address the host is reached by if
 * that is of the router's family; otherwise undefined leaves it to the host.
 */
export function sourceOf(spec: VirtualRouterSpec, host: string, addresses: HostAddresses): IpAddress | undefined {
  const text = partOf(spec, host)?.source ?? (spec.unicast ? addresses(host) : undefined);
  const address = text === undefined ? undefined : addressOf(text);
  return address?.family === familyOf(spec) ? address : undefined;
}

export interface DeclaredTrack {
  readonly track: Track;
  /** JSON pointer to it. */
  readonly path: string;
}

/** What the router hangs on, on this host: that of all hosts first. */
export function tracksOf(spec: VirtualRouterSpec, host: string): readonly DeclaredTrack[] {
  return [
    ...(spec.track ?? []).map((t, n) => ({ track: trackOf(t), path: `/spec/track/${n}` })),
    ...(partOf(spec, host)?.track ?? []).map((t, n) => ({ track: trackOf(t), path: `/spec/hosts/${host}/track/${n}` })),
  ];
}

function trackOf(track: TrackSpec): Track {
  const weight = track.weight === undefined ? {} : { weight: track.weight };
  if ('interface' in track) return { kind: 'interface', interface: track.interface, ...weight };
  if ('route' in track) return { kind: 'route', route: routeOf(track.route), ...weight };
  if ('bfd' in track) return { kind: 'bfd', bfd: track.bfd, ...weight };
  if ('process' in track) return { kind: 'process', process: track.process, ...weight };
  const set = { ...routerDefaults.script, ...track };
  const { script, rise, fall } = set;
  return { kind: 'script', script, interval: durationOf(set.interval), timeout: durationOf(set.timeout), rise, fall, ...weight };
}

/** In the form in which equal routes have equal texts; what is none stays as it is. */
function routeOf(text: string): string {
  const prefixed = prefixedOf(text);
  return prefixed ? prefixText(prefixed) : text;
}
