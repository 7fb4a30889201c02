/** One virtual router of a host: its plan, its machine, and all that was told about it. vrrp-host.ts has them all. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type HeardAdvert, type VrrpSettings, type VrrpState, initialVrrp } from './vrrp.ts';

/** One router's plan, looked up and parsed. */
export interface HostRouter {
  readonly name: string;
  /** Whatever cannot be changed while it runs, as a text: device, virtual MAC, … With another one it is another router. */
  readonly identity: string;
  /** `priority`: as configured. */
  readonly settings: VrrpSettings;
  readonly group?: string | undefined;
  readonly track: readonly HostTrack[];
}

/** `weight` in -253..253; absent: being down is a fault. */
export interface HostTrack {
  /** See `trackKey`. */
  readonly key: string;
  readonly weight?: number | undefined;
}

/** What this host knew when a router changed its phase. */
export interface TransitionEvidence {
  readonly priority: number;
  /** The last adverts heard, newest first, at most 5. */
  readonly adverts: readonly { readonly from: IpAddress; readonly priority: number; readonly interval: Milliseconds; readonly ago: Milliseconds }[];
  /** How late this decision was. */
  readonly late: Milliseconds;
  readonly link: 'up' | 'down';
  /** What is down of that which it tracks, by key. */
  readonly down: readonly string[];
}

export type Tracked =
  | { readonly kind: 'interface'; readonly interface: string }
  | { readonly kind: 'route'; readonly route: string }
  | { readonly kind: 'bfd'; readonly bfd: string }
  | { readonly kind: 'process'; readonly process: string }
  | { readonly kind: 'script'; readonly script: string };

/** What is tracked, as one text; two routers that track the same have the same. */
export function trackKey(track: Tracked): string {
  switch (track.kind) {
    case 'interface': return `interface:${track.interface}`;
    case 'route': return `route:${track.route}`;
    case 'bfd': return `bfd:${track.bfd}`;
    case 'process': return `process:${track.process}`;
    case 'script': return `script:${track.script}`;
  }
}

/** The same in words, for people. */
export function describeTrack(track: Tracked): string {
  switch (track.kind) {
    case 'interface': return `interface ${track.interface}`;
    case 'route': return `route ${track.route}`;
    case 'bfd': return `BFD session ${track.bfd}`;
    case 'process': return `process ${track.process}`;
    case 'script': return `script ${track.script}`;
  }
}

export interface Member {
  plan: HostRouter;
  state: VrrpState;
  since: Milliseconds;
  /** `undefined`: nobody has told yet. */
  link: boolean | undefined;
  /** `null`: there is none. */
  source: IpAddress | null | undefined;
  /** Why the driver cannot carry its plan out. */
  refused: string | undefined;
  removed: boolean;
  /** Why its group last kept it from taking over, since it last changed its phase. */
  heldBack: string | undefined;
  /** It was told that another sends from its own address. */
  twin: boolean;
  /** Newest first. */
  heard: readonly HeardAdvert[];
  duels: number;
  lastHealed: Milliseconds | undefined;
}

/** Of how many adverts it is told what was heard. */
const EVIDENCE = 5;

/** What is tracked and how it is, by key; what nobody has told of counts as up. */
export type Tracks = ReadonlyMap<string, boolean>;

export const beginMember = (plan: HostRouter, now: Milliseconds): Member => ({
  plan, state: initialVrrp(plan.settings), since: now, link: undefined, source: undefined, refused: undefined, removed: false, heldBack: undefined,
  twin: false, heard: [], duels: 0, lastHealed: undefined,
});

/** Too different to be changed while it runs. */
export const isAnother = (a: HostRouter, b: HostRouter): boolean =>
  a.identity !== b.identity || a.settings.vrid !== b.settings.vrid || a.settings.version !== b.settings.version;

export function remember(member: Member, advert: HeardAdvert): void {
  member.heard = [advert, ...member.heard.slice(0, EVIDENCE - 1)];
}

/** What it lacks; empty also as long as nobody has told. */
export function faultsOf({ plan, refused, link, source }: Member, tracks: Tracks): string[] {
  return [
    ...(refused === undefined ? [] : [refused]),
    ...(link === false ? ['its interface is down'] : []),
    ...(source === null ? ['its interface has no address to send from'] : []),
    ...plan.track.filter(({ key, weight }) => weight === undefined && tracks.get(key) === false).map(({ key }) => `${key} is down`),
  ];
}

export function evidenceOf({ state, heard, link, plan }: Member, tracks: Tracks, late: Milliseconds, now: Milliseconds): TransitionEvidence {
  return {
    priority: state.settings.priority,
    adverts: heard.map(({ from, priority, interval, at }) => ({ from, priority, interval, ago: ms(now - at) })),
    late, link: link === false ? 'down' : 'up',
    down: plan.track.map(({ key }) => key).filter((key) => tracks.get(key) === false),
  };
}

/** In what the other's advert differs, for people. RFC 9568 §7.1 wants the list of addresses looked at, and nothing done about it. */
export function differences({ plan: { settings: { addresses, interval, version } }, source }: Member, heard: HeardAdvert): string[] {
  const text = (list: readonly IpAddress[]): string => list.map(String).sort().join(' ');
  const found: string[] = [];
  if (source?.equals(heard.from) === true) {
    found.push(`another sends from this host's own address ${heard.from}, or the network has a loop: give each host its own source`);
  }
  if (heard.interval !== interval) {
    const trouble = version === 2 ? ' (version 2 needs the same everywhere)' : '';
    found.push(`${heard.from} sends every ${heard.interval} ms, configured here: ${interval} ms${trouble}`);
  }
  if (text(heard.addresses) !== text(addresses)) {
    found.push(`${heard.from} has the addresses ${text(heard.addresses)}, configured here: ${text(addresses)}`);
  }
  return found;
}
