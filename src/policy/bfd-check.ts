/** What is wrong with the declaration of a BFD session, or only odd. */
import { type BfdSessionSpec, bfdDefaults } from '../model/bfd-session.ts';
import type { HostSpec } from '../model/host.ts';
import { parseDuration } from '../model/quantity.ts';
import type { VirtualRouterSpec } from '../model/virtual-router.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { endsKey } from './bfd-plan.ts';
import { MOST_MICROSECONDS, bfdDeviceOf, bfdEndsOf, bfdLocalOf, bfdPartOf, hopsOf, pathAddresses } from './bfd-terms.ts';
import type { Complain, RouterProblem } from './router-check.ts';
import { addressOf, durationOf, tracksOf } from './router-terms.ts';

/** As of a virtual router. */
export type Problem = RouterProblem;

/** ms. Hosts that are not tuned for it oversleep by as much. */
const BRISK = 10;

/** What is declared beside it. */
export interface BfdSurroundings {
  /** By name; one by the session's own name is left out. */
  readonly sessions: ReadonlyMap<string, BfdSessionSpec>;
  readonly hosts: ReadonlyMap<string, HostSpec>;
  readonly routers: ReadonlyMap<string, VirtualRouterSpec>;
  /** The policy has hosts keep sessions with each other (`detect.bfd`). */
  readonly betweenHosts: boolean;
  /** There is nothing else to look at than these: that a host is not among them is no fault. */
  readonly alone: boolean;
}

/** All that is wrong, errors and warnings, in no order; that a host is not there is for its caller to say. `spec` has passed its schema. */
export function checkBfdSession(name: string, spec: BfdSessionSpec, around: BfdSurroundings): readonly Problem[] {
  const problems: Problem[] = [];
  const complain: Complain = (severity, path, message) => problems.push({ severity, path, message });
  checkPeer(spec, complain);
  checkIntervals(spec, complain);
  checkEcho(spec, complain);
  checkKeys(spec, complain);
  for (const host of Object.keys(spec.hosts)) {
    checkHost(spec, host, around, complain);
    checkOthers(name, spec, host, around, complain);
  }
  checkTrackers(name, spec, around.routers, complain);
  return problems;
}

function checkPeer({ peer: text, hops }: BfdSessionSpec, complain: Complain): void {
  const peer = addressOf(text);
  if (!peer || !isHostAddress(peer)) return complain('error', '/spec/peer',
    `${JSON.stringify(text)} is no IP address that a neighbour can have`);
  if ((hops ?? 1) > 1 && peer.family === 6 && isLinkLocal(peer)) {
    complain('error', '/spec/peer',
      `${text} is link-local: it is one hop away, or not to be reached; take hops out, or name a routed address`);
  }
}

function checkIntervals(spec: BfdSessionSpec, complain: Complain): void {
  for (const key of ['interval', 'receive', 'echo', 'echoReceive'] as const) {
    const text = spec[key];
    if (text === undefined || (key === 'echoReceive' && durationOf(text) === 0)) continue;
    const fault = intervalFault(text);
    if (fault !== undefined) complain('error', `/spec/${key}`, fault);
  }
  const interval = spec.interval ?? bfdDefaults.interval;
  const fastest = Math.min(durationOf(interval), durationOf(spec.receive ?? interval));
  if (fastest > 0 && fastest < BRISK) {
    complain('warning', spec.interval === undefined ? '/spec/receive' : '/spec/interval',
      `${fastest} ms is faster than most hosts hold when they are busy: look at the worst lateness of their pulses`);
  }
}

/** Why BFD cannot say this interval; undefined when it can. */
export function intervalFault(text: string): string | undefined {
  const microseconds = parseDuration(text) * 1000;
  const whole = Math.round(microseconds);
  if (whole < 1 || whole > MOST_MICROSECONDS) return `${text} cannot be said in BFD (RFC 5880 §4.1): give 0.001ms to 4294967.295ms`;
  if (Math.abs(microseconds - whole) > 1e-3) return `${text} is no whole number of microseconds, which BFD counts in (RFC 5880 §4.1)`;
  return undefined;
}

function checkEcho(spec: BfdSessionSpec, complain: Complain): void {
  if (hopsOf(spec) === 1) return;
  for (const key of ['echo', 'echoReceive'] as const) {
    const text = spec[key];
    if (text === undefined || (key === 'echoReceive' && durationOf(text) === 0)) continue;
    complain('error', `/spec/${key}`, 'echoes do not go over several hops (RFC 5883 §3): take it out, or hops');
  }
}

function checkKeys({ authentication }: BfdSessionSpec, complain: Complain): void {
  const ids = (authentication?.keys ?? []).map(({ id }) => id);
  ids.forEach((id, n) => {
    if (ids.indexOf(id) < n) complain('error',
      `/spec/authentication/keys/${n}/id`, `key ${id} is there twice: a packet names its key by this number alone`);
  });
}

