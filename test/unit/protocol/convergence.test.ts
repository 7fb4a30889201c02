/** When to stop the guest: the table of cases, and what must hold for every copy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Milliseconds, bytes, bytesPerSecond, ms, seconds } from '../../../src/base/units.ts';
import { type Convergence, type CopySample, type SwitchPolicy, type Verdict, judge, unconverged } from '../../../src/protocol/convergence.ts';

const policy: SwitchPolicy = { lastPass: ms(10), patience: seconds(5), lastPassLate: ms(50), maxCopy: seconds(20) };

/** 1 GB/s: a megabyte takes a millisecond. */
const sample = (at: number, pass: number, megabytes: number, gigabytesPerSecond = 1): CopySample =>
  ({ at: ms(at), pass, remaining: bytes(megabytes * 1e6), throughput: bytesPerSecond(gigabytesPerSecond * 1e9) });

const start: Convergence = unconverged;
/** In pass `passes`, begun at 0. */
const after = (passes: number, gigabytesPerSecond = 0): Convergence =>
  ({ passes, throughput: bytesPerSecond(gigabytesPerSecond * 1e9), startedAt: ms(0) });

interface Case {
  readonly what: string;
  readonly before: Convergence;
  readonly sample: CopySample;
  /** What is decided, with the time to the next look where it is to wait. */
  readonly want: 'switch' | 'give-up' | Milliseconds;
}

const cases: readonly Case[] = [
  { what: 'the first pass is never the last', before: start, sample: sample(0, 1, 0), want: ms(50) },
  { what: 'just little enough', before: after(1), sample: sample(100, 2, 10), want: 'switch' },
  { what: 'just too much', before: after(1), sample: sample(100, 2, 10.1), want: ms(50) },
  { what: 'little, but by an old sync', before: after(2), sample: sample(100, 2, 0), want: ms(50) },
  { what: 'a pass was missed between two looks', before: after(2), sample: sample(100, 5, 1), want: 'switch' },
  { what: 'patience is just not over', before: after(1), sample: sample(5000, 2, 50), want: ms(50) },
  { what: 'patience is over', before: after(1), sample: sample(5001, 2, 50), want: 'switch' },
  { what: 'patience is over, and it is still too much', before: after(1), sample: sample(5001, 2, 51), want: ms(50) },
  { what: 'patience is over, and the number is old', before: after(2), sample: sample(5001, 2, 0), want: ms(50) },
  { what: 'the limit is just not over', before: after(7), sample: sample(20_000, 8, 60), want: ms(50) },
  { what: 'the limit is over', before: after(7), sample: sample(20_001, 8, 60), want: 'give-up' },
  { what: 'good enough at the very end', before: after(7), sample: sample(20_001, 8, 50), want: 'switch' },
  { what: 'a first pass that never ends', before: after(1), sample: sample(20_001, 1, 60), want: 'give-up' },
  { what: 'a copy that has not begun', before: start, sample: sample(0, 0, Infinity), want: ms(50) },
  { what: 'QEMU does not know its throughput yet: 256 MiB/s', before: after(1), sample: sample(100, 2, 2.6, 0), want: 'switch' },
  { what: 'a rate measured while little was sent says nothing', before: after(1, 1), sample: sample(100, 2, 10, 0.01), want: 'switch' },
  { what: 'too much at 256 MiB/s', before: after(1), sample: sample(100, 2, 2.7, 0), want: ms(50) },
];

const told = (verdict: Verdict): Case['want'] => (verdict.decide === 'wait' ? verdict.after : verdict.decide);

for (const { what, before, sample, want } of cases) test(what, () => assert.equal(told(judge(before, sample, policy)), want));

test('giving up says why, in numbers', () => {
  const verdict = judge(after(7), sample(20_500, 8, 60), policy);
  assert.ok(verdict.decide === 'give-up');
  assert.match(verdict.reason, /after 21 s a pass still leaves 60 ms/);
});

/** A copy as QEMU would tell it: time goes on, passes do not go back. */
const copy: fc.Arbitrary<readonly CopySample[]> = fc
  .array(
    fc.record({ elapsed: fc.nat(4000), passes: fc.nat(2), megabytes: fc.oneof(fc.nat(60), fc.nat(5000)), speed: fc.constantFrom(0, 1) }),
    { maxLength: 60, size: 'max' },
  )
  .map((steps) => {
    let [at, pass] = [1e6, 0];
    return steps.map(({ elapsed, passes, megabytes, speed }) => sample((at += elapsed), (pass += passes), megabytes, speed));
  });

interface Decided {
  readonly verdict: Verdict;
  readonly sample: CopySample;
  readonly before: CopySample | undefined;
  /** The highest throughput seen, as QEMU tells it. */
  readonly throughput: number;
}

/** Looks at the samples until something other than waiting is decided. */
function run(samples: readonly CopySample[]): Decided | undefined {
  let convergence = start;
  let before: CopySample | undefined;
  let throughput = 0;
  for (const sample of samples) {
    throughput = Math.max(throughput, sample.throughput);
    const verdict = judge(convergence, sample, policy);
    if (verdict.decide !== 'wait') return { verdict, sample, before, throughput };
    convergence = verdict.convergence;
    before = sample;
  }
  return undefined;
}

const leaves = ({ sample: { remaining }, throughput }: Decided): number => (remaining / (throughput || 256 * 1024 * 1024)) * 1000;

test('it never switches on a number that is not from the first look after a sync, nor on too much', () => {
  let switched = 0;
  fc.assert(fc.property(copy, (samples) => {
    const end = run(samples);
    if (end?.verdict.decide !== 'switch') return;
    switched++;
    const late = end.sample.at - (samples[0]?.at ?? 0) > policy.patience;
    assert.ok(leaves(end) <= (late ? policy.lastPassLate : policy.lastPass));
    assert.ok(end.sample.pass >= 2);
    assert.ok(end.sample.pass > (end.before?.pass ?? 0));
  }), { numRuns: 2000 });
  assert.ok(switched > 100);
});

test('after the limit it waits no longer, and not before it does it give up', () => {
  let givenUp = 0;
  fc.assert(fc.property(copy, (samples) => {
    const end = run(samples);
    const [first, last] = [samples[0], samples.at(-1)];
    if (!end) return assert.ok(!first || !last || last.at - first.at <= policy.maxCopy);
    if (end.verdict.decide !== 'give-up') return;
    givenUp++;
    assert.ok(end.sample.at - (first?.at ?? 0) > policy.maxCopy);
  }), { numRuns: 2000 });
  assert.ok(givenUp > 30);
});

test('it always looks again in time: at least every 50 ms, and never at once', () => {
  fc.assert(fc.property(copy, (samples) => {
    let convergence = start;
    for (const sample of samples) {
      const verdict = judge(convergence, sample, policy);
      if (verdict.decide !== 'wait') return;
      assert.ok(verdict.after > 0 && verdict.after <= 50);
      assert.equal(verdict.convergence.passes, sample.pass);
      convergence = verdict.convergence;
    }
  }));
});
