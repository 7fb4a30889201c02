import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ClientView } from '../../../src/cli/cli.ts';
import { clientTrouble, formatClientView, gapParts, pauseOf } from '../../../src/cli/client-view.ts';
import type { ProbeResult } from '../../../src/lab/prober.ts';
import { T0, clean, flawlessClient, plain, rolledBack } from './receipts.ts';

/** Compiles only while what the lab's prober says is a client view. */
export const fits = (result: ProbeResult): ClientView => result;

test('the pause is STOP to RESUME', () => {
  const pause = pauseOf(clean);
  assert.ok(pause);
  assert.ok(Math.abs(pause.stop - (T0 + 820.5)) < 0.01 && Math.abs(pause.resume - (T0 + 833.6)) < 0.01);
  assert.equal(pauseOf(rolledBack), undefined);
});

test('the parts of a gap add up to it and are never negative', () => {
  const instant = fc.integer({ min: 0, max: 1000 });
  fc.assert(fc.property(instant, instant, instant, instant, (a, b, c, d) => {
    const [start, end] = a < b ? [a, b] : [b, a];
    const pause = { stop: Math.min(c, d), resume: Math.max(c, d) };
    const parts = gapParts(start, end, pause);
    if (!parts) return assert.ok(end <= pause.stop || start >= pause.resume);
    const { before, during, after } = parts;
    assert.equal(before + during + after, end - start);
    assert.ok(before >= 0 && during >= 0 && after >= 0 && during <= pause.resume - pause.stop);
  }));
});

test('a gap round the pause is cut at STOP and RESUME', () => {
  assert.deepEqual(gapParts(90, 150, { stop: 100, resume: 120 }), { before: 10, during: 20, after: 30 });
  assert.deepEqual(gapParts(105, 150, { stop: 100, resume: 120 }), { before: 0, during: 15, after: 30 });
});

for (const [what, start, expected] of [
  ['in the copy', T0 + 400, /apart from the pause: it began while copying/],
  ['before the move', T0 - 50, /ended 40\.0 ms before the move began/],
  ['after the move', T0 + 1046.1, /began 50\.0 ms after the move had ended/],
] as const) {
  test(`a gap ${what} is said to be there`, () => {
    const view = { ...flawlessClient, toClient: { ...flawlessClient.toClient, largestGapMs: 10, gapStartMs: start, gapEndMs: start + 10 } };
    assert.match(formatClientView(view, clean, plain).join('\n'), expected);
  });
}

test('a guest that did not answer is not taken for a flawless one', () => {
  const view: ClientView = {
    ...flawlessClient, guest: null,
    toGuest: { sent: 4012, lost: null, duplicated: null, reordered: null, largestGapMs: null },
    toClient: { ...flawlessClient.toClient, sent: null },
  };
  const { toGuest } = view;
  for (const silent of [view, { ...flawlessClient, guest: null }, { ...flawlessClient, toGuest }]) {
    assert.deepEqual(clientTrouble(silent), ['the guest did not answer at the end, so what it got is not known']);
  }
  assert.match(formatClientView(view, clean, plain).join('\n'), /to the guest +4012 +\? +\? +\? +\?/);
});

test('every kind of trouble is named', () => {
  const stream = { sent: 9, lost: 1, duplicated: 2, reordered: 3, largestGapMs: 4 };
  const view: ClientView = {
    ...flawlessClient, toGuest: stream, sessions: { opened: 8, alive: 7, largestStallMs: 1, errors: ['session 3: reset'] },
    bulk: { toGuestBytes: 1, toClientBytes: 1, largestStallMs: 1, alive: false, errors: [] }, guest: { memoryErrors: 1, diskErrors: 2 },
  };
  assert.deepEqual(clientTrouble(flawlessClient), []);
  assert.deepEqual(clientTrouble(view), [
    '1 lost to the guest', '2 duplicated to the guest', '3 reordered to the guest', '1 of 8 TCP sessions broke', 'the bulk streams broke',
    'session 3: reset', '1 page of guest memory changed by themselves', '2 disk blocks read back wrong',
  ]);
});
