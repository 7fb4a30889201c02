/** The receipt says what happened: phases without gaps, frames by their counters, and `lossless` only where all of it is proven. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ReceiptParts, buildReceipt } from '../../../src/agent/receipt.ts';
import { SwitchoverRun, type SwitchoverRunOptions } from '../../../src/agent/switchover-run.ts';
import { ms } from '../../../src/base/units.ts';
import { type LedgerEntry, lossless, losses, missing } from '../../../src/model/move.ts';

/** A run that has been: phases entered 10 ms apart, from 1000 on. */
function ran(phases: readonly SwitchoverRun['entered'][number]['phase'][], change: Partial<SwitchoverRun> = {}): SwitchoverRun {
  const options: Partial<SwitchoverRunOptions> = {};
  // The cast: a receipt reads only what the run has written down, and the ends are not touched before toEnd().
  const run = new SwitchoverRun(options as SwitchoverRunOptions);
  run.entered.push(...phases.map((phase, i) => ({ phase, at: ms(1000 + 10 * i) })));
  return Object.assign(run, change);
}

const entry = (droppedBefore: number, droppedAfter: number): LedgerEntry =>
  ({ host: 'host-a', queue: 'tap', device: 'gt-0', droppedBefore, droppedAfter });

const forward = ran(
  ['copying', 'redirecting', 'emptying', 'stopping', 'finishing', 'committing', 'releasing', 'handing-over', 'draining', 'done'],
  { redirectedAt: ms(1010), stoppedAt: ms(1033), resumedAt: ms(1065), held: [30, 4], overlap: [1, 0] },
);
const parts: ReceiptParts = {
  move: 'a1b2c3', vm: 'web-1', from: 'host-a', to: 'host-b', outcome: { kind: 'moved' }, startedAt: ms(900), preparing: ms(910),
  endedAt: ms(1090), run: forward, ledger: [entry(0, 0)], redirected: [50, 4], delivered: [50, 4],
  untaken: [false, false], warnings: [],
};

test('the phases follow each other without a gap, each at the host that does the work', () => {
  const { phases } = buildReceipt(parts);
  assert.deepEqual(phases.map(({ name, host }) => `${name} ${host}`), [
    'preparing host-b', 'copying host-a', 'redirecting host-a', 'emptying host-a', 'stopping host-a', 'finishing host-a',
    'committing host-b', 'releasing host-b', 'handing-over host-a', 'draining host-a',
  ]);
  for (const [i, { to }] of phases.entries()) assert.equal(to, phases[i + 1]?.from ?? 1090);
});

test('the pause is what the guest saw', () => {
  const { times } = buildReceipt(parts);
  assert.deepEqual([times.redirectToStop, times.stopToResume, times.total], [23, 32, 165]);
});

test('frames that came before the guest ran were held, the others drained', () => {
  assert.deepEqual(buildReceipt(parts).nics, [
    { nic: 0, redirected: 50, delivered: 50, held: 30, drained: 20, overlap: 1, untaken: false },
    { nic: 1, redirected: 4, delivered: 4, held: 4, drained: 0, overlap: 0, untaken: false },
  ]);
});

test('on the way back each NIC has its own frames, and its own losses', () => {
  const back = ran(['copying', 'redirecting', 'cancelling', 'aborting', 'pausing', 'returning', 'resuming', 'rolled-back'], {
    returned: { frames: [50, 3], outOfOrder: 2, lost: [0, 1] },
  });
  const receipt = buildReceipt({ ...parts, run: back, outcome: { kind: 'rolled-back', reason: 'Cancelled' } });
  const nics = receipt.nics.map(({ redirected, delivered, held, drained }) => [redirected, delivered, held, drained]);
  assert.deepEqual(nics, [[50, 50, 50, 0], [4, 3, 3, 0]]);
  assert.equal(missing(receipt), 1);
  assert.deepEqual(receipt.notes, ['2 frames may have come back behind younger ones']);
  assert.equal(receipt.times.stopToResume, undefined);
});

test('what QEMU lacks is noted', () => {
  assert.deepEqual(buildReceipt({ ...parts, warnings: ['it may swap'] }).notes, ['it may swap']);
});

const switchedByItself = ran(['copying', 'redirecting', 'stopping', 'finishing', 'committing', 'done'], { unwatched: true });

test('what could not be announced is noted, and is no loss', () => {
  const receipt = buildReceipt({ ...parts, run: ran(['draining', 'done'], { announceFailure: 'The tap is full' }) });
  assert.match(receipt.notes.join(), /^Announcing its new place failed.*The tap is full$/);
  assert.equal(lossless(receipt), true);
});

test('a QEMU that switched by itself is noted, unless the guest came back', () => {
  const moved = buildReceipt({ ...parts, run: switchedByItself });
  assert.equal(moved.unwatched, true);
  assert.match(moved.notes.join(), /^QEMU switched by itself: the last frames that reached/);
  const back = buildReceipt({ ...parts, run: switchedByItself, outcome: { kind: 'rolled-back', reason: 'Cancelled' } });
  assert.deepEqual([back.unwatched, back.notes], [false, []]);
});

for (const [what, change, proven] of [
  ['all is accounted for', {}, true],
  ['no counter was read', { ledger: [] }, false],
  ['no NIC, so nothing to read', { ledger: [], redirected: [], delivered: [], untaken: [] }, true],
  ['a counter went back', { ledger: [entry(7, 6)] }, false],
  ['the redirect went before it was drained', { outcome: { kind: 'moved', undrained: 'Frames still came' } }, false],
  ['QEMU switched by itself', { run: switchedByItself }, false],
  ['QEMU switched by itself, it came back whole', { run: switchedByItself, outcome: { kind: 'rolled-back', reason: 'Cancelled' } }, true],
  ['a queue that had dropped before and did not again', { ledger: [entry(7, 7)] }, true],
  ['a queue dropped', { ledger: [entry(7, 7), entry(0, 1)] }, false],
  ['a frame is missing', { delivered: [49, 4] }, false],
  ['more came than was sent', { delivered: [50, 5] }, false],
  ['one NIC has too few and the other too many', { delivered: [51, 3] }, false],
  ['the guest has not taken all', { untaken: [false, true] }, false],
  ['it is stranded', { outcome: { kind: 'stranded', reason: 'cont was refused' } }, false],
  ['it came back whole', { outcome: { kind: 'rolled-back', reason: 'Cancelled' } }, true],
] satisfies [string, Partial<ReceiptParts>, boolean][]) {
  test(`${proven ? '' : 'not '}lossless: ${what}`, () => assert.equal(lossless(buildReceipt({ ...parts, ...change })), proven));
}

test('losses are the queues that dropped, and missing frames of one NIC are not made up for by another', () => {
  const receipt = buildReceipt({ ...parts, ledger: [entry(7, 7), entry(0, 1)], delivered: [51, 3] });
  assert.deepEqual(losses(receipt), [entry(0, 1)]);
  assert.equal(missing(receipt), 1);
});
