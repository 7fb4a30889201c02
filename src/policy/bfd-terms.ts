/** What the declaration of a BFD session comes to on one host, and what a host's paths are. */
import { type BfdSessionSpec, bfdDefaults } from '../model/bfd-session.ts';
import type { HostSpec } from '../model/host.ts';
import { MAIN_PATH } from '../model/path.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type HostAddresses, addressOf } from './router-terms.ts';

/** µs, as BFD says intervals (RFC 5880 §4.1): 32 bits. */
export const MOST_MICROSECONDS = 2 ** 32 - 1;

export const hopsOf = ({ hops }: BfdSessionSpec): number => hops ?? bfdDefaults.hops;

/** One host's own part; undefined if it has none. */
export const bfdPartOf = (spec: BfdSessionSpec, host: string): BfdSessionSpec['hosts'][string] | undefined =>
  (Object.hasOwn(spec.hosts, host) ? spec.hosts[host] : undefined);

export const bfdDeviceOf = (spec: BfdSessionSpec, host: string): string | undefined => bfdPartOf(spec, host)?.interface ?? spec.interface;

/** Of a session over several hops: its own, or that of the host. */
export function bfdLocalOf(spec: BfdSessionSpec, host: string, addresses: HostAddresses): IpAddress | undefined {
  const text = bfdPartOf(spec, host)?.local ?? addresses(host);
  return text === undefined ? undefined : addressOf(text);
}

/** Ends of a session: over one hop the peer and the interface, over several both addresses. Neither is the same for two on a host. */
export type BfdEnds =
  | { readonly hops: 'single'; readonly peer: IpAddress; readonly interface: string }
  | { readonly hops: 'multi'; readonly peer: IpAddress; readonly local: IpAddress };

/** undefined: something is missing, or is of another family; bfd-check.ts says what. */
export function bfdEndsOf(spec: BfdSessionSpec, host: string, addresses: HostAddresses): BfdEnds | undefined {
  const peer = addressOf(spec.peer);
  if (!peer || !bfdPartOf(spec, host)) return undefined;
  if (hopsOf(spec) === 1) {
    const device = bfdDeviceOf(spec, host);
    return device === undefined ? undefined : { hops: 'single', peer, interface: device };
  }
  const local = bfdLocalOf(spec, host, addresses);
  return local?.family === peer.family ? { hops: 'multi', peer, local } : undefined;
}

/** A host's address on each of its paths, by their names in order: what is no address is left out. */
export function pathAddresses({ address, paths = {} }: HostSpec): ReadonlyMap<string, IpAddress> {
  const texts = Object.entries({ ...paths, [MAIN_PATH]: address }).sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(texts.flatMap(([path, text]): [string, IpAddress][] => {
    const parsed = addressOf(text);
    return parsed ? [[path, parsed]] : [];
  }));
}
