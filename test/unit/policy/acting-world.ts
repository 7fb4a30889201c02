/** A cluster as acting sees it: facts that a test sets, decisions that stay, time that it moves. Checks at every step what must always hold. */
import assert from 'node:assert/strict';
import { bytes, mib, ms } from '../../../src/base/units.ts';
import { decide } from '../../../src/policy/acting.ts';
import {
  type ActPolicy, type ActingFacts, type ActionTold, type Deed, type HostFacts, type MoveFacts, type PathFact, type Standing, type VmFacts, actPolicy, inForce,
  subjectKey,
} from '../../../src/policy/acting-facts.ts';
import { sicknessOf } from '../../../src/policy/acting-sickness.ts';
import { pairOf } from '../../../src/policy/path-use.ts';

export const GBIT = 125e6;
export const allModes = (mode: 'off' | 'advise' | 'act'): ActPolicy['modes'] => ({ path: mode, bandwidth: mode, target: mode, evacuate: mode, priority: mode });
export const acting: ActPolicy = { ...actPolicy(undefined), modes: allModes('act') };

export class ActingWorld {
  policy: ActPolicy;
  now = 1_000_000;
  readonly hosts: string[];
  readonly paths: readonly string[];
  readonly states = new Map<string, PathFact>();
  traffic = 0;
  moves: MoveFacts[] = [];
  vms: VmFacts[] = [];
  routers = new Map<string, string[]>();
  busy = new Map<string, number>();
  readonly free = new Map<string, number>();
  readonly gone = new Set<string>();
  standings = new Map<string, Standing>();
  deeds: Deed[] = [];
  /** All that was told, with its time. */
  readonly told: (ActionTold & { readonly now: number })[] = [];
  readonly #sickSince = new Map<string, number>();

  constructor(hosts = 4, paths: readonly string[] = ['main', 'storage'], policy: ActPolicy = acting) {
    this.hosts = Array.from({ length: hosts }, (_, n) => `h${n + 1}`);
    this.paths = paths;
    this.policy = policy;
  }

  set(one: string, other: string, path: string, state: PathFact['state'], slowLoss = 0.03, recovers = false): void {
    const key = `${pairOf(one, other).join(' ')} ${path}`;
    if (state === 'fit') this.states.delete(key);
    else this.states.set(key, { ...this.#fit(path), state, slowLoss, recovers, ...(state === 'unknown' ? {} : { because: `${one}: it is ${state}` }) });
  }

  /** To all others. */
  setHost(host: string, path: string, state: PathFact['state'], recovers = false): void {
    for (const other of this.hosts) if (other !== host) this.set(host, other, path, state, undefined, recovers);
  }

  #fit(path: string): PathFact {
    return { path, state: 'fit', slowLoss: 0, latency: ms(1), capacity: GBIT };
  }

  facts(): ActingFacts {
    const pairs = this.hosts.flatMap((a, n) => this.hosts.slice(n + 1).map((b) => ({
      a, b, traffic: this.traffic, paths: this.paths.map((path) => this.states.get(`${a} ${b} ${path}`) ?? this.#fit(path)),
    })));
    const sick = new Set([...sicknessOf(pairs)].flatMap(([path, hosts]) => [...hosts.keys()].map((host) => `${host} ${path}`)));
    for (const key of this.#sickSince.keys()) if (!sick.has(key)) this.#sickSince.delete(key);
    for (const key of sick) if (!this.#sickSince.has(key)) this.#sickSince.set(key, this.now);
    return {
      at: ms(this.now), policy: this.policy, pairs, moves: this.moves, vms: this.vms, standings: this.standings, deeds: this.deeds,
      hosts: this.hosts.map((name): HostFacts => ({
        candidate: { name, freeMemory: bytes(this.free.get(name) ?? mib(4096)), accelerators: ['kvm'], bridges: { br0: { mtu: 1500 } }, ...(this.gone.has(name) ? { unready: 'is silent' } : {}) },
        moves: this.busy.get(name) ?? 0, mostMoves: 2, routers: this.routers.get(name) ?? [],
      })),
      sickFor: (host, path) => ms(this.now - (this.#sickSince.get(`${host} ${path}`) ?? this.now)),
    };
  }

  /** Decides, keeps what was decided, and lets time pass. */
  step(span = 1000) {
    const decision = decide(this.facts());
    this.standings = new Map(decision.standings);
    this.deeds = [...this.deeds, ...decision.done.map((key) => ({ key, at: ms(this.now) }))];
    this.told.push(...decision.told.map((told) => ({ ...told, now: this.now })));
    this.#check();
    // What was decided is decided again, and nothing new comes of it. (That a VM moves now, only the test can tell.)
    if (decision.evacuations.length === 0) {
      const again = decide(this.facts());
      assert.deepEqual([again.standings, again.told, again.done], [decision.standings, [], []]);
    }
    this.now += span;
    return decision;
  }

  #check(): void {
    for (const [n, a] of this.hosts.entries()) {
      for (const b of this.hosts.slice(n + 1)) assert.ok(this.inUse(a, b).length > 0, `no path between ${a} and ${b}`);
    }
    const lately = Map.groupBy(this.deeds.filter(({ at }) => this.now - at < this.policy.within), ({ key }) => key);
    for (const [key, deeds] of lately) assert.ok(deeds.length <= this.policy.limit, `${key}: ${deeds.length} times`);
    const evacuating = [...this.standings.values()].filter((s) => s.action === 'evacuate' && s.heldBack === undefined);
    assert.ok(evacuating.length * 2 <= this.hosts.length, `${evacuating.length} of ${this.hosts.length} hosts are evacuated`);
  }

  inUse(a: string, b: string): string[] {
    return this.paths.filter((path) => !inForce(this.standings.get(subjectKey({ action: 'path', a, b, path }))));
  }

  reasons(): string[] {
    return this.told.map(({ reason }) => reason);
  }
}

export const vmFact = (name: string, host: string, change: Partial<VmFacts> = {}): VmFacts => ({
  name, host, networks: [{ name: 'lan', path: 'main' }], moving: false,
  wish: { memory: mib(512), accelerator: 'kvm', networks: [{ name: 'lan', bridge: 'br0', mtu: 1500 }] }, ...change,
});
