/** What is wrong with the declaration of a virtual router, or only odd. router-clash.ts looks at it beside the others. */
import { type VirtualRouterSpec, routerDefaults } from '../model/virtual-router.ts';
import { describeTrack } from '../protocol/vrrp-host.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { enclosingPrefix, prefixText } from '../wire/ip-prefix.ts';
import { sameNetwork } from '../wire/same-network.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { checkOthers } from './router-clash.ts';
import { type HostAddresses, addressOf, deviceOf, durationOf, familyOf, networksOf, prefixedOf, sourceOf, tracksOf } from './router-terms.ts';

export interface RouterProblem {
  /** `error`: it cannot work, and is refused. `warning`: it works, but perhaps not as it was meant. */
  readonly severity: 'error' | 'warning';
  /** JSON pointer (RFC 6901) into the declaration: `/spec/addresses/0`. What stands there is in the declaration, or is its parent. */
  readonly path: string;
  /** What is wrong and what to do: a part of a sentence, like the other complaints of `apply`. */
  readonly message: string;
}

export type Complain = (severity: RouterProblem['severity'], path: string, message: string) => void;

/** An advert has to fit into 1500 bytes, 40 of them IPv6's header and 8 its own: it is sent unfragmented. 255 of IPv4 always fit. */
const MOST_IPV6_ADDRESSES = 90;
/** ms. What comes again and again faster than this keeps the host busy with itself. */
const LEAST_PERIOD = 100;

/**
 * All that is wrong, errors and warnings, in no order. `spec` has passed its schema.
 * @param others the other declarations, by name; one by this router's own name is left out
 * @param addresses of the hosts, for unicast; absent: not known here, so unicast is not checked for them
 */
export function checkVirtualRouter(
  name: string, spec: VirtualRouterSpec, others: ReadonlyMap<string, VirtualRouterSpec>, addresses?: HostAddresses,
): readonly RouterProblem[] {
  const problems: RouterProblem[] = [];
  const complain: Complain = (severity, path, message) => problems.push({ severity, path, message });
  checkAddresses(spec, complain);
  checkVersion(spec, complain);
  checkMeaning(spec, complain);
  checkUnicast(spec, addresses, complain);
  for (const host of Object.keys(spec.hosts)) checkHost(spec, host, complain);
  checkPriorities(spec, complain);
  checkOthers(name, spec, others, complain);
  // A track of all hosts is looked at with each of them.
  return problems.filter((a, n) => problems.findIndex((b) => b.path === a.path && b.message === a.message) === n);
}

function checkAddresses(spec: VirtualRouterSpec, complain: Complain): void {
  const family = familyOf(spec);
  const seen = new Set<string>();
  spec.addresses.forEach((text, n) => {
    const path = `/spec/addresses/${n}`;
    const prefixed = prefixedOf(text);
    if (!prefixed) return complain('error', path,
      `${JSON.stringify(text)} is no IP address with a prefix length: write one like 192.0.2.1/24 or 2001:db8::1/64`);
    const { address, prefixLength } = prefixed;
    if (address.family !== family) {
      complain('error', path,
        `${address} is not of the family of the first address: declare a virtual router for each family`);
    }
    else if (!isHostAddress(address)) complain('error', path, `${address} is no address that a host can have: name a unicast address`);
    else if (prefixLength === 0) complain('error', path,
      `${text} has every address of the world on its link: write the prefix length of the subnet`);
    else if (n === 0 && family === 6 && !isLinkLocal(address)) {
      complain('error', path,
        `the first address of an IPv6 router is link-local (RFC 9568 §5.2.9): put one of fe80::/10 in front of ${address}`);
    }
    if (seen.has(address.toString())) complain('error', path, `${address} is there twice: each may be there once`);
    seen.add(address.toString());
  });
  if (family === 6 && spec.addresses.length > MOST_IPV6_ADDRESSES) {
    complain('error', '/spec/addresses',
      `an advert of 1500 bytes lists at most ${MOST_IPV6_ADDRESSES} IPv6 addresses: declare several virtual routers, in one group`);
  }
}

