import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ClientView, formatReceipt } from '../../../src/cli/cli.ts';
import { headline } from '../../../src/cli/headline.ts';
import { tally } from '../../../src/cli/proof.ts';
import type { LedgerEntry, NicLedger, Receipt } from '../../../src/model/move.ts';
import { lossless } from '../../../src/model/move.ts';
import { golden } from './golden.ts';
import * as r from './receipts.ts';

const lossyClient: ClientView = {
  ...r.flawlessClient,
  toGuest: { ...r.flawlessClient.toGuest, lost: 3 },
  bulk: { toGuestBytes: 31_457_280, toClientBytes: 31_200_000, largestStallMs: 61, alive: true, errors: [] },
  probe: { largestOwnLatenessMs: 4.6, sendErrors: 1, socketDrops: 2 },
};

test('a clean move', () => golden('clean', formatReceipt(r.clean, r.flawlessClient, r.rich)));
test('a clean move in ASCII without bars', () => golden('clean-plain', formatReceipt(r.clean, r.flawlessClient, r.plain)));
test('two NICs', () => golden('two-nics', formatReceipt(r.twoNics, undefined, r.rich)));
test('a loss in the tunnel', () => golden('loss-in-tunnel', formatReceipt(r.lossInTunnel, lossyClient, r.rich)));
test('rolled back', () => golden('rolled-back', formatReceipt(r.rolledBack, undefined, r.rich)));
test('stranded', () => golden('stranded', formatReceipt(r.stranded, undefined, r.rich)));
test('QEMU switched by itself', () => golden('switched-by-itself', formatReceipt(r.switchedByItself, r.flawlessClient, r.rich)));
test('not drained to its end', () => golden('undrained', formatReceipt(r.undrained, undefined, r.rich)));

test('a stranded move says what is safe in every phase that can fail', () => {
  const ran = r.strandedIn('draining', { stopToResume: r.clean.times.stopToResume });
  const wayBack = ['cancelling', 'aborting', 'pausing', 'returning', 'resuming'];
  const receipts = [r.strandedIn('committing'), r.strandedIn('releasing'), ran, ...wayBack.map((phase) => r.strandedIn(phase))];
  golden('stranded-phases', receipts.map((receipt) => {
    const { text, todo } = headline(receipt);
    return `${receipt.phases.at(-1)?.name}: ${text}\n  ${todo}`;
  }).join('\n'));
});

test('books that show no loss do not outvote the client', () => {
  const { text } = headline(r.clean, { ...r.flawlessClient, toClient: { ...r.flawlessClient.toClient, lost: 1 } });
  assert.match(text, /client saw trouble.*1 lost to the client/);
  assert.doesNotMatch(text, /nothing was lost/);
});

test('each thing that does not add up is named, and nothing else', () => {
  const doubts = (over: Partial<Receipt>): readonly string[] => tally({ ...r.clean, ...over }).doubts;
  assert.deepEqual(doubts({}), []);
  assert.deepEqual(doubts({ nics: [r.nic(0, { delivered: 53 })] }), ['NIC 0: 1 of 54 redirected frames did not arrive']);
  assert.deepEqual(doubts({ nics: [r.nic(0, { delivered: 55 })] }), ['NIC 0: 1 frame more arrived than the 54 redirected']);
  assert.deepEqual(doubts({ nics: [r.nic(1, { untaken: true })] }), ['NIC 1: frames wait in the tap that the guest has not taken']);
  assert.deepEqual(doubts({ ledger: r.dropping(r.ledger(1), 'h1', 'tap', 1) }), ['h1 tap gt-web-1-0 dropped 1 frame']);
  assert.deepEqual(doubts({ ledger: r.dropping(r.ledger(1), 'h1', 'uplink', 1) }),
    ['h1 uplink eth1: its counter went back from 2 to 1, so its drops are not known']);
  assert.deepEqual(doubts({ ledger: [] }), ['no queue was read']);
  assert.deepEqual(doubts({ unwatched: true }),
    ['QEMU switched by itself: frames that reached the taps before the redirect are not counted']);
  assert.deepEqual(doubts({ outcome: r.undrained.outcome }),
    ['the redirect was taken away before it had drained: Frames still came the old way after 5 s']);
});

const entry: fc.Arbitrary<LedgerEntry> = fc.record({
  host: fc.constantFrom('h1', 'h2'), queue: fc.constantFrom('tap', 'tunnel', 'uplink', 'new-one'), device: fc.string({ maxLength: 15 }),
  droppedBefore: fc.nat(3), droppedAfter: fc.nat(3),
});
const nic: fc.Arbitrary<NicLedger> = fc.record({
  nic: fc.nat(7), redirected: fc.nat(3), delivered: fc.nat(3), held: fc.nat(3), drained: fc.nat(3), overlap: fc.nat(3),
  untaken: fc.boolean(),
});
const name = fc.string({ minLength: 1, maxLength: 63, unit: 'grapheme-ascii' });
const receipt: fc.Arbitrary<Receipt> = fc.record({
  vm: name, from: name, to: name, nics: fc.array(nic, { maxLength: 4 }), ledger: fc.array(entry, { maxLength: 6 }),
  notes: fc.array(fc.string({ maxLength: 300 }), { maxLength: 2 }), unwatched: fc.boolean(),
  outcome: fc.oneof(fc.constantFrom({ kind: 'moved' } as const, r.undrained.outcome), fc.record({
    kind: fc.constantFrom('rolled-back', 'stranded'),
    reason: fc.oneof(fc.string({ maxLength: 400, unit: 'binary' }), fc.constant(`log: ${'x'.repeat(350)}\n\u001b[31mred`)),
  })),
}).map((over) => ({ ...r.clean, ...over }));

test('"nothing was lost" is said only when the books are lossless', () => {
  fc.assert(fc.property(receipt, (receipt) => {
    if (!lossless(receipt)) assert.notDeepEqual(tally(receipt).doubts, []);
    if (/; nothing was lost/.test(headline({ ...receipt, vm: 'v', from: 'a', to: 'b' }).text)) assert.ok(lossless(receipt));
  }));
});

test('no line is wider than 100 columns or moves the cursor, whatever stands in names, reasons and logs', () => {
  fc.assert(fc.property(receipt, (receipt) => {
    for (const style of [r.rich, r.plain]) {
      for (const line of formatReceipt(receipt, r.flawlessClient, style).split('\n')) {
        assert.ok(Array.from(line).length <= 100, `${Array.from(line).length} columns: ${line}`);
        assert.doesNotMatch(line, /\p{Cc}/u);
      }
    }
  }));
});

test('plain style is ASCII', () => assert.match(formatReceipt(r.twoNics, lossyClient, r.plain), /^[\n -~]*$/));
