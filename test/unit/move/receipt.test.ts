/** The receipt says what happened: phases without gaps, frames by their counters, and `lossless` only where all of it is proven. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ReceiptParts, type RunRecord, buildReceipt } from '../../../src/move/receipt.ts';
import { bytes, bytesPerSecond, ms } from '../../../src/base/units.ts';
import { type LedgerEntry, lossless, losses, missing } from '../../../src/model/move.ts';

/** A run that has been: phases entered 10 ms apart, from 1000 on. */
function ran(phases: readonly RunRecord['entered'][number]['phase'][], change: Partial<RunRecord> = {}): RunRecord {
  return {
    entered: phases.map((phase, i) => ({ phase, at: ms(1000 + 10 * i) })), unwatched: false, overlap: [], overlapTime: undefined,
    stoppedAt: undefined, redirectedAt: undefined, preSwitchoverAt: undefined, sentAt: undefined, lastSample: undefined,
    returned: undefined, loadedAt: undefined, commit: undefined, ...change,
  };
}

const entry = (droppedBefore: number, droppedAfter: number): LedgerEntry =>
  ({ host: 'host-a', queue: 'tap', device: 'gt-0', droppedBefore, droppedAfter });

const forward = ran(
  ['copying', 'permitting', 'redirecting', 'emptying', 'stopping', 'finishing', 'handing-over', 'draining', 'done'],
  {
    redirectedAt: ms(1020), stoppedAt: ms(1043), preSwitchoverAt: ms(1046), sentAt: ms(1051), overlap: [1, 0], overlapTime: ms(3),
    commit: { loadedAt: ms(1057), committedAt: ms(1058), openedAt: ms(1059), resumedAt: ms(1065), held: [30, 4] },
    lastSample: {
      status: 'active', dirtySyncCount: 5, transferred: bytes(7000), remaining: bytes(80), at: ms(1010),
      dirtyRate: bytesPerSecond(1), throughput: bytesPerSecond(1),
    },
  },
);
const parts: ReceiptParts = {
  move: 'a1b2c3', vm: 'web-1', from: 'host-a', to: 'host-b', outcome: { kind: 'moved' }, startedAt: ms(900), preparing: ms(910),
  endedAt: ms(1090), run: forward, ledger: [entry(0, 0)], redirected: [50, 4], delivered: [50, 4],
  untaken: [false, false], hostProbes: [], announceFailure: undefined, warnings: [],
};

test('the phases follow each other without a gap, each at the host that does the work', () => {
  const { phases } = buildReceipt(parts);
  assert.deepEqual(phases.map(({ name, host }) => `${name} ${host}`), [
    'preparing host-b', 'copying host-a', 'permitting host-a', 'redirecting host-a', 'emptying host-a', 'stopping host-a',
    'finishing host-a', 'handing-over host-a', 'draining host-a',
  ]);
  assert.equal(phases[0]?.from, 910);
  for (const [i, { to }] of phases.entries()) assert.equal(to, phases[i + 1]?.from ?? 1080);
});

test('what only the destination can say or end is its phase', () => {
  const { phases } = buildReceipt({ ...parts, run: ran(['finishing', 'cancelling', 'aborting', 'in-doubt', 'pausing', 'rolled-back']) });
  assert.deepEqual(phases.slice(1).map(({ name, host }) => `${name} ${host}`), [
    'finishing host-a', 'cancelling host-a', 'aborting host-b', 'in-doubt host-b', 'pausing host-a',
  ]);
});

test('the pause is what the guest saw, and its parts are the hosts\' own times', () => {
  assert.deepEqual(buildReceipt(parts).times, {
    total: 165, redirectToStop: 23, lastPass: 3, deviceState: 5, load: 6, stopToLoaded: 14, loadedToResume: 8, stopToResume: 22, groupOverlap: 3,
  });
});

test('of a commit that nobody heard of in time only the commit is known', () => {
  const told = ran(['finishing', 'cancelling', 'aborting', 'handing-over', 'draining', 'done'], {
    stoppedAt: ms(1043), commit: { committedAt: ms(1058), openedAt: ms(1059), held: [30, 4] },
  });
  const { times, nics } = buildReceipt({ ...parts, run: told });
  assert.deepEqual([times.total, times.stopToLoaded, times.stopToResume], [190, undefined, undefined]);
  assert.deepEqual(nics.map(({ held }) => held), [30, 4]);
});

test('a guest that was loaded and never ran there has been loaded all the same', () => {
  const back = ran(['finishing', 'aborting', 'cancelling', 'pausing', 'rolled-back'], { stoppedAt: ms(1043), sentAt: ms(1051), loadedAt: ms(1057) });
  const { times } = buildReceipt({ ...parts, run: back, outcome: { kind: 'rolled-back', reason: 'Cancelled' } });
  assert.deepEqual([times.load, times.stopToLoaded, times.loadedToResume, times.total], [6, 14, undefined, 190]);
});

test('the copy is what QEMU said last', () => {
  assert.deepEqual(buildReceipt(parts).copy, { passes: 5, transferredBytes: 7000, remainingAtSwitchBytes: 80 });
});

test('frames that came before the guest ran were held, the others drained', () => {
  assert.deepEqual(buildReceipt(parts).nics, [
    { nic: 0, redirected: 50, delivered: 50, held: 30, drained: 20, overlap: 1, untaken: false },
    { nic: 1, redirected: 4, delivered: 4, held: 4, drained: 0, overlap: 0, untaken: false },
  ]);
});

test('a destination that cannot be asked at the end has what it held at its commit, and the rest is unproven', () => {
  const receipt = buildReceipt({ ...parts, delivered: [], untaken: [true, true] });
  assert.deepEqual(receipt.nics.map(({ delivered, held, drained }) => [delivered, held, drained]), [[30, 30, 0], [4, 4, 0]]);
  assert.equal(missing(receipt), 20);
  assert.equal(lossless(receipt), false);
});

test('on the way back each NIC has its own frames, and its own losses', () => {
  const back = ran(['copying', 'permitting', 'redirecting', 'cancelling', 'aborting', 'pausing', 'returning', 'resuming', 'rolled-back'], {
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

const switchedByItself = ran(['copying', 'permitting', 'redirecting', 'stopping', 'finishing', 'handing-over', 'done'], { unwatched: true });

test('what could not be announced is noted, and is no loss', () => {
  const receipt = buildReceipt({ ...parts, announceFailure: 'The tap is full' });
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
  ['it is dead', { outcome: { kind: 'dead', at: 'source', reason: 'The QEMU at the source ended' } }, false],
  ['it came back whole', { outcome: { kind: 'rolled-back', reason: 'Cancelled' } }, true],
] satisfies [string, Partial<ReceiptParts>, boolean][]) {
  test(`${proven ? '' : 'not '}lossless: ${what}`, () => assert.equal(lossless(buildReceipt({ ...parts, ...change })), proven));
}

test('losses are the queues that dropped, and missing frames of one NIC are not made up for by another', () => {
  const receipt = buildReceipt({ ...parts, ledger: [entry(7, 7), entry(0, 1)], delivered: [51, 3] });
  assert.deepEqual(losses(receipt), [entry(0, 1)]);
  assert.equal(missing(receipt), 1);
});
