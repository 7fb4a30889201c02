/**
 * All virtual routers of one host: what a `vrrp.ts` machine alone cannot know. Pure: time comes in, effects go out, each with its
 * router's name; the driver carries them out in their order and decides nothing.
 *
 * - **Readiness** is a level, not an edge: link, source address, what is tracked without a weight, and what the driver refused. All of it
 *   there: `start`; anything missing: `fault`, with all that is missing as its reason.
 * - **Weights** are summed over a whole sync group, each thing tracked once, and the sum is kept in 1..254. (Were they not
 *   shared, two hosts could rank differently in two members of a group, and the group would go to and fro for ever.) An owner, 255, has no
 *   weights.
 * - **Sync groups** are Active together or not at all. When a member becomes Active the others follow at once, when one steps back they
 *   step back, and a member in fault is the fault of all. A member whose timer fires does not take over while another member
 *   hears an Active that it may not preempt, and has heard it since this one should have been heard: that host lives, and has lost only
 *   this network. To take over would be to lose the other member's duel, step back, and begin anew, for ever. It listens on.
 * - **Reload**: `configure` brings the difference. A router whose plan is as it was gets no event that changes anything. What went is
 *   `gone` when it has left in good order.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { activeDownInterval } from './vrrp-timers.ts';
import {
  type HeardAdvert, type VrrpEffect, type VrrpEvent, type VrrpPhase, type VrrpSettings, type VrrpState,
  deadlineOf, initialVrrp, intervalOf, phaseOf, stepVrrp,
} from './vrrp.ts';

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

type Transition = Extract<VrrpEffect, { do: 'transition' }>;
export type HostEffect = { readonly router: string } & (
  | Exclude<VrrpEffect, Transition>
  | (Transition & { readonly evidence: TransitionEvidence })
  /** It was taken away and has left: take down what was made for it. */
  | { readonly do: 'gone' }
);

export interface HostRouterStatus {
  readonly state: VrrpPhase;
  /** On the clock of `now`. */
  readonly since: Milliseconds;
  readonly reason: string | undefined;
  readonly priority: number;
  readonly effectivePriority: number;
  readonly interval: Milliseconds;
  readonly effectiveInterval: Milliseconds;
  /** The Active that a Backup hears. */
  readonly active: HeardAdvert | undefined;
  readonly differences: readonly string[];
  readonly tracks: readonly { readonly what: string; readonly up: boolean | undefined; readonly weight: number | undefined }[];
  /** Won ones: of those that it lost it cannot tell whether it was only preempted. */
  readonly duels: { readonly count: number; readonly lastHealed: Milliseconds | undefined };
}

interface Member {
  plan: HostRouter;
  state: VrrpState;
  since: Milliseconds;
  /** `undefined`: nobody has told yet. */
  link: boolean | undefined;
  /** `null`: there is none. */
  source: IpAddress | null | undefined;
  refused: string | undefined;
  removed: boolean;
  /** Newest first. */
  heard: readonly HeardAdvert[];
  duels: number;
  lastHealed: Milliseconds | undefined;
}

const EVIDENCE = 5;

/** What is tracked, as one text; two routers that track the same have the same. */
export function trackKey(
  track:
    | { readonly kind: 'interface'; readonly interface: string }
    | { readonly kind: 'route'; readonly route: string }
    | { readonly kind: 'process'; readonly process: string }
    | { readonly kind: 'script'; readonly script: string },
): string {
  switch (track.kind) {
    case 'interface': return `interface:${track.interface}`;
    case 'route': return `route:${track.route}`;
    case 'process': return `process:${track.process}`;
    case 'script': return `script:${track.script}`;
  }
}

export class VrrpHost {
  readonly #members = new Map<string, Member>();
  readonly #tracks = new Map<string, boolean>();
  #holdable: Milliseconds = ms(0);

  /** All that this host is to take part in from now on. */
  configure(plans: readonly HostRouter[], now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    const wanted = new Map(plans.map((plan) => [plan.name, plan]));
    for (const [name, member] of this.#members) {
      const plan = wanted.get(name);
      if (!plan) {
        member.removed = true;
        this.#step(member, { kind: 'stop', reason: 'it was taken out of the configuration' }, now, out);
        this.#forgetIfGone(member, out);
      } else if (isAnother(member.plan, plan)) {
        this.#step(member, { kind: 'fault', reason: 'It is replaced by another router of this name' }, now, out);
        this.#members.delete(name);
        out.push({ router: name, do: 'gone' });
      }
    }
    for (const plan of plans) {
      const member = this.#members.get(plan.name);
      if (member) Object.assign(member, { plan, removed: false });
      else this.#members.set(plan.name, begin(plan, now));
    }
    // Weights hang on whole groups: only now are they known.
    for (const member of this.#members.values()) {
      if (member.removed) continue;
      this.#step(member, { kind: 'settings', settings: { ...member.plan.settings, priority: this.#priority(member) } }, now, out);
      this.#step(member, { kind: 'holdable', interval: this.#holdable }, now, out);
    }
    this.#settle(now, out);
    return out;
  }

