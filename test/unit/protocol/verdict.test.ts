/** Several detectors, a peer, and paths that are cut between them: what may be said of the peer, and what must. Times in ms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { type DetectorPolicy, FailureDetector, type PathOpinion, type PathState, type PeerOpinion, defaultDetectorPolicy } from '../../../src/protocol/failure-detector.ts';
import { type Observation, type Verdict, type VerdictKind, defaultVerdictPolicy, verdictOn } from '../../../src/protocol/verdict.ts';
import { seeded } from './seeded.ts';

// Of what is only likely the same draw each time: a test that fails once in some thousand runs would say nothing.
fc.configureGlobal({ seed: 20_261_122 });

const path = (name: string, state: PathState, heardThere?: boolean): PathOpinion => ({
  path: name, state, silence: ms(0), timeout: ms(200), phi: 0, falseAlarmsPerDay: 0.01, probes: 10, arrivals: 8, heardThere,
});
const opinion = (paths: readonly PathOpinion[], change: Partial<PeerOpinion> = {}): PeerOpinion => ({
  peer: 'x', paths, hearsOthers: true, health: { score: 0, worstLateness: ms(1), sleptAgo: undefined, unwell: false }, ...change,
});
const saw = (observer: string, paths: readonly PathOpinion[], change: Partial<PeerOpinion> = {}, rest: Partial<Observation> = {}): Observation => ({
  observer, opinion: opinion(paths, change), age: ms(0), sick: new Map(), ...rest,
});
const both = (a: PathState, b: PathState): PathOpinion[] => [path('p', a), path('q', b)];
const tired = { health: { score: 1, worstLateness: ms(900), sleptAgo: ms(40), unwell: true } };

const rows: { name: string; seen: Observation[]; judge?: string | undefined; kind: VerdictKind; paths: string[]; disagreed?: string[]; abstained?: string[] }[] = [
  { name: 'all hear it', seen: [saw('a', both('heard', 'heard')), saw('b', both('heard', 'heard'))], kind: 'fine', paths: [] },
  { name: 'nobody hears it', seen: [saw('a', both('silent', 'silent')), saw('b', both('silent', 'silent'))], kind: 'dead', paths: ['p', 'q'] },
  { name: 'one alone misses it, there is no other', seen: [saw('a', both('silent', 'silent'), { hearsOthers: undefined })], kind: 'path-down', paths: ['p', 'q'] },
  { name: 'one misses it, another hears it', seen: [saw('a', both('silent', 'silent')), saw('b', both('heard', 'silent'))], kind: 'path-down', paths: ['p', 'q'], disagreed: [] },
  { name: 'one misses it, another hears it well', seen: [saw('a', both('silent', 'silent')), saw('b', both('heard', 'heard'))], kind: 'path-down', paths: ['p', 'q'], disagreed: ['b'] },
  { name: 'one path is silent', seen: [saw('a', both('heard', 'silent')), saw('b', both('heard', 'heard'))], kind: 'path-down', paths: ['q'], disagreed: ['b'] },
  { name: 'it says it does not hear us', seen: [saw('a', [path('p', 'heard', false), path('q', 'heard', true)])], kind: 'one-way', paths: ['p'] },
  { name: 'we do not hear it, it hears us', seen: [saw('a', [path('p', 'silent', true), path('q', 'heard')])], kind: 'one-way', paths: ['p'] },
  { name: 'the one who judges overslept', seen: [saw('a', both('silent', 'silent'), tired), saw('b', both('silent', 'silent'))], kind: 'self', paths: ['p', 'q'], abstained: ['a'] },
  { name: 'the one who judges hears nobody', seen: [saw('a', both('silent', 'silent'), { hearsOthers: false }), saw('b', both('heard', 'heard'))], kind: 'self', paths: ['p', 'q'], abstained: ['a'], disagreed: ['b'] },
  { name: 'overslept, and hears it', seen: [saw('a', both('heard', 'heard'), tired), saw('b', both('heard', 'heard'))], kind: 'unknown', paths: [], abstained: ['a'] },
  { name: 'the other one overslept: it is no second observer', seen: [saw('a', both('silent', 'silent')), saw('b', both('silent', 'silent'), tired)], kind: 'path-down', paths: ['p', 'q'], abstained: ['b'] },
  { name: 'the other one said nothing for long', seen: [saw('a', both('silent', 'silent')), saw('b', both('silent', 'silent'), {}, { age: ms(3001) })], kind: 'path-down', paths: ['p', 'q'], abstained: ['b'] },
  { name: 'what the one who judges said is old', seen: [saw('a', both('silent', 'silent'), {}, { age: ms(3001) }), saw('b', both('heard', 'heard'))], kind: 'unknown', paths: [], abstained: ['a'] },
  { name: 'too early', seen: [saw('a', both('unknown', 'unknown'))], kind: 'unknown', paths: [], abstained: ['a'] },
  { name: 'a path that was never heard yet is no silence', seen: [saw('a', both('heard', 'unknown'))], kind: 'fine', paths: [] },
  { name: 'nobody says anything', seen: [], kind: 'unknown', paths: [] },
  { name: 'sick', seen: [saw('a', both('heard', 'heard'), {}, { sick: new Map([['q', 'loss 3 %']]) })], kind: 'gray', paths: ['q'] },
  { name: 'sick and silent: silence is told', seen: [saw('a', both('heard', 'silent'), {}, { sick: new Map([['p', 'loss 3 %']]) })], kind: 'path-down', paths: ['q'] },
  { name: 'the server asks: one path is down for somebody', judge: undefined, seen: [saw('a', both('heard', 'silent')), saw('b', both('heard', 'heard'))], kind: 'path-down', paths: ['q'], disagreed: ['b'] },
  { name: 'the server asks: all miss it', judge: undefined, seen: [saw('a', both('silent', 'silent')), saw('b', both('silent', 'silent'))], kind: 'dead', paths: ['p', 'q'] },
  { name: 'the server asks: the only observer overslept', judge: undefined, seen: [saw('a', both('silent', 'silent'), tired)], kind: 'unknown', paths: [], abstained: ['a'] },
];

for (const row of rows) {
  test(`${row.name}: ${row.kind}`, () => {
    const verdict = verdictOn('x', row.seen, 'judge' in row ? row.judge : 'a', defaultVerdictPolicy);
    assert.deepEqual([verdict.kind, verdict.paths, [...verdict.denominator.abstained.keys()]], [row.kind, row.paths, row.abstained ?? []], verdict.because);
    assert.deepEqual(verdict.denominator.disagreed, row.disagreed ?? [], verdict.because);
    assert.equal(verdict.denominator.observers, row.seen.length);
    assert.equal(verdict.denominator.voters, row.seen.length - (row.abstained ?? []).length);
    assert.equal(verdict.denominator.probes, 20 * verdict.denominator.voters);
  });
}

const anyState = fc.constantFrom<PathState>('heard', 'silent', 'unknown');
const anyObservation = fc.record({ states: fc.tuple(anyState, anyState), there: fc.constantFrom(undefined, true, false), others: fc.constantFrom(undefined, true, false), unwell: fc.boolean(), age: fc.constantFrom(0, 5000) });

test('`dead` takes two voters that hear nothing and nobody with a vote who hears something', () => {
  let dead = 0;
  fc.assert(fc.property(fc.array(anyObservation, { maxLength: 5 }), fc.constantFrom(undefined, 'o0'), (all, judge) => {
    const seen = all.map(({ states: [a, b], there, others, unwell, age }, i) => saw(`o${i}`, [path('p', a, there), path('q', b)], {
      hearsOthers: others, health: { score: unwell ? 1 : 0, worstLateness: ms(1), sleptAgo: ms(1), unwell },
    }, { age: ms(age) }));
    const verdict = verdictOn('x', seen, judge, defaultVerdictPolicy);
    if (verdict.kind !== 'dead') return;
    dead++;
    const voters = all.filter((_, i) => !verdict.denominator.abstained.has(`o${i}`));
    assert.ok(voters.length >= 2);
    assert.ok(voters.every(({ states, unwell, age, others }) => !states.includes('heard') && states.includes('silent') && !unwell && age === 0 && others !== false));
  }), { numRuns: 5000 });
  assert.ok(dead > 10, String(dead));
});

const INTERVAL = 50;
const policy: DetectorPolicy = { ...defaultDetectorPolicy, floor: ms(150), ceiling: ms(1000), calm: ms(2000) };
/** Every time-out is at most nine ceilings long, and health comes back in eight calm times. */
const SETTLED = 9 * policy.ceiling + 8 * policy.calm + 1000;

