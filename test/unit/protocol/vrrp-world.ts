/** A segment under a seed: hosts that are broken and mended, a network that loses and cuts, and what must hold meanwhile. */
import assert from 'node:assert/strict';
import { ms } from '../../../src/base/units.ts';
import type { HostRouter } from '../../../src/protocol/vrrp-host.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { seeded } from './seeded.ts';
import { NEIGHBOUR, Segment, type SegmentHost, shown } from './vrrp-segment.ts';

export type WorldPlan =
  /** `weight`: of `interface:x`, which every host tracks. */
  | { readonly priority: number; readonly interval: number; readonly preempt: boolean; readonly weight: number }
  | { readonly routers: readonly HostRouter[] };

export interface WorldNetwork {
  readonly least: number;
  readonly most: number;
  /** For how long two may be Active at a time, both awake; not checked without. */
  readonly bound?: number;
}

/** `who`, `other`: hosts, by number, modulo how many there are. `span`: how long is waited then, ms. */
export interface WorldStep {
  readonly do: string;
  readonly who: number;
  readonly other: number;
  readonly span: number;
}

const TRACKED = 'interface:x';
const LOSS = 0.3;
/** How often the loser of a duel says so before it gives up. */
const FAREWELLS = 10;

export class VrrpWorld {
  readonly history: string[] = [];
  readonly hosts: SegmentHost[];
  transitions = 0;
  naps = 0;
  duels = 0;
  /** At every moment some host answers for the addresses of `r`. */
  somebodyAnswers = false;
  /** A router whose adverts reach nobody. */
  broken: string | undefined;
  readonly #network: WorldNetwork;
  readonly #segment: Segment;
  readonly #cuts = new Set<string>();
  readonly #overlaps = new Map<string, number>();
  #lossy = false;
  readonly #next: () => number;
  /** By host and router: a duel was won and no neighbour seen to use it since. */
  readonly #unhealed = new Set<string>();
  /**
   * By host and router: its process ended, or it left, while the network was not whole or another was Active too; or its farewells were
   * all lost. If it had been Active beside another, that one may not have heard of it, and nobody is left who could tell: the
   * neighbours' own aging, or `refresh`, has to help.
   */
  readonly #orphans = new Set<string>();
  readonly #farewells = new Map<string, number>();

  constructor(plans: readonly WorldPlan[], seed: number, network: WorldNetwork) {
    this.#network = network;
    this.#next = seeded(seed);
    this.#segment = new Segment((from, to, router) => this.#delay(from, to, router), (line) => this.#note(line), () => this.#check());
    this.hosts = plans.map((plan, index) => {
      const host = this.#segment.add(`h${index}`, parseIpAddress(`192.0.2.${index + 1}`));
      host.plans = 'routers' in plan ? [...plan.routers] : [router(plan)];
      return host;
    });
  }

