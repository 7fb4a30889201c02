/**
 * The BFD sessions of a host: those declared, and one to each other host on each path that both have.
 *
 * **Between hosts** they are multihop ones (RFC 5883): those are known by two addresses alone, so that no interface has to be declared,
 * and they work within a subnet and across several. What comes must have been sent with TTL 255 and passed BETWEEN_HOPS routers at most.
 *
 * **Beyond FULL_MESH hosts** a session to every other one is too much (the square of their number). They stand in a ring then, in an order
 * that their names' hashes give, and each keeps sessions with its nearest on both sides: 2 × observers + SPARE others watch each host, so
 * that enough of them for `dead` are left when half of them die with it, or abstain. Both ends come to the same, from the same list; a
 * host that joins or leaves changes the sessions of its neighbours in the ring alone.
 */
import { fnv1a } from '../base/fnv-1a.ts';
import { type BfdSessionPlan, type BfdSessionSpec, bfdDefaults } from '../model/bfd-session.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import type { HostSpec } from '../model/host.ts';
import { type BfdEnds, bfdEndsOf, hopsOf, pathAddresses } from './bfd-terms.ts';
import { durationOf } from './router-terms.ts';

export const FULL_MESH = 32;
const SPARE = 4;
/** Five stages of a fabric (leaf, spine, super-spine, spine, leaf) on either side of a wide-area link. */
const BETWEEN_HOPS = 10;
const TTL = 255;

/**
 * All of one host, by name; the same declarations give the same plans, text by text. Of a declaration that checkBfdSession does not let
 * through there is none. Where a declared session has the ends of one between hosts, the declared one is kept.
 */
export function sessionPlans(
  sessions: ReadonlyMap<string, BfdSessionSpec>, host: string, hosts: ReadonlyMap<string, HostSpec>, policy: PolicySpec | undefined,
): readonly BfdSessionPlan[] {
  const taken = new Set<string>();
  const own = [...sessions].sort(byName).flatMap(([name, spec]) => declared(name, spec, host, hosts, taken));
  return [...own, ...between(host, hosts, policy, taken)].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Sessions of one host with the same could not be told apart (RFC 5881 §3, RFC 5883 §4). */
export const endsKey = (ends: BfdEnds): string =>
  (ends.hops === 'single' ? `${ends.peer}%${ends.interface}` : `${ends.peer}>${ends.local}`);

function declared(
  name: string, spec: BfdSessionSpec, host: string, hosts: ReadonlyMap<string, HostSpec>, taken: Set<string>,
): readonly BfdSessionPlan[] {
  const ends = bfdEndsOf(spec, host, (other) => hosts.get(other)?.address);
  if (!ends || taken.has(endsKey(ends))) return [];
  taken.add(endsKey(ends));
  const set = { ...bfdDefaults, ...spec };
  const { type, keys } = spec.authentication ?? {};
  return [{
    name, peer: ends.peer.toString(),
    way: ends.hops === 'single'
      ? { hops: 'single', interface: ends.interface }
      // One hop away it comes with 255, behind one router with 254.
      : { hops: 'multi', local: ends.local.toString(), minTtl: TTL + 1 - hopsOf(spec) },
    interval: durationOf(set.interval), receive: durationOf(spec.receive ?? set.interval), multiplier: set.multiplier,
    ...(spec.echo === undefined || ends.hops === 'multi' ? {} : { echo: durationOf(spec.echo) }),
    echoReceive: ends.hops === 'multi' ? 0 : durationOf(set.echoReceive),
    ...(type && keys ? { authentication: { type, keys: keys.map(({ id, file }) => ({ id, file })) } } : {}),
    ...(spec.disabled === undefined ? {} : { disabled: spec.disabled }),
  }];
}

function between(
  host: string, hosts: ReadonlyMap<string, HostSpec>, policy: PolicySpec | undefined, taken: Set<string>,
): readonly BfdSessionPlan[] {
  const set = { ...detectionDefaults.detect, ...policy?.detect };
  const own = hosts.get(host);
  if (!set.bfd || !own) return [];
  const interval = durationOf(set.interval);
  return [...pathAddresses(own)].flatMap(([path, local]) => {
    const there = new Map([...hosts].flatMap(([name, spec]) => {
      const address = pathAddresses(spec).get(path);
      return address?.family === local.family ? [[name, address] as const] : [];
    }));
    return watchedBy(host, [...there.keys()], set.observers).flatMap((other): BfdSessionPlan[] => {
      const peer = there.get(other);
      const key = peer && endsKey({ hops: 'multi', peer, local });
      // Two hosts of one address cannot both be watched; path-check.ts refuses them.
      if (!peer || key === undefined || peer.equals(local) || taken.has(key)) return [];
      taken.add(key);
      return [{
        name: `${other}/${path}`, peer: peer.toString(), way: { hops: 'multi', local: local.toString(), minTtl: TTL - BETWEEN_HOPS },
        interval, receive: interval, multiplier: set.multiplier, echoReceive: 0, watches: { host: other, path },
      }];
    });
  });
}

/** The others with which it keeps sessions; of any two hosts both have the other, or neither. */
export function watchedBy(host: string, hosts: readonly string[], observers: number): readonly string[] {
  const others = hosts.filter((name) => name !== host);
  const aside = observers + SPARE / 2;
  if (hosts.length <= FULL_MESH || 2 * aside >= others.length) return others;
  const ring = hosts.toSorted((a, b) => fnv1a(a) - fnv1a(b) || (a < b ? -1 : 1));
  const at = ring.indexOf(host);
  return ring.filter((_, n) => {
    const distance = Math.abs(n - at);
    return n !== at && Math.min(distance, ring.length - distance) <= aside;
  });
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