/** Hosts that send to each other on two paths; each has a detector, and they hear each other's opinions as they are. */
class Cluster {
  now = 0;
  readonly detectors: FailureDetector[];
  readonly dead = new Set<number>();
  /** Until when a host's process stands still; `frozen`: its kernel too, so that what arrives is lost. */
  readonly asleep: { until: number; since: number; frozen: boolean }[];
  readonly #held: (() => void)[][];
  /** `from to path` */
  readonly cut = new Set<string>();
  readonly #random: () => number;
  readonly #loss: number;
  /** `still`: the peer's process stands, or has stood until a moment ago, so that nothing of it can have come. */
  readonly verdicts: { readonly at: number; readonly judge: number; readonly peer: number; readonly verdict: Verdict; readonly still: boolean }[] = [];
  readonly #woke = new Map<number, number>();

  constructor(count: number, seed: number, loss: number) {
    this.#random = seeded(seed);
    this.#loss = loss;
    const hosts = [...Array(count).keys()];
    this.detectors = hosts.map(() => new FailureDetector(policy));
    this.asleep = hosts.map(() => ({ until: 0, since: 0, frozen: false }));
    this.#held = hosts.map(() => []);
    for (const a of hosts) for (const b of hosts) if (a !== b) for (const p of ['p', 'q']) this.detectors[a]?.watch(`h${b}`, p, ms(INTERVAL), ms(0));
  }

