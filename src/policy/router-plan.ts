/** What each host has to do for the virtual routers that are declared. router-check.ts says what is wrong with a declaration. */
import { type RouterHostSpec, type RouterPlan, type VirtualRouterSpec, routerDefaults } from '../model/virtual-router.ts';
import { type HostAddresses, addressOf, deviceOf, durationOf, familyOf, partOf, prefixedOf, sourceOf, tracksOf } from './router-terms.ts';

export { type RouterProblem, checkVirtualRouter } from './router-check.ts';

/**
 * One host's part of all virtual routers, by name, with defaults filled in; the same declarations give the same plans, text by text.
 * Of a declaration that checkVirtualRouter does not let through there is no plan, or part of one: it throws nothing but QuantityError
 * (a duration that the schema does not let through).
 * @param resources the declarations by name
 * @param addresses of the other hosts, for unicast
 * @param lowered subtracted from its priority, down to 1; never from 255, an owner's
 */
export function routerPlans(
  resources: ReadonlyMap<string, VirtualRouterSpec>, host: string, addresses: HostAddresses, lowered = 0,
): readonly RouterPlan[] {
  return [...resources]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, spec]) => planOf(name, spec, host, addresses, lowered));
}

function planOf(name: string, spec: VirtualRouterSpec, host: string, addresses: HostAddresses, lowered: number): readonly RouterPlan[] {
  const part = partOf(spec, host);
  const device = deviceOf(spec, host);
  const family = familyOf(spec);
  if (!part || device === undefined || family === undefined) return [];
  const set = { ...routerDefaults, ...spec };
  const announce = { ...routerDefaults.announce, ...spec.announce };
  const source = sourceOf(spec, host, addresses);
  const peers = peersOf(spec, host, addresses);
  return [{
    name, vrid: set.vrid, version: set.version, family, device,
    addresses: spec.addresses.flatMap((text) => {
      const prefixed = prefixedOf(text);
      return prefixed ? [{ address: prefixed.address.toString(), prefixLength: prefixed.prefixLength }] : [];
    }),
    ...(source ? { source: source.toString() } : {}),
    priority: priorityOf(part, lowered),
    interval: durationOf(set.interval),
    virtualMac: set.virtualMac,
    preempt: set.preempt, preemptDelay: durationOf(set.preemptDelay),
    accept: set.accept, checksum: set.checksum,
    peers,
    // Unicast whose peers' addresses were all lost is multicast to itself alone: what comes from behind routers is refused again.
    minTtl: peers.length > 0 ? set.minTtl : routerDefaults.minTtl,
    ...(spec.group === undefined ? {} : { group: spec.group }),
    announce: {
      count: announce.count, interval: durationOf(announce.interval),
      ...(announce.refresh === undefined ? {} : { refresh: durationOf(announce.refresh) }),
    },
    ...(spec.notify === undefined ? {} : { notify: spec.notify }),
    track: tracksOf(spec, host).map(({ track }) => track),
  }];
}

/** 255 is an owner's, and of nobody else (RFC 9568 §5.2.4). */
function priorityOf({ priority = routerDefaults.priority }: RouterHostSpec, lowered: number): number {
  return priority === 255 ? priority : Math.max(1, priority - lowered);
}

/** Each once, and never the host itself. */
function peersOf(spec: VirtualRouterSpec, host: string, addresses: HostAddresses): readonly string[] {
  if (!spec.unicast) return [];
  const own = sourceOf(spec, host, addresses)?.toString();
  const hosts = Object.keys(spec.hosts).filter((other) => other !== host).sort().map((other) => sourceOf(spec, other, addresses));
  const peers = [...hosts, ...(spec.peers ?? []).map(addressOf)].flatMap((peer) => (peer ? [peer.toString()] : []));
  return [...new Set(peers)].filter((peer) => peer !== own);
}
