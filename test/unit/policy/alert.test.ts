/** Alerts: transcripts of seconds, and what holds whatever the figures are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AlertLimits, type AlertState, judgeAlert } from '../../../src/policy/alert.ts';

const limits: AlertLimits = { rising: 0.02, falling: 0.005, hold: 10_000 };

interface Turn {
  readonly at: number;
  readonly on: boolean;
}

/** One figure a second. */
function run(figures: readonly number[], with_: AlertLimits = limits): { turns: Turn[]; states: AlertState[] } {
  const [turns, states]: [Turn[], AlertState[]] = [[], []];
  let state: AlertState | undefined;
  for (const [second, figure] of figures.entries()) {
    const next: AlertState = judgeAlert(state, with_, figure, second * 1000);
    if (next.on !== (state?.on ?? false)) turns.push({ at: second, on: next.on });
    states.push(state = next);
  }
  return { turns, states };
}

const of = (count: number, figure: number): number[] => Array.from({ length: count }, () => figure);

test('a little over the limit: on after the hold time, off after the hold time below the lower one', () => {
  // 0.03 from 0 reaches 0.02 in 3.3 × ln 3 = 3.7 s; from 0.03 down to 0.005 takes 3.3 × ln 6 = 6 s.
  assert.deepEqual(run([...of(20, 0), ...of(40, 0.03), ...of(60, 0)]).turns, [{ at: 33, on: true }, { at: 75, on: false }]);
});

test('far over the limit: a third of the hold time', () => {
  const [turn] = run([...of(20, 0), ...of(20, 1)]).turns;
  // At four times the limit the average is at twice of it after 3.3 × ln 2 = 2.3 s.
  assert.deepEqual(turn, { at: 26, on: true });
});

test('one wild second, or two, turn nothing on: neither the first nor a later one', () => {
  for (const wild of [1, 2]) for (const before of [0, 30]) {
    assert.deepEqual(run([...of(before, 0), ...of(before === 0 ? 1 : wild, 1e9), ...of(60, 0)]).turns, []);
  }
});

test('between the thresholds it stays what it is', () => {
  assert.deepEqual(run(of(300, 0.015)).turns, []);
  assert.deepEqual(run([...of(30, 0.03), ...of(300, 0.015)]).turns.map(({ on }) => on), [true]);
});

test('a figure that oscillates round the limit does not flap', () => {
  assert.ok(run(Array.from({ length: 3600 }, (_, i) => (Math.floor(i / 7) % 2 ? 0.028 : 0.014))).turns.length <= 1);
});

test('a lower threshold of 0 is reached', () => {
  const drops = { rising: 1, falling: 0, hold: 10_000 };
  assert.deepEqual(run([...of(30, 50), ...of(60, 0)], drops).turns.map(({ on }) => on), [true, false]);
});

test('the fast path too waits until the last turn is the hold time ago', () => {
  const calm = [...of(20, 0), ...of(20, 1), ...of(60, 0)];
  const off = run(calm).turns.at(-1)?.at ?? assert.fail();
  assert.deepEqual(run([...calm.slice(0, off + 1), ...of(60, 1)]).turns.slice(1), [{ at: off, on: false }, { at: off + 10, on: true }]);
});

test('a gap begins the waiting anew, and leaves what is on', () => {
  let state = judgeAlert(undefined, limits, 0.03, 0);
  state = judgeAlert(state, limits, 0.03, 8000);
  state = judgeAlert(state, limits, 0.03, 19_000);
  assert.deepEqual([state.on, state.over], [false, 19_000]);
  for (const at of [24_000, 29_000]) state = judgeAlert(state, limits, 0.03, at);
  assert.equal(state.on, true);
  state = judgeAlert(state, limits, 0, 3_600_000);
  assert.deepEqual([state.on, state.under], [true, 3_600_000]);
});

test('a clock that was set back: waited for anew, not for ever', () => {
  let state: AlertState | undefined;
  for (let at = 1e9; at < 1e9 + 20_000; at += 1000) state = judgeAlert(state, limits, 1, at);
  assert.equal(state?.on, true);
  for (let at = 0; at < 30_000; at += 1000) state = judgeAlert(state, limits, 0, at);
  assert.equal(state?.on, false);
});

const anyLimits = fc.record({ falling: fc.double({ min: 0, max: 5, noNaN: true }), above: fc.double({ min: 0.1, max: 5, noNaN: true }), hold: fc.integer({ min: 0, max: 20_000 }) })
  .map(({ falling, above, hold }) => ({ falling, rising: falling + above, hold }));
/** Pieces of constant figures: so that averages arrive. */
const anyFigures = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.double({ min: 0, max: 40, noNaN: true })), { maxLength: 15 })
  .map((pieces) => pieces.flatMap(([count, figure]) => of(count, figure)));

test('never two turns within the hold time, and the state is what the average deserves', () => {
  fc.assert(fc.property(anyLimits, anyFigures, (with_, figures) => {
    const { turns, states } = run(figures, with_);
    for (const [i, { at }] of turns.entries()) if (i > 0) assert.ok((at - (turns[i - 1]?.at ?? 0)) * 1000 >= with_.hold);
    const lasted = (begun: number | undefined, at: number): boolean => begun !== undefined && at - begun >= with_.hold;
    for (const { on, at, judged, under, over, turned } of states) {
      if (lasted(under, at)) assert.equal(on, false, 'on, and below falling for the hold time');
      if (lasted(over, at) && (turned === undefined || at - turned >= with_.hold)) assert.equal(on, true, 'off, and above rising for the hold time');
      if (turned === at && on) assert.ok(judged >= with_.rising);
      if (turned === at && !on) assert.ok(judged <= with_.falling);
    }
  }), { numRuns: 500 });
});

test('figures that never reach the upper threshold turn nothing on', () => {
  fc.assert(fc.property(anyLimits, fc.array(fc.double({ min: 0, max: 0.999, noNaN: true })), (with_, shares) => {
    assert.deepEqual(run(shares.map((share) => share * with_.rising * 0.998), with_).turns, []);
  }));
});
