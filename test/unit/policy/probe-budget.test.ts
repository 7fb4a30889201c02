/** Who probes whom: what it costs, and that everybody has their turn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { type ProbeBudgetPolicy, type ProbeCosts, type ProbePlan, type ProbedPath, planProbes } from '../../../src/policy/probe-budget.ts';

/** 10 probes a second, in a sample at least 1; a twentieth of a core, a thousandth of a link; a minute. */
const budget: ProbeBudgetPolicy = { rate: { wanted: 10, least: 1 }, share: { core: 0.05, link: 0.001 }, dwell: ms(60_000) };

const costs: ProbeCosts = { packet: ms(0.01), bytes: 110 };
const gigabit = 125_000_000;
const paths: readonly ProbedPath[] = [{ path: 'p', capacity: gigabit, classes: [0] }, { path: 'q', capacity: gigabit, classes: [0] }];
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `h${i}`);
const plan = (host: string, hosts: readonly string[], now = 0, change: Partial<{ paths: readonly ProbedPath[]; seed: number; costs: ProbeCosts; policy: ProbeBudgetPolicy }> = {}): ProbePlan =>
  planProbes(host, hosts, change.paths ?? paths, change.seed ?? 1, change.costs ?? costs, change.policy ?? budget, ms(now));

test('32 hosts × 2 paths × 10 probes/s is a full mesh within a twentieth of a core', () => {
  const { mode, sessions, interval, cost, everyPairWithin, until } = plan('h3', names(32));
  assert.equal(mode, 'full');
  assert.equal(sessions.length, 62);
  assert.deepEqual([...new Set(sessions.map(({ to }) => to))].sort(), names(32).filter((name) => name !== 'h3').sort());
  assert.deepEqual([interval.get('p'), everyPairWithin, until], [100, 0, undefined]);
  // 4 × 62 × 10 packets of 10 µs.
  assert.ok(Math.abs(cost.core - 0.0248) < 1e-9);
});

test('with twice the cost it probes less often, and still everybody; far beyond it takes a sample', () => {
  const slower = plan('h3', names(32), 0, { costs: { packet: ms(0.05), bytes: 110 } });
  assert.deepEqual([slower.mode, slower.sessions.length], ['full', 62]);
  assert.ok((slower.interval.get('p') ?? 0) > 200);
  assert.ok(Math.abs(slower.cost.core - 0.05) < 1e-9, 'all that it may');
  const many = plan('h3', names(1000));
  assert.equal(many.mode, 'sampled');
  assert.match(many.because, /^1000 hosts, more than the budget has room for at a time; p: \d+ of 999 sessions at 1 probes\/s/);
});

const anyPolicy = fc.record({
  rate: fc.record({ wanted: fc.double({ min: 1, max: 100, noNaN: true }), least: fc.double({ min: 0.1, max: 1, noNaN: true }) }),
  share: fc.record({ core: fc.double({ min: 1e-5, max: 0.2, noNaN: true }), link: fc.double({ min: 1e-7, max: 0.01, noNaN: true }) }),
  dwell: fc.integer({ min: 1, max: 100_000 }).map(ms),
});
const anyPaths = fc.array(fc.record({ capacity: fc.double({ min: 1e5, max: 1e10, noNaN: true }), classes: fc.subarray([0, 8, 18, 48]) }), { minLength: 1, maxLength: 3 })
  .map((list): ProbedPath[] => list.map((path, i) => ({ path: `p${i}`, ...path })));
const anyCosts = fc.record({ packet: fc.double({ min: 1e-4, max: 1, noNaN: true }).map(ms), bytes: fc.integer({ min: 60, max: 9000 }) });
const anyWorld = fc.record({ count: fc.integer({ min: 1, max: 40 }), paths: anyPaths, seed: fc.integer(), costs: anyCosts, policy: anyPolicy, now: fc.nat(10_000_000) });

test('never more than its share of a core and of each link, at any host, in or out', () => {
  let sampled = 0;
  fc.assert(fc.property(anyWorld, ({ count, now, ...change }) => {
    const hosts = names(count);
    const plans = new Map(hosts.map((host) => [host, plan(host, hosts, now, change)]));
    for (const [host, { cost, mode, sessions, interval }] of plans) {
      if (mode === 'sampled') sampled++;
      assert.ok(!sessions.some(({ to }) => to === host), 'itself');
      assert.equal(new Set(sessions.map(({ to, path, dscp }) => `${to} ${path} ${dscp}`)).size, sessions.length, 'twice');
      // Counted anew: packets of its own sessions, and of all that others have to it.
      let packets = 0;
      for (const { path, capacity } of change.paths) {
        const out = sessions.filter((s) => s.path === path).length;
        const into = [...plans.values()].flatMap((other) => other.sessions).filter((s) => s.path === path && s.to === host).length;
        assert.equal(into, out, 'as many in as out');
        const rate = 1000 / (interval.get(path) ?? Infinity);
        assert.ok(rate <= change.policy.rate.wanted * (1 + 1e-9));
        packets += 2 * (out + into) * rate;
        assert.ok((out + into) * rate * change.costs.bytes <= change.policy.share.link * capacity * (1 + 1e-9), 'link');
      }
      assert.ok(packets * change.costs.packet / 1000 <= change.policy.share.core * (1 + 1e-9), `core: ${packets}`);
      assert.ok(Math.abs(cost.core - packets * change.costs.packet / 1000) < 1e-9);
    }
  }), { numRuns: 200 });
  assert.ok(sampled > 200, String(sampled));
});

test('every pair has its turn on every path in every class within the time that is told, from whenever one looks', () => {
  fc.assert(fc.property(anyWorld, ({ count, now, ...change }) => {
    const hosts = names(Math.min(count, 12));
    const first = plan('h0', hosts, now, change);
    const seen = new Set<string>();
    const { dwell } = change.policy;
    const rounds = Math.max(1, Math.round(first.everyPairWithin / dwell));
    // A round that has begun may be over at once: it does not count.
    for (let i = 1; i <= rounds; i++) for (const { to, path, dscp } of plan('h0', hosts, now + i * dwell, change).sessions) seen.add(`${to} ${path} ${dscp}`);
    const classes = change.paths.reduce((sum, { classes }) => sum + classes.length, 0);
    assert.equal(seen.size, (hosts.length - 1) * classes);
  }), { numRuns: 200 });
});

test('the same list in another order gives the same plan, another seed another sample, and a host that joins moves few', () => {
  const tight = { policy: { ...budget, share: { core: 0.001, link: 1 } } };
  const hosts = names(20);
  const sessions = (list: readonly string[], seed = 1): string[] => plan('h5', list, 0, { ...tight, seed }).sessions.map(({ to, path }) => `${to} ${path}`);
  assert.deepEqual(sessions(hosts.toReversed()), sessions(hosts));
  assert.notDeepEqual(sessions(hosts, 2), sessions(hosts));
  assert.ok(sessions(hosts).length > 0 && sessions(hosts).length < 38);
});

test('a host that is alone, or not in the list, or a path that carries nothing, has nothing to do', () => {
  assert.deepEqual(plan('h0', ['h0']).sessions, []);
  assert.deepEqual(plan('x', names(5)).sessions, []);
  assert.deepEqual(plan('h0', names(5), 0, { paths: [{ path: 'p', capacity: gigabit, classes: [] }] }).sessions, []);
  assert.equal(plan('h0', ['h0']).because, 'nobody to probe');
});
