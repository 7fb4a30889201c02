import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MoveProgress } from '../../../src/agent/agent.ts';
import { bytes, bytesPerSecond, mib, ms } from '../../../src/base/units.ts';
import { MoveProgressView, type Style } from '../../../src/cli/cli.ts';
import { golden } from './golden.ts';
import { plain, rich } from './receipts.ts';

const sample = (remaining: number, pass = 1, throughput = 812e6): NonNullable<MoveProgress['sample']> => ({
  status: 'active', remaining: bytes(remaining), dirtySyncCount: pass, dirtyRate: bytesPerSecond(0), transferred: bytes(0),
  throughput: bytesPerSecond(throughput), at: ms(0),
});

function watch(style: Style, columns?: number): { view: MoveProgressView; written: string[] } {
  const written: string[] = [];
  const out = { write: (text: string) => written.push(text), columns };
  return { view: new MoveProgressView({ out, style, vm: 'web-1', from: 'h1', to: 'h2' }), written };
}

/** A move as its driver reports it: when, and what. */
const story: readonly (readonly [number, MoveProgress])[] = [
  [0, { phase: 'preparing' }],
  [310, { phase: 'copying' }],
  [312, { phase: 'copying', sample: sample(Infinity, 0, 0) }],
  [332, { phase: 'copying', sample: sample(mib(512), 1, 0) }],
  [432, { phase: 'copying', sample: sample(mib(193)) }],
  [632, { phase: 'copying', sample: sample(mib(20), 2) }],
  [733, { phase: 'copying', sample: sample(mib(1.2), 3) }],
  ...(['permitting', 'redirecting', 'emptying', 'stopping', 'finishing', 'handing-over'] as const)
    .map((phase, i): readonly [number, MoveProgress] => [740 + i, { phase, sample: sample(mib(1.2), 3) }]),
  [760, { phase: 'draining', sample: sample(0, 4) }],
  [920, { phase: 'done', sample: sample(0, 4) }],
];

for (const [name, style] of [['progress', rich], ['progress-plain', plain]] as const) {
  test(`a whole move, ${name}`, () => {
    const { view, written } = watch(style);
    for (const [now, progress] of story) view.update(progress, ms(now));
    view.end();
    golden(name, written.join('').replaceAll('\r', '\n<CR>').replaceAll('\u001b[K', '<EL>'));
  });
}

const phase = fc.constantFrom<MoveProgress['phase']>(
  'preparing', 'copying', 'redirecting', 'finishing', 'draining', 'cancelling', 'rolled-back',
);
const remaining = fc.oneof(fc.nat(1_000_000), fc.constantFrom(Infinity, 0));
const progress: fc.Arbitrary<MoveProgress> = fc.record({ phase, sample: fc.tuple(remaining, fc.nat(5)).map(([r, p]) => sample(r, p)) });

test('never runs backwards, whatever QEMU says, and stays between 0 and 1', () => {
  fc.assert(fc.property(fc.array(progress), (reports) => {
    const { view, written } = watch(rich, 200);
    let before = 0;
    for (const [i, report] of reports.entries()) {
      view.update(report, ms(i * 1000));
      assert.ok(view.fraction >= before && view.fraction <= 1, `${view.fraction} after ${before}`);
      before = view.fraction;
    }
    const shown = written.map((line) => Number(/(\d+) %/.exec(line)?.[1]));
    assert.deepEqual(shown, [...shown].sort((a, b) => a - b));
  }));
});

test('the fraction is what has gone of what there was at the first sample', () => {
  const { view } = watch(rich);
  for (const r of [Infinity, 400, 100, 300]) view.update({ phase: 'copying', sample: sample(r) }, ms(0));
  assert.equal(view.fraction, 0.75);
});

test('a line never fills the terminal, whose width may change', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), (columns) => {
    const { view, written } = watch(rich, columns);
    for (const [now, progress] of story) view.update(progress, ms(now));
    for (const line of written) assert.ok(Array.from(line.replace('\r\u001b[K', '')).length < columns);
  }));
});

test('the same words are drawn again only every 100 ms, new ones at once', () => {
  const { view, written } = watch(rich);
  const drawn = [0, 50, 99, 100, 150, 199, 200].filter((now) => {
    const before = written.length;
    view.update({ phase: 'copying', sample: sample(1) }, ms(now));
    return written.length > before;
  });
  assert.deepEqual(drawn, [0, 100, 200]);
  view.update({ phase: 'draining' }, ms(201));
  assert.equal(written.length, 4);
});

test('gives the line back once, and nothing is written after that', () => {
  const { view, written } = watch(rich);
  view.update({ phase: 'preparing' }, ms(0));
  view.end();
  view.end();
  view.update({ phase: 'copying' }, ms(500));
  assert.deepEqual(written.slice(1), ['\r\u001b[K']);
  const untouched = watch(rich);
  untouched.view.end();
  assert.deepEqual(untouched.written, []);
});
