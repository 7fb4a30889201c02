/**
 * A wire in virtual time: hosts that run BFD sessions, and a network between them that delays, loses and cuts. What travels are the
 * real bytes. Everything that happens is a function of what it is told.
 *
 * - A host that is *paused* does nothing, but its kernel receives and loops echoes back; when it wakes it drains first.
 * - One that is *frozen* receives nothing either: what comes meanwhile is lost.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import { type ArrivedBfd, BfdHost, type BfdHostEffect, type Chance } from '../../../src/protocol/bfd-host.ts';
import type { BfdPlan } from '../../../src/protocol/bfd-plan.ts';
import type { Sha1 } from '../../../src/wire/bfd-auth.ts';
import { bfdPort } from '../../../src/wire/bfd.ts';
import type { IpAddress } from '../../../src/wire/ip-address.ts';

/** One way, in ms; undefined: it is lost. */
export type Delay = (from: string, to: string, what: 'control' | 'echo') => number | undefined;

export const sha1: Sha1 = (bytes) => new Uint8Array(createHash('sha1').update(bytes).digest());

export class WireHost {
  readonly name: string;
  readonly address: IpAddress;
  readonly chance: Chance;
  /** Undefined: not started, or killed. */
  bfd: BfdHost | undefined;
  plans: BfdPlan[] = [];
  is: 'running' | 'paused' | 'frozen' = 'running';
  inbox: ArrivedBfd[] = [];
  /** How late its process is at its deadlines, each time. */
  lag: () => number = () => 0;
  /** When it will look. */
  wakes: { readonly due: number; readonly at: number } | undefined;

  constructor(name: string, address: IpAddress, chance: Chance) {
    this.name = name;
    this.address = address;
    this.chance = chance;
  }
}

interface Delivery {
  readonly at: number;
  readonly to: string;
  readonly datagram: Omit<ArrivedBfd, 'at'>;
  /** An echo on its way out: who gets it back. */
  readonly loopTo?: string;
}

export type Watch = (host: WireHost, effect: BfdHostEffect) => void;

export class BfdWire {
  now: Milliseconds = ms(0);
  readonly hosts = new Map<string, WireHost>();
  readonly #delay: Delay;
  readonly #watch: Watch;
  /** After everything that happened at an instant. */
  readonly #check: () => void;
  readonly #last = new Map<string, number>();
  /** Whatever reached a host's kernel. */
  heard: (host: WireHost, datagram: ArrivedBfd) => void = () => {};
  #deliveries: Delivery[] = [];
  #keys = 0;

  constructor(delay: Delay, watch: Watch, check: () => void = () => {}) {
    this.#delay = delay;
    this.#watch = watch;
    this.#check = check;
  }

  add(host: WireHost): void {
    this.hosts.set(host.name, host);
  }

  /** A new process. */
  start(host: WireHost): void {
    host.is = 'running';
    host.inbox = [];
    host.bfd = new BfdHost({ sha1, chance: host.chance, echoKey: new Uint8Array(16).fill(++this.#keys) });
    this.do(host, (bfd) => bfd.configure(host.plans, this.now));
  }

  kill(host: WireHost): void {
    host.bfd = undefined;
    host.inbox = [];
  }

  wake(host: WireHost): void {
    host.is = 'running';
    const waiting = host.inbox;
    host.inbox = [];
    for (const datagram of waiting) this.do(host, (bfd) => bfd.heard(datagram, this.now));
    this.do(host, (bfd) => bfd.expire(this.now));
    this.#check();
  }

  do(host: WireHost, action: (bfd: BfdHost) => readonly BfdHostEffect[]): void {
    if (!host.bfd) return;
    for (const effect of action(host.bfd)) {
      this.#watch(host, effect);
      this.#carryOut(host, effect);
    }
  }

  arrive(host: WireHost, datagram: ArrivedBfd): void {
    if (host.is !== 'frozen') this.heard(host, datagram);
    if (host.is === 'running') this.do(host, (bfd) => bfd.heard(datagram, this.now));
    else if (host.is === 'paused') host.inbox.push(datagram);
  }

  advance(span: number): void {
    const end = this.now + span;
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 500_000, 'time stands still');
      const delivery = this.#earliest();
      let next: WireHost | undefined;
      let at = delivery?.at ?? Infinity;
      for (const host of this.hosts.values()) {
        const due = this.#wakes(host);
        // Datagrams first: sockets are drained before anything is decided.
        if (due !== undefined && due < at) [next, at] = [host, due];
      }
      if (at > end) break;
      this.now = ms(Math.max(this.now, at));
      if (next) this.do(next, (bfd) => bfd.expire(this.now));
      else if (delivery) this.#deliver(delivery);
      this.#check();
    }
    this.now = ms(end);
    this.#check();
  }

  #wakes(host: WireHost): number | undefined {
    const due = host.is === 'running' ? host.bfd?.deadline() : undefined;
    if (due === undefined) return undefined;
    if (host.wakes?.due !== due) host.wakes = { due, at: due + host.lag() };
    return host.wakes.at;
  }

  #earliest(): Delivery | undefined {
    let first: Delivery | undefined;
    for (const delivery of this.#deliveries) if (!first || delivery.at < first.at) first = delivery;
    return first;
  }

  #deliver(delivery: Delivery): void {
    this.#deliveries.splice(this.#deliveries.indexOf(delivery), 1);
    const { to, datagram, loopTo } = delivery;
    const host = this.hosts.get(to);
    if (!host || host.is === 'frozen') return;
    if (loopTo !== undefined) this.#send(to, loopTo, { ...datagram, ttl: datagram.ttl - 1 });
    else if (host.bfd) this.arrive(host, { ...datagram, at: this.now });
  }

  #send(from: string, to: string, datagram: Omit<ArrivedBfd, 'at'>, loopTo?: string): void {
    const delay = this.#delay(from, to, datagram.port === bfdPort.echo ? 'echo' : 'control');
    if (delay === undefined) return;
    // A link keeps the order of what it carries.
    const way = `${from}>${to}`;
    const at = Math.max(this.now + delay, this.#last.get(way) ?? 0);
    this.#last.set(way, at);
    this.#deliveries.push({ at, to, datagram, ...(loopTo === undefined ? {} : { loopTo }) });
  }

  #carryOut(host: WireHost, effect: BfdHostEffect): void {
    if (effect.do !== 'send' && effect.do !== 'echo') return;
    const { path: { peer, hops } } = effect.plan;
    const to = [...this.hosts.values()].find(({ address }) => address.equals(peer));
    if (!to) return;
    const common = { source: host.address, interface: 'e0', ttl: 255, payload: effect.bytes };
    if (effect.do === 'send') this.#send(host.name, to.name, { ...common, destination: peer, port: bfdPort[hops] });
    else this.#send(host.name, to.name, { ...common, destination: host.address, port: bfdPort.echo }, host.name);
  }
}

/** Milliseconds, to the microsecond. */
export const shown = (value: number): string => String(Math.round(value * 1000) / 1000);