  /** With its history in the error when it fails. */
  attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      const lines = this.history.filter((line) => !/ send prio=[1-9]/.test(line)).slice(-60);
      throw new Error([error instanceof Error ? error.message : String(error), ...lines].join('\n'), { cause: error });
    }
  }

  startAll(): void {
    for (const host of this.hosts) this.#segment.start(host);
  }

  advance(span: number): void {
    this.#segment.advance(span);
  }

  step({ do: what, who, other, span }: WorldStep): void {
    const host = this.hosts[who % this.hosts.length];
    const peer = this.hosts[other % this.hosts.length];
    assert.ok(host && peer);
    this.history.push(`${shown(this.#segment.now).padStart(9)} # ${what} ${host.name} ${peer.name}, ${span} ms`);
    // A new rank may turn a duel round while it lasts.
    this.#overlaps.clear();
    this.#do(host, peer, what);
    this.advance(span);
  }

  #do(host: SegmentHost, peer: SegmentHost, what: string): void {
    const segment = this.#segment;
    switch (what) {
      case 'wake': if (host.is !== 'running') segment.wake(host); return;
      case 'kill': this.#forget(host); segment.kill(host); return;
      case 'start': this.#forget(host); segment.start(host); return;
      case 'cut': this.#cuts.add(`${host.name}>${peer.name}`); return;
      // From all others, both ways.
      case 'split': for (const one of this.hosts) this.#cuts.add(`${host.name}>${one.name}`).add(`${one.name}>${host.name}`); return;
      case 'heal': this.#cuts.clear(); this.#lossy = false; return;
      case 'lossy': this.#lossy = true; return;
      default:
    }
    // What is asked of a process that stands still it cannot do.
    if (host.is !== 'running') return;
    switch (what) {
      case 'pause': host.is = 'paused'; return;
      case 'freeze': host.is = 'frozen'; return;
      case 'stop': this.#forget(host); segment.do(host, (vrrp) => vrrp.configure([], segment.now)); return;
      case 'down':
      case 'up': segment.do(host, (vrrp) => vrrp.track(TRACKED, what === 'up', segment.now)); return;
      case 'link-down':
      case 'link-up': segment.do(host, (vrrp) => vrrp.link(peer.name === 'h0' ? 'r' : 's', what === 'link-up', segment.now)); return;
      default:
    }
  }

  /** Everybody runs, and the network is whole. */
  calm(): void {
    this.#cuts.clear();
    this.#lossy = false;
    this.history.push(`${shown(this.#segment.now).padStart(9)} # calm`);
    for (const host of this.hosts) {
      if (host.is !== 'running') this.#segment.wake(host);
      for (const { name } of host.plans) this.#segment.do(host, (vrrp) => vrrp.link(name, true, this.#segment.now));
    }
  }

  actives(router = 'r'): SegmentHost[] {
    return this.hosts.filter((host) => host.vrrp?.status(router)?.state === 'active');
  }

  /** The highest priority among those that take part. */
  highest(): number {
    return Math.max(...this.hosts.map((host) => this.rank(host)));
  }

  rank(host: SegmentHost): number {
    return host.vrrp?.status('r')?.effectivePriority ?? 0;
  }

  /** Exactly one is Active, nobody else holds the addresses, the neighbour sends to it, and it knows that after a duel. */
  checkStable(router = 'r'): void {
    const taking = this.hosts.filter((host) => host.vrrp?.status(router) !== undefined);
    const active = this.actives(router).map(({ name }) => name);
    assert.equal(active.length, Math.min(1, taking.length), `Active: ${active.join(' ') || 'nobody'}`);
    assert.deepEqual(this.hosts.filter((host) => host.holdsAny(router)).map(({ name }) => name), active);
    if (active.length === 0) return;
    const believed = this.#segment.believed.get(router);
    if (!this.#orphans.has(`${believed}/${router}`)) assert.equal(believed, active[0], 'the neighbour sends to somebody else');
    assert.ok(!this.#unhealed.has(`${active[0]}/${router}`), 'a duel was won, and nobody was seen to use the winner');
  }

  #check(): void {
    const { now } = this.#segment;
    if (this.somebodyAnswers) assert.ok(this.hosts.some((host) => host.holdsAny('r')), 'nobody answers');
    for (const host of this.hosts) {
      const states = host.plans.map(({ name }) => host.vrrp?.status(name)?.state);
      const active = states.filter((state) => state === 'active').length;
      assert.ok(active === 0 || active === states.length, `${host.name}: ${states.join(' ')}`);
    }
    const { bound } = this.#network;
    if (bound === undefined) return;
    const active = this.actives().filter((host) => host.is === 'running').map(({ name }) => name);
    const pairs = new Set(active.flatMap((one) => active.filter((other) => other > one).map((other) => `${one} ${other}`)));
    for (const pair of this.#overlaps.keys()) if (!pairs.has(pair)) this.#overlaps.delete(pair);
    for (const pair of pairs) {
      const since = this.#overlaps.get(pair) ?? now;
      this.#overlaps.set(pair, since);
      assert.ok(now - since <= bound + 1e-6, `${pair} are Active both since ${since}`);
    }
  }

  #note(line: string): void {
    this.history.push(`${shown(this.#segment.now).padStart(9)} ${line}`);
    const [who = '', what = ''] = line.split(' ');
    if (/ → /.test(line)) this.transitions++;
    if (what === 'note:' && line.includes('overslept')) this.naps++;
    if (what === 'duel' && line.endsWith('won')) {
      this.duels++;
      this.#unhealed.add(who);
    }
    if (what === 'healed' || what === 'release') this.#unhealed.delete(who);
    if (what === 'take') this.#orphans.delete(who);
    if (/ send prio=0 /.test(line) && !this.#whole) this.#orphans.add(who);
    if (what === 'take') this.#farewells.delete(who);
    if (/ send prio=[1-9]/.test(line) && !this.#active(who)) {
      const said = (this.#farewells.get(who) ?? 0) + 1;
      this.#farewells.set(who, said);
      if (said === FAREWELLS) this.#orphans.add(who);
      assert.ok(said <= FAREWELLS, `${who} sends as a Backup, and sends`);
    }
  }

  #active(who: string): boolean {
    const [host = '', router = ''] = who.split('/');
    return this.#segment.hosts.get(host)?.vrrp?.status(router)?.state === 'active';
  }

  get #whole(): boolean {
    return this.#cuts.size === 0 && !this.#lossy && this.broken === undefined && this.hosts.every(({ is }) => is !== 'frozen');
  }

  #forget(host: SegmentHost): void {
    for (const { name } of host.plans) {
      this.#unhealed.delete(`${host.name}/${name}`);
      if (!this.#whole || this.hosts.some((other) => other !== host && other.holdsAny(name))) this.#orphans.add(`${host.name}/${name}`);
    }
  }

  #delay(from: string, to: string, router: string): number | undefined {
    const { least, most } = this.#network;
    const chance = this.#next();
    const delay = least + this.#next() * (most - least);
    const between = from !== NEIGHBOUR && to !== NEIGHBOUR;
    if (between && router === this.broken) return undefined;
    return this.#cuts.has(`${from}>${to}`) || (this.#lossy && chance < LOSS) ? undefined : delay;
  }
}

function router({ priority, interval, preempt, weight }: Extract<WorldPlan, { priority: number }>): HostRouter {
  return {
    name: 'r', identity: '', track: weight === 0 ? [] : [{ key: TRACKED, weight }],
    settings: {
      vrid: 1, version: 3, addresses: [parseIpAddress('192.0.2.254')], priority, interval: ms(interval), preempt, preemptDelay: ms(0),
      announce: { count: 3, interval: ms(100) },
    },
  };
}
