/**
 * A segment in virtual time: hosts that run virtual routers, a neighbour `n` that uses them, and a network between them that delays,
 * loses and cuts. Everything that happens is a function of what it is told.
 *
 * - A host that is *paused* does nothing, but its kernel receives and goes on answering; when it wakes it drains first.
 * - One that is *frozen* receives nothing either: what comes meanwhile is lost.
 * - The neighbour believes whoever announced or asked last, and answers the host that asks it.
 */
import assert from 'node:assert/strict';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import type { HeardAdvert } from '../../../src/protocol/vrrp.ts';
import { type HostEffect, type HostRouter, VrrpHost } from '../../../src/protocol/vrrp-host.ts';
import type { IpAddress } from '../../../src/wire/ip-address.ts';

type Frame =
  | { readonly what: 'advert'; readonly router: string; readonly advert: Omit<HeardAdvert, 'at'> }
  | { readonly what: 'announcement' | 'question'; readonly router: string }
  | { readonly what: 'answer'; readonly router: string };

interface Delivery {
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly frame: Frame;
}

export const NEIGHBOUR = 'n';

/** Of one frame of a router, in ms; undefined: it is lost. */
export type Delay = (from: string, to: string, router: string) => number | undefined;
export class SegmentHost {
  readonly name: string;
  readonly address: IpAddress;
  /** Undefined: not started, or killed. */
  vrrp: VrrpHost | undefined;
  plans: HostRouter[] = [];
  is: 'running' | 'paused' | 'frozen' = 'running';
  inbox: { readonly router: string; readonly advert: HeardAdvert }[] = [];
  /** By router: the addresses that this host's kernel answers for. */
  readonly holds = new Map<string, Set<string>>();

  constructor(name: string, address: IpAddress) {
    this.name = name;
    this.address = address;
  }

  holdsAny(router: string): boolean {
    return this.holds.has(router);
  }
}

export class Segment {
  now: Milliseconds = ms(0);
  /** Transitions are logged with their evidence. */
  evidence = false;
  readonly hosts = new Map<string, SegmentHost>();
  /** Who the neighbour sends to, by router. */
  readonly believed = new Map<string, string>();
  readonly #delay: Delay;
  readonly #log: (line: string) => void;
  /** Called after everything that happened at an instant, before time goes on. */
  readonly #watch: () => void;
  #deliveries: Delivery[] = [];
  readonly #last = new Map<string, number>();

  constructor(delay: Delay, log: (line: string) => void, watch: () => void = () => {}) {
    this.#delay = delay;
    this.#log = log;
    this.#watch = watch;
  }

  add(name: string, address: IpAddress): SegmentHost {
    const host = new SegmentHost(name, address);
    this.hosts.set(name, host);
    return host;
  }

  /** A new process on the host that is told nothing but its plans; what an earlier one held is taken back first. */
  startBare(host: SegmentHost): void {
    this.kill(host);
    host.is = 'running';
    host.vrrp = new VrrpHost();
    this.do(host, (vrrp) => vrrp.configure(host.plans, this.now));
  }

  start(host: SegmentHost): void {
    this.startBare(host);
    this.do(host, (vrrp) => host.plans.flatMap(({ name }) => [...vrrp.link(name, true, this.now), ...vrrp.source(name, host.address, this.now)]));
  }

  kill(host: SegmentHost): void {
    host.vrrp = undefined;
    host.holds.clear();
    host.inbox = [];
  }

  wake(host: SegmentHost): void {
    host.is = 'running';
    this.#drain(host);
  }

  /** Carries out what the host's routers ask for. */
  do(host: SegmentHost, action: (vrrp: VrrpHost) => readonly HostEffect[]): void {
    if (!host.vrrp) return;
    for (const effect of action(host.vrrp)) this.#carryOut(host, effect);
    for (const name of host.vrrp.names()) {
      const state = host.vrrp.status(name)?.state;
      if (state === 'active') assert.ok(host.holdsAny(name), `${host.name}/${name} is Active without its addresses`);
      if (state === 'backup' || state === 'fault') assert.ok(!host.holdsAny(name), `${host.name}/${name} holds addresses in ${state}`);
    }
  }

  hear(host: SegmentHost, router: string, advert: HeardAdvert): void {
    if (host.is === 'running') this.do(host, (vrrp) => vrrp.heard(router, advert, this.now));
    else host.inbox.push({ router, advert });
  }