  sleep(host: number, span: number, frozen: boolean): void {
    const state = this.asleep[host];
    if (!state || this.dead.has(host) || state.until > this.now) return;
    Object.assign(state, { until: this.now + span, since: this.now, frozen });
  }

  advance(span: number): void {
    const step = 10;
    for (const end = this.now + span; this.now < end;) {
      this.now += step;
      for (const [host, detector] of this.detectors.entries()) {
        if (this.dead.has(host)) continue;
        const state = this.asleep[host];
        if (!state || state.until > this.now) continue;
        if (state.until > 0) {
          detector.late(ms(this.now - (state.since)), ms(this.now));
          state.until = 0;
          this.#woke.set(host, this.now);
        }
        for (const held of this.#held[host]?.splice(0) ?? []) held();
        if ((this.now + host * step) % INTERVAL === 0) this.#send(host);
        detector.expire(ms(this.now));
      }
      if (this.now % 100 === 0) this.#judge();
    }
  }

  #send(host: number): void {
    for (const [to, detector] of this.detectors.entries()) {
      if (to === host || this.dead.has(to)) continue;
      for (const p of ['p', 'q']) {
        const back = this.detectors[host]?.opinion(`h${to}`, ms(this.now))?.paths.find(({ path }) => path === p)?.state;
        if (this.cut.has(`${host} ${to} ${p}`) || this.#random() < this.#loss) continue;
        const at = ms(this.now + this.#random() * 9);
        const arrives = (): void => void detector.heard(`h${host}`, p, at, back === undefined || back === 'unknown' ? undefined : back === 'heard');
        const state = this.asleep[to];
        if (state && state.until > this.now) {
          if (!state.frozen) this.#held[to]?.push(arrives);
        } else this.#held[to]?.push(arrives);
      }
    }
  }

  #judge(): void {
    for (const [judge] of this.detectors.entries()) {
      if (this.dead.has(judge) || (this.asleep[judge]?.until ?? 0) > this.now) continue;
      for (const [peer] of this.detectors.entries()) {
        if (peer === judge) continue;
        const still = (this.asleep[peer]?.until ?? 0) > this.now || this.now - (this.#woke.get(peer) ?? -Infinity) < 4 * INTERVAL;
        this.verdicts.push({ at: this.now, judge, peer, verdict: this.verdict(judge, peer), still });
      }
    }
  }

  verdict(judge: number, peer: number): Verdict {
    const seen = this.detectors.flatMap((detector, host): Observation[] => {
      const opinion = host === peer || this.dead.has(host) || (this.asleep[host]?.until ?? 0) > this.now ? undefined : detector.opinion(`h${peer}`, ms(this.now));
      return opinion ? [{ observer: `h${host}`, opinion, age: ms(0), sick: new Map() }] : [];
    });
    return verdictOn(`h${peer}`, seen, `h${judge}`, defaultVerdictPolicy);
  }
}

const seed = fc.integer();
const hosts = fc.integer({ min: 2, max: 5 });
const who = fc.nat(4);

test('whoever sleeps, and however: nobody that lives is called dead', () => {
  let naps = 0;
  const nap = fc.record({ who, span: fc.integer({ min: 10, max: 4000 }), frozen: fc.boolean(), after: fc.integer({ min: 10, max: 3000 }) });
  fc.assert(fc.property(hosts, fc.array(nap, { minLength: 1, maxLength: 8, size: 'max' }), seed, (count, steps, seed) => {
    const cluster = new Cluster(count, seed, 0.02);
    cluster.advance(4000);
    for (const { who, span, frozen, after } of steps) {
      // Of one that stands still the others may think so, and those that sleep themselves must not.
      cluster.sleep(who % count, span, frozen);
      naps++;
      cluster.advance(span + after);
      const wrong = cluster.verdicts.filter(({ verdict, still }) => verdict.kind === 'dead' && !still);
      assert.deepEqual(wrong, [], 'called dead though it ran');
      cluster.verdicts.length = 0;
    }
  }), { numRuns: 25 });
  assert.ok(naps > 50);
});

test('who slept says `self` of those that it misses, and never that they are dead', () => {
  let selves = 0;
  fc.assert(fc.property(fc.integer({ min: 3, max: 5 }), fc.integer({ min: 30, max: 100 }), seed, (count, naps, seed) => {
    // It wakes for one step of ten, always at the same place in the interval: that of its own heartbeat, when nobody else's comes.
    const span = naps * INTERVAL + INTERVAL - 10;
    const cluster = new Cluster(count, seed, 0);
    cluster.advance(4000);
    // It loses all its packets for as long as it stands still, again and again.
    for (let i = 0; i < 8; i++) {
      cluster.sleep(0, span, true);
      cluster.advance(span + 10);
    }
    const own = cluster.verdicts.filter(({ judge, at }) => judge === 0 && at > 4000);
    assert.ok(own.every(({ verdict }) => verdict.kind !== 'dead' && verdict.kind !== 'path-down'), own.map(({ verdict }) => verdict.kind).join());
    selves += own.filter(({ verdict }) => verdict.kind === 'self').length;
  }), { numRuns: 12 });
  assert.ok(selves > 10, String(selves));
});

test('one observer never says dead: two hosts, whatever is cut, killed or asleep', () => {
  const step = fc.record({ do: fc.constantFrom('cut', 'heal', 'kill', 'sleep'), who, path: fc.constantFrom('p', 'q'), span: fc.integer({ min: 10, max: 2000 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 10 }), seed, (steps, seed) => {
    const cluster = new Cluster(2, seed, 0.01);
    cluster.advance(3000);
    for (const { do: act, who, path, span } of steps) {
      if (act === 'cut') cluster.cut.add(`${who % 2} ${1 - who % 2} ${path}`);
      else if (act === 'heal') cluster.cut.clear();
      else if (act === 'kill') cluster.dead.add(who % 2);
      else cluster.sleep(who % 2, span, true);
      cluster.advance(span);
    }
    assert.deepEqual(cluster.verdicts.filter(({ verdict }) => verdict.kind === 'dead'), []);
  }), { numRuns: 60 });
});

test('a death is a verdict within the time-out and one look, by all that are well', () => {
  fc.assert(fc.property(fc.integer({ min: 3, max: 5 }), seed, (count, seed) => {
    const cluster = new Cluster(count, seed, 0);
    cluster.advance(4000);
    cluster.dead.add(1);
    const at = cluster.now;
    cluster.advance(policy.ceiling + 200);
    for (let judge = 0; judge < count; judge++) if (judge !== 1) assert.equal(cluster.verdict(judge, 1).kind, 'dead');
    assert.ok(cluster.verdicts.every(({ at: then, verdict }) => then > at || verdict.kind !== 'dead'));
    const others = cluster.verdicts.filter(({ peer, at: then }) => then > at && peer !== 1);
    assert.ok(others.every(({ verdict }) => verdict.kind === 'fine'), 'nobody else is touched');
  }), { numRuns: 10 });
});

test('whatever was cut and asleep: when it is mended, all is fine again; and what was called dead was silent to every voter', () => {
  const step = fc.record({ do: fc.constantFrom('cut', 'cut', 'heal', 'sleep'), who, other: who, path: fc.constantFrom('p', 'q'), span: fc.integer({ min: 10, max: 2000 }) });
  const kinds = new Set<VerdictKind>();
  fc.assert(fc.property(fc.integer({ min: 2, max: 4 }), fc.array(step, { maxLength: 12, size: 'max' }), seed, (count, steps, seed) => {
    const cluster = new Cluster(count, seed, 0);
    cluster.advance(3000);
    for (const { do: act, who, other, path, span } of steps) {
      const [a, b] = [who % count, other % count];
      if (act === 'cut') cluster.cut.add(`${a} ${b} ${path}`);
      else if (act === 'heal') cluster.cut.clear();
      else cluster.sleep(a, span, span % 2 === 0);
      cluster.advance(span);
    }
    for (const { verdict } of cluster.verdicts) {
      kinds.add(verdict.kind);
      if (verdict.kind === 'dead') assert.ok(verdict.denominator.voters >= 2);
    }
    cluster.cut.clear();
    cluster.advance(SETTLED);
    for (let a = 0; a < count; a++) for (let b = 0; b < count; b++) if (a !== b) assert.equal(cluster.verdict(a, b).kind, 'fine');
  }), { numRuns: 25 });
  for (const kind of ['path-down', 'one-way', 'fine'] as const) assert.ok(kinds.has(kind), `${kind} never came: ${[...kinds].join()}`);
});
