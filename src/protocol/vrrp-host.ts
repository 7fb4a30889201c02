/**
 * All virtual routers of one host: what a `vrrp.ts` machine alone cannot know. Pure: time comes in, effects go out, each with its
 * router's name; the driver carries them out in their order and decides nothing.
 *
 * - **Readiness** is a level, not an edge: link, source address, what is tracked without a weight, and what the driver refused. All of it
 *   there: `start`; anything missing: `fault`, with all that is missing as its reason.
 * - **Sync groups** are Active together or not at all. When a member becomes Active the others follow at once, when one steps back they
 *   step back, and a member in fault is the fault of all. Their priority is one, and so is whether they may take over: vrrp-group.ts.
 * - **Reload**: `configure` brings the difference. A router whose plan is as it was gets no event that changes anything. What went is
 *   `gone` when it has left in good order.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { groupOf, groupPriority, heldBackBy } from './vrrp-group.ts';
import {
  type HostRouter, type Member, type TransitionEvidence, beginMember, differences, evidenceOf, faultsOf, isAnother, remember,
} from './vrrp-member.ts';
import { type HeardAdvert, type VrrpEffect, type VrrpEvent, type VrrpPhase, deadlineOf, intervalOf, phaseOf, stepVrrp } from './vrrp.ts';

export { type HostRouter, type HostTrack, type TransitionEvidence, describeTrack, trackKey } from './vrrp-member.ts';

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
      else this.#members.set(plan.name, beginMember(plan, now));
    }
    // Weights hang on whole groups: only now are they known.
    for (const member of this.#members.values()) {
      if (member.removed) continue;
      this.#step(member, { kind: 'settings', settings: { ...member.plan.settings, priority: groupPriority(this.#groupOf(member), this.#tracks) } }, now, out);
      this.#step(member, { kind: 'holdable', interval: this.#holdable }, now, out);
    }
    this.#settle(now, out);
    return out;
  }

  heard(router: string, advert: HeardAdvert, now: Milliseconds): HostEffect[] {
    const out: HostEffect[] = [];
    const member = this.#members.get(router);
    if (!member) return out;
    remember(member, advert);
    if (!member.twin && member.source?.equals(advert.from) === true) {
      member.twin = true;
      out.push({ router, do: 'note', rule: `An advert from its own address ${advert.from}: another host has it too, or the network has a loop` });
    }
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
      const because = member.state.phase === 'backup' && now >= member.state.activeDown ? heldBackBy(member, this.#groupOf(member), now) : undefined;
      const event: VrrpEvent = because === undefined
        ? { kind: 'expire' }
        : { kind: 'group', to: 'backup', because, again: because === member.heldBack };
      member.heldBack = because ?? member.heldBack;
      this.#step(member, event, now, out, ms(now - due));
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
      if (!member.removed) this.#step(member, { kind: 'priority', priority: groupPriority(this.#groupOf(member), this.#tracks), because }, now, out);
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
    const member = this.#members.get(router);
    const another = !address || member?.source?.equals(address) !== true;
    return this.#tell(router, { source: address ?? null, ...(another && { twin: false }) }, now);
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
      differences: last ? differences(member, last) : [],
      tracks: plan.track.map(({ key, weight }) => ({ what: key, up: this.#tracks.get(key), weight })),
      duels: { count: member.duels, lastHealed: member.lastHealed },
    };
  }

  #tell(router: string, told: Partial<Pick<Member, 'link' | 'source' | 'refused' | 'twin'>>, now: Milliseconds): HostEffect[] {
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
        member.heldBack = undefined;
        out.push({ router: name, ...effect, evidence: evidenceOf(member, this.#tracks, late, now) });
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
      const own = faultsOf(member, this.#tracks);
      const group = this.#groupOf(member);
      const culprit = group.find((other) => other !== member && faultsOf(other, this.#tracks).length > 0);
      const reason = own.length > 0 ? own.join(', ') : culprit && `Sync group: ${culprit.plan.name}: ${faultsOf(culprit, this.#tracks).join(', ')}`;
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

  #groupOf(member: Member): Member[] {
    return groupOf(member, this.#members.values());
  }

  #forgetIfGone(member: Member, out: HostEffect[]): void {
    if (!member.removed || member.state.phase !== 'initialize') return;
    this.#members.delete(member.plan.name);
    out.push({ router: member.plan.name, do: 'gone' });
  }
}