const isHostAddress = (address: IpAddress): boolean =>
  !address.isMulticast && !address.isUnspecified && !isLoopback(address) && address.toString() !== '255.255.255.255';
const isLoopback = (address: IpAddress): boolean => (address.family === 4 ? address.bytes()[0] === 127 : address.toString() === '::1');

function checkVersion(spec: VirtualRouterSpec, complain: Complain): void {
  const text = spec.interval ?? routerDefaults.interval;
  const interval = durationOf(text);
  const path = spec.interval === undefined ? '/spec' : '/spec/interval';
  if ((spec.version ?? routerDefaults.version) === 2) {
    if (familyOf(spec) === 6) complain('error', '/spec/version', 'version 2 is for IPv4 alone (RFC 3768): use version 3');
    if (interval % 1000 !== 0 || interval < 1000 || interval > 255_000) {
      complain('error', path, `version 2 can say 1 to 255 whole seconds, not ${text} (RFC 3768 §5.3.7): use version 3 for less`);
    }
  } else if (interval % 10 !== 0 || interval < 10 || interval > 40_950) {
    complain('error', path, `version 3 can say 10ms to 40.95s in steps of 10 ms, not ${text} (RFC 9568 §5.2.7)`);
  }
}

function checkMeaning(spec: VirtualRouterSpec, complain: Complain): void {
  if (spec.preempt === false && spec.preemptDelay !== undefined && durationOf(spec.preemptDelay) > 0) {
    complain('error', '/spec/preemptDelay', 'a router that does not preempt has nothing to delay: take it out, or preempt: false');
  }
  const { interval, refresh } = spec.announce ?? {};
  if (interval !== undefined && durationOf(interval) < 1) {
    complain('error', '/spec/announce/interval',
      `${interval} announces all at once: give at least 1ms`);
  }
  if (refresh !== undefined && durationOf(refresh) < LEAST_PERIOD) {
    complain('error', '/spec/announce/refresh', `${refresh} floods the network: give at least ${LEAST_PERIOD}ms, 60s is usual`);
  }
}

function checkUnicast(spec: VirtualRouterSpec, addresses: HostAddresses | undefined, complain: Complain): void {
  if (!spec.unicast) {
    if ((spec.peers ?? []).length > 0) complain('error', '/spec/peers', 'peers are for unicast: set unicast: true, or take them out');
    if (spec.minTtl !== undefined && spec.minTtl < 255) {
      complain('error', '/spec/minTtl',
        'multicast adverts are never routed, so a TTL below 255 is forged (RFC 9568 §5.1.1.3): take it out, or set unicast: true');
    }
    return;
  }
  const family = familyOf(spec);
  (spec.peers ?? []).forEach((text, n) => {
    const address = addressOf(text);
    const path = `/spec/peers/${n}`;
    if (!address || !isHostAddress(address)) complain('error', path, `${JSON.stringify(text)} is no IP address that a host can have`);
    else if (address.family !== family) complain('error', path,
      `${text} is not of the family of the router's addresses: name the peer's address of that family`);
  });
  if (Object.keys(spec.hosts).length + (spec.peers ?? []).length < 2) {
    complain('error', '/spec/unicast', 'there is nobody to send to: name another host, or peers');
  }
  if (addresses) checkDefaultSources(spec, addresses, complain);
}

/** With unicast: where hosts without a source send from. */
function checkDefaultSources(spec: VirtualRouterSpec, addresses: HostAddresses, complain: Complain): void {
  const networks = networksOf(spec);
  for (const [host, part] of Object.entries(spec.hosts)) {
    // A source that is none is told for itself.
    if (part.source !== undefined) continue;
    const path = `/spec/hosts/${host}`;
    const source = sourceOf(spec, host, addresses);
    if (!source) {
      const known = addresses(host);
      const why = known === undefined ? 'that is not known' : `its address ${known} is no IPv${familyOf(spec)} one`;
      complain('error', path, `with unicast the others must know where ${host} sends from, and ${why}: give it a source`);
    } else if (networks.length > 0 && !networks.some(({ address, prefixLength }) => sameNetwork(address, source, prefixLength))) {
      const device = deviceOf(spec, host) ?? 'its interface';
      complain('warning', path,
        `${host} sends from ${source}, by which it is reached, and that is in no network of the router: ` +
        `if it is not on ${device}, adverts reach nobody. Give it a source on ${device}`);
    }
  }
}

