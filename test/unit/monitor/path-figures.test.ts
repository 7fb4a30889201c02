import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { PathFigures, percentile } from '../../../src/monitor/path-figures.ts';
import type { StampTotals } from '../../../src/protocol/stamp-sender.ts';

const totals = (lost: Partial<StampTotals['lost']> = {}, change: Partial<StampTotals> = {}): StampTotals => ({
  sent: 0, answered: 0, lost: { forward: 0, backward: 0, unknown: 0, ...lost }, late: 0, duplicates: { forward: 0, backward: 0 },
  reordered: { forward: 0, backward: 0 }, restarts: 0, ...change,
});
const none = { delay: undefined, error: undefined, variation: undefined };
const answer = (rtt: number): Parameters<PathFigures['answered']>[0] => ({ rtt: ms(rtt), forward: none, backward: none, marking: undefined });

describe('figures of a path', () => {
  it('are of the real samples', () => {
    const figures = new PathFigures(46, totals());
    for (const rtt of [4, 1, 3, 2]) figures.answered(answer(rtt));
    const { rtt, sent, answered, dscp, oneWay, marking } = figures.second(totals());
    assert.deepEqual(rtt, { min: 1, mean: 2.5, max: 4, p50: 2, p90: 4, p99: 4, jitter: 2 });
    assert.deepEqual([sent, answered, dscp, oneWay, marking], [4, 4, 46, undefined, undefined]);
    assert.equal(figures.second(totals()).rtt, undefined);
    assert.deepEqual(figures.window().rtt, rtt);
  });

  it('have jitter across the end of a second', () => {
    const figures = new PathFigures(0, totals());
    figures.answered(answer(1));
    assert.equal(figures.second(totals()).rtt?.jitter, 0);
    figures.answered(answer(4));
    assert.equal(figures.second(totals()).rtt?.jitter, 3);
  });

  it('tell one-way delays with the worst error of either clock, and marks as they were last', () => {
    const figures = new PathFigures(0, totals());
    for (const [forward, error, atReflector] of [[1, 5, 0], [3, 7, 8]] as const) {
      figures.answered({
        rtt: ms(4), forward: { delay: ms(forward), error: ms(error), variation: undefined }, backward: { delay: ms(2), error: ms(error), variation: undefined },
        marking: { wanted: 0, atReflector, refused: false, returned: 0 },
      });
    }
    const { oneWay, marking } = figures.second(totals());
    assert.deepEqual([oneWay, marking], [{ forward: 2, backward: 2, error: 7 }, { atReflector: 8, returned: 0 }]);
  });

  it('wait a second for the direction of a loss', () => {
    const figures = new PathFigures(0, totals());
    assert.deepEqual(figures.second(totals({ unknown: 2 })).lost, { forward: 0, backward: 0, unknown: 0 });
    assert.deepEqual(figures.second(totals({ forward: 1, backward: 1 })).lost, { forward: 1, backward: 1, unknown: 0 });
  });

  it('tell losses of an outage without direction, once; the minute has their direction afterwards', () => {
    const figures = new PathFigures(0, totals());
    figures.second(totals({ unknown: 10 }));
    assert.deepEqual(figures.second(totals({ unknown: 20 })).lost, { forward: 0, backward: 0, unknown: 10 });
    assert.deepEqual(figures.second(totals({ unknown: 30 })).lost, { forward: 0, backward: 0, unknown: 10 });
    assert.deepEqual(figures.second(totals({ forward: 30 })).lost, { forward: 10, backward: 0, unknown: 0 });
    assert.deepEqual(figures.window().lost, { forward: 30, backward: 0, unknown: 0 });
  });

  it('forget after a minute', () => {
    const figures = new PathFigures(0, totals());
    figures.answered(answer(9));
    figures.second(totals({ forward: 1 }));
    for (let second = 0; second < 59; second++) figures.second(totals({ forward: 1 }));
    assert.deepEqual([figures.window().answered, figures.window().lost.forward], [1, 1]);
    figures.second(totals({ forward: 1 }));
    assert.deepEqual([figures.window().sent, figures.window().rtt], [0, undefined]);
  });

  it('are, of the minute, those of all its samples', () => {
    // Few values, so that the same ones come and go.
    const second = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 6 });
    fc.assert(fc.property(fc.array(second, { minLength: 55, maxLength: 80 }), (seconds) => {
      const figures = new PathFigures(0, totals());
      for (const [i, rtts] of seconds.entries()) {
        for (const rtt of rtts) figures.answered(answer(rtt));
        figures.second(totals());
        const all = Float64Array.from(seconds.slice(Math.max(0, i - 59), i + 1).flat()).sort();
        const { rtt, answered } = figures.window();
        assert.equal(answered, all.length);
        if (all.length === 0) assert.equal(rtt, undefined);
        else {
          const { jitter: _, ...rest } = rtt ?? assert.fail('no RTT');
          assert.deepEqual(rest, {
            min: all[0], mean: all.reduce((sum, each) => sum + each, 0) / all.length, max: all.at(-1),
            p50: percentile(all, 0.5), p90: percentile(all, 0.9), p99: percentile(all, 0.99),
          });
        }
      }
    }), { numRuns: 30 });
  });

  it('tell every loss exactly once, whatever becomes of its direction', () => {
    const step = fc.record({ fresh: fc.nat(5), forward: fc.nat(5), backward: fc.nat(5) });
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
      const figures = new PathFigures(0, totals());
      let [lost, told] = [{ forward: 0, backward: 0, unknown: 0 }, 0];
      const tell = (): void => {
        const { lost: now, sent, answered } = figures.second(totals(lost));
        for (const count of Object.values(now)) assert.ok(count >= 0);
        assert.equal(sent, answered + now.forward + now.backward + now.unknown);
        told += now.forward + now.backward + now.unknown;
      };
      for (const { fresh, forward, backward } of steps) {
        const known = Math.min(lost.unknown, forward);
        const back = Math.min(lost.unknown - known, backward);
        lost = { forward: lost.forward + known, backward: lost.backward + back, unknown: lost.unknown - known - back + fresh };
        tell();
      }
      tell();
      assert.equal(told, lost.forward + lost.backward + lost.unknown);
    }));
  });
});

describe('a percentile', () => {
  it('is the smallest sample that so many are not above', () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
      const sorted = Float64Array.from(values).sort();
      const found = percentile(sorted, share);
      const upTo = (limit: number): number => values.filter((value) => value <= limit).length;
      assert.ok(upTo(found) >= share * values.length - 1e-9);
      const below = values.filter((value) => value < found);
      if (below.length > 0) assert.ok(below.length < share * values.length + 1e-9);
    }));
  });
});