  heard(router: string, advert: HeardAdvert, now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    const member = this.#members.get(router);
    if (!member) return out;
    member.heard = [advert, ...member.heard.slice(0, EVIDENCE - 1)];
    this.#step(member, { kind: 'advert', advert }, now, out);
    this.#forgetIfGone(member, out);
    return out;
  }

  /** The sockets of all routers are drained. */
  expire(now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    for (const member of this.#members.values()) {
      const due = deadlineOf(member.state);
      if (due === undefined || due > now) continue;
      const because = member.state.phase === 'backup' && now >= member.state.activeDown ? this.#heldBackBy(member, now) : undefined;
      this.#step(member, because === undefined ? { kind: 'expire' } : { kind: 'group', to: 'backup', because }, now, out, ms(now - due));
      this.#forgetIfGone(member, out);
    }
    return out;
  }

  /** When `expire` is wanted. */
  deadline(): Milliseconds | undefined {
    let earliest: Milliseconds | undefined;
    for (const { state } of this.#members.values()) {
      const due = deadlineOf(state);
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due;
    }
    return earliest;
  }

  /** `undefined`: not known, which counts as up. */
  track(key: string, up: boolean | undefined, now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    if (this.#tracks.get(key) === up) return out;
    if (up === undefined) this.#tracks.delete(key);
    else this.#tracks.set(key, up);
    const because = `${key} is ${up === false ? 'down' : 'up'}`;
    for (const member of this.#members.values()) {
      if (!member.removed) this.#step(member, { kind: 'priority', priority: this.#priority(member), because }, now, out);
    }
    this.#settle(now, out);
    return out;
  }

  /** The router's own device: up and with carrier. Nothing starts before it was told. */
  link(router: string, up: boolean, now: Milliseconds): HostEffect[] {
    return this.#tell(router, { link: up }, now);
  }

  /** The address that its adverts come from; undefined: there is none. Nothing starts before it was told. */
  source(router: string, address: IpAddress | undefined, now: Milliseconds): HostEffect[] {
    return this.#tell(router, { source: address ?? null }, now);
  }

  /** The driver cannot carry this router's plan out; undefined: now it can. */
  refuse(router: string, reason: string | undefined, now: Milliseconds): HostEffect[] {
    return this.#tell(router, { refused: reason }, now);
  }

  /** The smallest interval this host can hold now. */
  holdable(interval: Milliseconds, now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    this.#holdable = interval;
    for (const member of this.#members.values()) this.#step(member, { kind: 'holdable', interval }, now, out);
    return out;
  }

  /** A neighbour was seen to use this host for one of the router's addresses. */
  used(router: string, now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    const member = this.#members.get(router);
    if (member) this.#step(member, { kind: 'used' }, now, out);
    return out;
  }

  /** Also those that are leaving. */
  names(): string[] {
    return [...this.#members.keys()];
  }

  status(router: string): HostRouterStatus | undefined {
    const member = this.#members.get(router);
    if (!member) return undefined;
    const { plan, state } = member;
    const last = member.heard.find(({ priority }) => priority > 0);
    return {
      state: phaseOf(state), since: member.since, reason: state.phase === 'fault' ? state.reason : undefined,
      priority: plan.settings.priority, effectivePriority: state.settings.priority,
      interval: plan.settings.interval, effectiveInterval: intervalOf(state),
      active: state.phase === 'backup' ? last : undefined,
      differences: last ? differences(plan.settings, last) : [],
      tracks: plan.track.map(({ key, weight }) => ({ what: key, up: this.#tracks.get(key), weight })),
      duels: { count: member.duels, lastHealed: member.lastHealed },
    };
  }

  #tell(router: string, told: Partial<Pick<Member, 'link' | 'source' | 'refused'>>, now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    const member = this.#members.get(router);
    if (!member) return out;
    Object.assign(member, told);
    this.#settle(now, out);
    return out;
  }

  /** Steps one machine, and what must follow of it in its group. */
  #step(member: Member, event: VrrpEvent, now: Milliseconds, out: HostEffect[], late: Milliseconds = ms(0)): void {
    const { state, effects } = stepVrrp(member.state, event, now);
    member.state = state;
    const { name } = member.plan;
    let turned: Transition | undefined;
    for (const effect of effects) {
      if (effect.do === 'transition') {
        turned = effect;
        member.since = now;
        out.push({ router: name, ...effect, evidence: this.#evidence(member, late, now) });
      } else {
        if (effect.do === 'duel' && effect.won) member.duels++;
        if (effect.do === 'healed') member.lastHealed = effect.after;
        out.push({ router: name, ...effect });
      }
    }
    if (!turned || event.kind === 'group') return;
    const to = turned.to === 'active' ? 'active' : turned.from === 'active' && turned.to === 'backup' ? 'backup' : undefined;
    if (to === undefined) return;
    const because = to === 'active' ? `${name} became Active` : `${name} stepped back`;
    for (const other of this.#groupOf(member)) if (other !== member) this.#step(other, { kind: 'group', to, because }, now, out);
  }

  /** Brings every router to what its readiness and its group's say. */
  #settle(now: Milliseconds, out: HostEffect[]): void {
    for (const member of this.#members.values()) {
      if (member.removed) continue;
      const own = this.#faults(member);
      const group = this.#groupOf(member);
      const culprit = group.find((other) => other !== member && this.#faults(other).length > 0);
      const reason = own.length > 0 ? own.join(', ') : culprit && `Sync group: ${culprit.plan.name}: ${this.#faults(culprit).join(', ')}`;
      const { state, source } = member;
      if (reason !== undefined) {
        if (state.phase !== 'fault' || state.reason !== reason) this.#step(member, { kind: 'fault', reason }, now, out);
      } else if (source && group.every((other) => other.link !== undefined && other.source !== undefined)) {
        const known = 'source' in state && state.phase !== 'leaving' && state.source.equals(source);
        if (!known) this.#step(member, { kind: 'start', source }, now, out);
      }
    }
    // An owner that started before the others of its group, or a router that came into a group.
    for (const member of this.#members.values()) {
      const leader = member.state.phase === 'backup' && this.#groupOf(member).find(({ state }) => state.phase === 'active');
      if (leader) this.#step(member, { kind: 'group', to: 'active', because: `${leader.plan.name} is Active` }, now, out);
    }
  }

  /** What it lacks; empty also as long as nobody has told. */
  #faults({ plan, refused, link, source }: Member): string[] {
    return [
      ...(refused === undefined ? [] : [refused]),
      ...(link === false ? ['its interface is down'] : []),
      ...(source === null ? ['its interface has no address to send from'] : []),
      ...plan.track.filter(({ key, weight }) => weight === undefined && this.#tracks.get(key) === false).map(({ key }) => `${key} is down`),
    ];
  }

  /** With it, all that are with it or nobody. */
  #groupOf(member: Member): Member[] {
    const { group } = member.plan;
    if (group === undefined || member.removed) return [member];
    return [...this.#members.values()].filter((other) => other.plan.group === group && !other.removed);
  }

  #priority(member: Member): number {
    const { priority } = member.plan.settings;
    if (priority === 255) return priority;
    const weights = new Map<string, number>();
    for (const { plan } of this.#groupOf(member)) {
      for (const { key, weight } of plan.track) if (weight !== undefined && !weights.has(key)) weights.set(key, weight);
    }
    let sum = priority;
    for (const [key, weight] of weights) if ((this.#tracks.get(key) ?? true) === weight > 0) sum += weight;
    return Math.min(254, Math.max(1, sum));
  }

  /** Why a member whose Active has fallen silent must not take over all the same; see the header. */
  #heldBackBy(member: Member, now: Milliseconds): string | undefined {
    if (member.state.phase !== 'backup') return undefined;
    const due = (member.heard[0]?.at ?? -Infinity) + 1.5 * member.state.activeInterval;
    for (const other of this.#groupOf(member)) {
      const { state, heard: [last] } = other;
      if (other === member || state.phase !== 'backup' || !last || last.priority === 0) continue;
      const superior = last.priority >= state.settings.priority || !state.settings.preempt;
      const living = now < last.at + activeDownInterval(state.settings, state.activeInterval);
      if (superior && living && last.at > due) return `${other.plan.name} hears ${last.from}, which lives and is not to be preempted`;
    }
    return undefined;
  }

  #evidence({ state, heard, link, plan }: Member, late: Milliseconds, now: Milliseconds): TransitionEvidence {
    return {
      priority: state.settings.priority,
      adverts: heard.map(({ from, priority, interval, at }) => ({ from, priority, interval, ago: ms(now - at) })),
      late, link: link === false ? 'down' : 'up',
      down: plan.track.map(({ key }) => key).filter((key) => this.#tracks.get(key) === false),
    };
  }

  #forgetIfGone(member: Member, out: HostEffect[]): void {
    if (!member.removed || member.state.phase !== 'initialize') return;
    this.#members.delete(member.plan.name);
    out.push({ router: member.plan.name, do: 'gone' });
  }
}

const begin = (plan: HostRouter, now: Milliseconds): Member => ({
  plan, state: initialVrrp(plan.settings), since: now, link: undefined, source: undefined, refused: undefined, removed: false,
  heard: [], duels: 0, lastHealed: undefined,
});

const isAnother = (a: HostRouter, b: HostRouter): boolean =>
  a.identity !== b.identity || a.settings.vrid !== b.settings.vrid || a.settings.version !== b.settings.version;

/** In what the other's advert differs, for people. RFC 9568 §7.1 wants the list of addresses looked at, and nothing done about it. */
function differences({ addresses, interval, version }: VrrpSettings, heard: HeardAdvert): string[] {
  const text = (list: readonly IpAddress[]): string => list.map(String).sort().join(' ');
  const found: string[] = [];
  if (heard.interval !== interval) {
    const trouble = version === 2 ? ' (version 2 needs the same everywhere)' : '';
    found.push(`${heard.from} sends every ${heard.interval} ms, configured here: ${interval} ms${trouble}`);
  }
  if (text(heard.addresses) !== text(addresses)) {
    found.push(`${heard.from} has the addresses ${text(heard.addresses)}, configured here: ${text(addresses)}`);
  }
  return found;
}