function checkHost(spec: VirtualRouterSpec, host: string, complain: Complain): void {
  const path = `/spec/hosts/${host}`;
  const part = spec.hosts[host];
  if (deviceOf(spec, host) === undefined) {
    complain('error', path,
      `which interface of ${host}? Give it one here, or one for all hosts as /spec/interface`);
  }
  if (part?.source !== undefined) {
    const source = addressOf(part.source);
    if (!source || !isHostAddress(source)) {
      complain('error', `${path}/source`,
        `${JSON.stringify(part.source)} is no IP address that a host can have`);
    }
    else if (source.family !== familyOf(spec)) complain('error', `${path}/source`,
      `${source} is not of the family of the router's addresses`);
    else if (source.family === 6 && !spec.unicast && !isLinkLocal(source)) complain('error', `${path}/source`,
      `IPv6 adverts come from a link-local address (RFC 9568 §5.1.2.1), not from ${source}`);
    else if (part.priority !== 255 && spec.addresses.some((text) => prefixedOf(text)?.address.equals(source))) {
      complain('error', `${path}/source`,
        `${source} moves with the router, so a Backup does not have it: name an address that stays on ${host}`);
    }
    const twin = Object.entries(spec.hosts).find(([other, theirs]) => other < host && source && addressOf(theirs.source ?? '')?.equals(source));
    if (twin) complain('error', `${path}/source`, `${twin[0]} has this source too: each host has its own`);
  }
  checkTracks(spec, host, complain);
}

function checkTracks(spec: VirtualRouterSpec, host: string, complain: Complain): void {
  const before = new Set<string>();
  for (const { track, path } of tracksOf(spec, host)) {
    const what = describeTrack(track);
    if (before.has(what)) complain('error', path, `${what} is tracked twice: once is enough, with the weight that is meant`);
    before.add(what);
    if (track.weight === 0) {
      complain('warning', `${path}/weight`,
        `weight 0 changes nothing, whether ${what} is up or down: leave it out to make down a fault`);
    }
    if (track.kind === 'route') checkRoute(track.route, `${path}/route`, familyOf(spec), complain);
    if (track.kind !== 'script') continue;
    if (track.interval < LEAST_PERIOD) {
      complain('error', `${path}/interval`,
        `a script every ${track.interval} ms keeps the host busy: give at least ${LEAST_PERIOD}ms`);
    }
    if (track.timeout <= 0) complain('error', `${path}/timeout`, 'no script ends in no time: give it some, like 2s');
  }
}

function checkRoute(text: string, path: string, family: 4 | 6 | undefined, complain: Complain): void {
  const route = prefixedOf(text);
  if (!route) return complain('error', path, `${JSON.stringify(text)} is no route: write one like 0.0.0.0/0 or 2001:db8::/32`);
  const prefix = enclosingPrefix(route);
  if (!prefix.address.equals(route.address)) {
    complain('error', path, `${text} has bits behind its prefix, so no route is ever equal to it: write ${prefixText(prefix)}`);
  }
  else if (route.address.family !== family) complain('warning', path, `${text} is not of the family of the router's addresses`);
}

function checkPriorities(spec: VirtualRouterSpec, complain: Complain): void {
  const byPriority = Map.groupBy(Object.entries(spec.hosts), ([, part]) => part.priority ?? routerDefaults.priority);
  for (const [priority, hosts] of byPriority) {
    const [first, ...rest] = hosts.map(([host]) => host).sort();
    for (const host of rest) {
      const path = spec.hosts[host]?.priority === undefined ? `/spec/hosts/${host}` : `/spec/hosts/${host}/priority`;
      if (priority === 255) {
        complain('error', path,
          `${first} has priority 255 too, and only one host can own the addresses: give others 1 to 254`);
      }
      else complain('warning', path, `${first} has priority ${priority} too: when both start, the higher address decides who is Active`);
    }
  }
}