  advance(span: number): void {
    const end = this.now + span;
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 200_000, 'time stands still');
      const delivery = this.#earliest();
      let next: SegmentHost | undefined;
      let at = delivery?.at ?? Infinity;
      for (const host of this.hosts.values()) {
        const due = host.is === 'running' ? host.vrrp?.deadline() : undefined;
        // Frames first: sockets are drained before anything is decided.
        if (due !== undefined && due < at) [next, at] = [host, due];
      }
      if (at > end) break;
      this.now = ms(Math.max(this.now, at));
      if (next) this.do(next, (vrrp) => vrrp.expire(this.now));
      else if (delivery) this.#deliver(delivery);
      this.#watch();
    }
    this.now = ms(end);
    this.#watch();
  }

  #earliest(): Delivery | undefined {
    let first: Delivery | undefined;
    for (const delivery of this.#deliveries) {
      if (!first || delivery.at < first.at) first = delivery;
    }
    return first;
  }

  #deliver(delivery: Delivery): void {
    this.#deliveries.splice(this.#deliveries.indexOf(delivery), 1);
    const { frame, to, from } = delivery;
    if (to === NEIGHBOUR) {
      // As a switch and an ARP cache do: whoever spoke last.
      this.believed.set(frame.router, from);
      if (frame.what === 'question') this.#send(NEIGHBOUR, from, { what: 'answer', router: frame.router });
      return;
    }
    const host = this.hosts.get(to);
    if (!host?.vrrp || host.is === 'frozen') return;
    if (frame.what === 'advert') this.hear(host, frame.router, { ...frame.advert, at: this.now });
    else if (frame.what === 'answer' && host.is === 'running') this.do(host, (vrrp) => vrrp.used(frame.router, this.now));
  }

  #drain(host: SegmentHost): void {
    const waiting = host.inbox;
    host.inbox = [];
    for (const { router, advert } of waiting) this.do(host, (vrrp) => vrrp.heard(router, advert, this.now));
    this.do(host, (vrrp) => vrrp.expire(this.now));
    this.#watch();
  }

  #send(from: string, to: string, frame: Frame): void {
    const delay = this.#delay(from, to, frame.router);
    if (delay === undefined) return;
    // A link keeps the order of what it carries.
    const way = `${from}>${to}`;
    const at = Math.max(this.now + delay, this.#last.get(way) ?? 0);
    this.#last.set(way, at);
    this.#deliveries.push({ at, from, to, frame });
  }

  #carryOut(host: SegmentHost, effect: HostEffect): void {
    const { router } = effect;
    this.#log(`${host.name}/${router} ${describe(effect)}`);
    if (this.evidence && effect.do === 'transition') this.#log(`    ${JSON.stringify(effect.evidence)}`);
    switch (effect.do) {
      case 'send': {
        // Switches follow the virtual MAC: it is for whoever answers.
        assert.ok(effect.mac !== 'virtual' || host.holdsAny(router), `${host.name}/${router} turns the switches and has no addresses`);
        const addresses = host.plans.find(({ name }) => name === router)?.settings.addresses ?? [];
        const advert = { from: host.address, priority: effect.priority, interval: effect.interval, addresses };
        for (const to of this.hosts.keys()) if (to !== host.name) this.#send(host.name, to, { what: 'advert', router, advert });
        break;
      }
      case 'take':
        assert.ok(!host.holdsAny(router), `${host.name}/${router} takes what it has`);
        host.holds.set(router, new Set(host.plans.find(({ name }) => name === router)?.settings.addresses.map(String)));
        break;
      case 'release':
        assert.ok(host.holds.delete(router), `${host.name}/${router} releases what it has not`);
        break;
      case 'readdress': {
        const held = host.holds.get(router);
        assert.ok(held, `${host.name}/${router} changes addresses that it has not`);
        for (const address of effect.remove) assert.ok(held.delete(String(address)));
        for (const address of effect.add) held.add(String(address));
        break;
      }
      case 'announce':
        assert.ok(host.holdsAny(router), `${host.name}/${router} announces what it has not`);
        this.#send(host.name, NEIGHBOUR, { what: 'announcement', router });
        break;
      case 'verify':
        this.#send(host.name, NEIGHBOUR, { what: 'question', router });
        break;
      case 'gone':
        assert.ok(!host.holdsAny(router), `${host.name}/${router} is gone and holds its addresses`);
        break;
      default:
    }
  }
}

function describe(effect: HostEffect): string {
  switch (effect.do) {
    case 'send': return `send prio=${effect.priority} every=${effect.interval}${effect.mac === 'virtual' ? '' : ` mac=${effect.mac}`}`;
    case 'transition': return `${effect.from} → ${effect.to} [${effect.rule}]`;
    case 'note': return `note: ${effect.rule}`;
    case 'duel': return `duel with ${effect.with}, ${effect.won ? 'won' : 'lost'}`;
    case 'healed': return `healed after=${shown(effect.after)}`;
    case 'readdress': return ['readdress', ...effect.add.map((a) => `+${a}`), ...effect.remove.map((a) => `-${a}`)].join(' ');
    default: return effect.do;
  }
}

/** Milliseconds, to the microsecond. */
export const shown = (value: number): string => String(Math.round(value * 1000) / 1000);