function checkHost(spec: BfdSessionSpec, host: string, { hosts, alone }: BfdSurroundings, complain: Complain): void {
  const path = `/spec/hosts/${host}`;
  const peer = addressOf(spec.peer);
  const part = bfdPartOf(spec, host);
  const given = part?.local === undefined ? undefined : addressOf(part.local);
  if (part?.local !== undefined && (!given || !isHostAddress(given))) {
    return complain('error', `${path}/local`, `${JSON.stringify(part.local)} is no IP address that a host can have`);
  }
  if (given && peer && given.family !== peer.family) {
    return complain('error',
      `${path}/local`, `${given} is not of the family of the peer ${peer}: name an address of ${host} of that family`);
  }
  if (given && peer?.equals(given)) complain('error', `${path}/local`, `${given} is the peer's address: name one of ${host}`);
  if (hopsOf(spec) === 1) {
    if (bfdDeviceOf(spec, host) === undefined) {
      complain('error', path,
        `over one hop, by which interface of ${host}? Give it one here, or one for all hosts as /spec/interface; over several give hops`);
    }
    if (given) complain('warning', `${path}/local`, 'over one hop the interface\'s own address is used: take this out');
    return;
  }
  if (part?.interface !== undefined) complain('warning', `${path}/interface`,
    'over several hops the routes decide on the interface: take this out');
  if (given || !peer || (alone && !hosts.has(host))) return;
  const local = bfdLocalOf(spec, host, (other) => hosts.get(other)?.address);
  if (!local) complain('error', path,
    `over several hops the peer must know where ${host} sends from, and that is not known: give it a local address`);
  else if (local.family !== peer.family) {
    complain('error', path, `its address ${local} is not of the family of the peer ${peer}: give it a local address of that family`);
  }
  else if (local.equals(peer)) complain('error', path, `${peer} is ${host}'s own address: a host keeps no session with itself`);
}

function checkOthers(
  name: string, spec: BfdSessionSpec, host: string, { sessions, hosts, betweenHosts }: BfdSurroundings, complain: Complain,
): void {
  const addresses = (other: string): string | undefined => hosts.get(other)?.address;
  const ends = bfdEndsOf(spec, host, addresses);
  if (!ends) return;
  const path = `/spec/hosts/${host}`;
  for (const [other, theirs] of [...sessions].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const twin = other === name ? undefined : bfdEndsOf(theirs, host, addresses);
    if (twin && endsKey(twin) === endsKey(ends)) {
      complain('error', path,
        `BfdSession ${other} runs between the same ends on ${host}, and the two could not be told apart: keep one of them`);
    }
  }
  const own = hosts.get(host);
  if (!betweenHosts || ends.hops === 'single' || !own) return;
  const peer = [...hosts].find(([other, of]) => other !== host
    && [...pathAddresses(of)].some(([way, address]) => address.equals(ends.peer) && pathAddresses(own).get(way)?.equals(ends.local)));
  if (peer) {
    complain('warning', path,
      `${host} and ${peer[0]} keep a session between these addresses of themselves (detect.bfd): with this one ${peer[0]} is not ` +
      `watched there by ${host}`);
  }
}

/** Routers that hang on it must find it on each host where they do. */
function checkTrackers(name: string, spec: BfdSessionSpec, routers: ReadonlyMap<string, VirtualRouterSpec>, complain: Complain): void {
  for (const { router, host } of trackersOf(name, routers)) {
    if (!bfdPartOf(spec, host)) complain('error', '/spec/hosts',
      `VirtualRouter ${router} hangs on this session on ${host}: list ${host} here, or take the track out there first`);
  }
}

/** Which routers hang on this session, and on which of their hosts. */
export function trackersOf(
  name: string, routers: ReadonlyMap<string, VirtualRouterSpec>,
): readonly { readonly router: string; readonly host: string }[] {
  return [...routers].flatMap(([router, spec]) => Object.keys(spec.hosts)
    .filter((host) => tracksOf(spec, host).some(({ track }) => track.kind === 'bfd' && track.bfd === name))
    .map((host) => ({ router, host })));
}

/** Tracks of a virtual router that name no BFD session, or none of that host. `alone`: sessions may be declared elsewhere. */
export function checkBfdTracks(spec: VirtualRouterSpec, sessions: ReadonlyMap<string, BfdSessionSpec>, alone: boolean): readonly Problem[] {
  const problems = Object.keys(spec.hosts).flatMap((host) => tracksOf(spec, host).flatMap(({ track, path }): Problem[] => {
    if (track.kind !== 'bfd') return [];
    const session = sessions.get(track.bfd);
    const fault = (message: string): Problem[] => [{ severity: 'error', path: `${path}/bfd`, message }];
    if (session && bfdPartOf(session, host)) return [];
    if (session) return fault(`BfdSession ${track.bfd} is not one of ${host}: list ${host} in it, or track another one there`);
    if (alone) return [];
    const known = [...sessions.keys()].join(', ') || 'those you declare';
    return fault(`there is no BfdSession ${track.bfd}: declare it, or name one of ${known}`);
  }));
  // A track of all hosts is looked at with each of them.
  return problems.filter((a, n) => problems.findIndex((b) => b.path === a.path && b.message === a.message) === n);
}

export const isHostAddress = (address: IpAddress): boolean =>
  !address.isMulticast && !address.isUnspecified && !isLoopback(address) && address.toString() !== '255.255.255.255';
const isLoopback = (address: IpAddress): boolean => (address.family === 4 ? address.bytes()[0] === 127 : address.toString() === '::1');
