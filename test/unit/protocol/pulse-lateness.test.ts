/** What is measured of lateness, and the interval that follows from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { LatenessWindow, type LatenessStatistics, type Scheduling, beginHeld, hold, holdableInterval } from '../../../src/protocol/pulse-lateness.ts';

const tick = fc.record({ gap: fc.oneof(fc.nat(100), fc.nat(20_000)), late: fc.oneof(fc.double({ min: 0, max: 5, noNaN: true }), fc.double({ min: 0, max: 500, noNaN: true })) });

test('the window agrees with a list of all ticks: count and worst exactly, quantiles within a fifth', () => {
  fc.assert(fc.property(fc.array(tick, { minLength: 1, maxLength: 200, size: 'max' }), fc.nat(70_000), (ticks, after) => {
    const window = new LatenessWindow();
    let now = 1e6;
    const all = ticks.map(({ gap, late }) => {
      window.tick(ms(late), ms(now += gap));
      return { at: now, late };
    });
    const end = now + after;
    const seen = window.statistics(ms(end));
    // Whole seconds: this one and the 59 before it.
    const recent = all.filter(({ at }) => Math.floor(at / 1000) > Math.floor(end / 1000) - 60).map(({ late }) => late).sort((a, b) => a - b);
    const quantile = (share: number): number => recent[Math.ceil(recent.length * share) - 1] ?? 0;
    assert.equal(seen.ticks, recent.length);
    assert.equal(seen.worst, recent.at(-1) ?? 0);
    for (const [got, share] of [[seen.median, 0.5], [seen.p99, 0.99]] as const) {
      assert.ok(got >= quantile(share) && got <= Math.max(0.01, quantile(share) * 1.2), `${got} for ${quantile(share)}`);
    }
    assert.equal(seen.span, Math.min(60_000, end - (all[0]?.at ?? end)));
  }));
});

test('nothing measured yet', () => {
  assert.deepEqual(new LatenessWindow().statistics(ms(5)), { ticks: 0, median: 0, p99: 0, worst: 0, span: 0 });
});

const cases: readonly { readonly worst: number; readonly span: number; readonly scheduling: Scheduling; readonly want: number }[] = [
  { worst: 0, span: 0, scheduling: 'realtime', want: 10 },
  { worst: 10, span: 60_000, scheduling: 'realtime', want: 10 },
  { worst: 10.1, span: 60_000, scheduling: 'realtime', want: 20 },
  { worst: 0, span: 59_999, scheduling: 'ordinary', want: 100 },
  { worst: 0, span: 60_000, scheduling: 'ordinary', want: 50 },
  { worst: 0, span: 60_000, scheduling: 'nice', want: 50 },
  { worst: 81, span: 60_000, scheduling: 'nice', want: 90 },
  { worst: 130, span: 0, scheduling: 'ordinary', want: 130 },
  { worst: 30_000, span: 60_000, scheduling: 'realtime', want: 1000 },
];

for (const { worst, span, scheduling, want } of cases) {
  test(`${scheduling}, ${worst} ms late at worst in ${span} ms: ${want} ms`, () => {
    const statistics: LatenessStatistics = { ticks: 1, median: worst, p99: worst, worst, span };
    assert.equal(holdableInterval(statistics, scheduling), want);
  });
}

test('an advert that is as late as was ever seen still comes in time, even if the one before it was lost', () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1000, noNaN: true }), fc.constantFrom<Scheduling>('realtime', 'nice', 'ordinary'), (worst, scheduling) => {
    const interval = holdableInterval({ ticks: 1, median: 0, p99: 0, worst, span: 60_000 }, scheduling);
    assert.ok(interval + 2 * worst <= 3 * interval);
    assert.ok(2 * interval + worst <= 3 * interval);
  }));
});

test('it rises at once and falls once a minute at most, to what is needed then', () => {
  let held = beginHeld(ms(10));
  const feed = (needed: number, at: number): number => (held = hold(held, ms(needed), ms(at))).interval;
  assert.equal(feed(10, 0), 10);
  assert.equal(feed(80, 1000), 80);
  assert.equal(feed(20, 2000), 80);
  assert.equal(feed(30, 61_999), 80);
  assert.equal(feed(30, 62_000), 30);
  assert.equal(feed(20, 63_000), 30);
  assert.equal(feed(30, 100_000), 30, 'needed again: the wait begins anew');
  assert.equal(feed(20, 124_000), 30);
  assert.equal(feed(20, 184_000), 20);
});
