/** Many moves of one guest: to and fro as fast as they can be ordered, and round three hosts under open sessions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdings, leaks } from '../../src/lab/leftovers.ts';
import type { Receipt } from '../../src/model/move.ts';
import { assertProven, assertUnharmed, guestAddress, hostNamed, sharedSession, watched } from './move-fixture.ts';

const session = sharedSession({ hosts: 3 });
const [HOPS, ROUND] = [10, 12];

test(`${HOPS} moves to and fro between two hosts, one right after the other: no frame circles, none is lost`, async () => {
  const [h1, h2] = [hostNamed(session(), 'h1'), hostNamed(session(), 'h2')];
  const { seen: [seen], result: receipts } = await watched(session(), [{ to: guestAddress(session().vm, 4), sessions: 0 }], async () => {
    const made: Receipt[] = [];
    for (let hop = 1; hop <= HOPS; hop++) made.push((await session().move({}, hop % 2 === 1 ? h2 : h1)).receipt);
    return made;
  });
  assert.ok(seen);
  assertUnharmed(seen);
  assert.equal(receipts.length, HOPS);
  let redirected = 0;
  for (const receipt of receipts) {
    assertProven(receipt);
    // Nothing but the prober's numbers goes to the guest, 1000 a second, and now and then a word beside. A loop is 370 000 a second.
    const [frames = 0] = receipt.nics.map((nic) => nic.redirected);
    const duration = receipt.endedAt - receipt.startedAt;
    assert.ok(frames < 1.2 * duration + 100, `${frames} redirected in ${duration} ms`);
    redirected += frames;
  }
  // What has gone through one tunnel has gone through no other: all of them together have carried a part of what was sent.
  assert.ok(redirected < seen.toGuest.sent, `${redirected} redirected, ${seen.toGuest.sent} sent`);
});

test(`${ROUND} moves round three hosts under open sessions: all live, and nothing is left behind`, async () => {
  // Each host's journal is opened once and stays open.
  for (let n = 0; n < 3; n++) await session().move();
  let left: string[] = [];
  const { seen: [seen], result: receipts } = await watched(session(), [{ to: guestAddress(session().vm, 6), sessions: 16 }], async () => {
    const made: Receipt[] = [];
    const before = holdings(session().lab);
    for (let n = 0; n < ROUND; n++) made.push((await session().move()).receipt);
    left = leaks(before, holdings(session().lab));
    return made;
  });
  assert.ok(seen);
  assertUnharmed(seen);
  assert.deepEqual([seen.sessions.opened, seen.sessions.alive], [16, 16]);
  for (const receipt of receipts) assertProven(receipt);
  assert.deepEqual(left, []);
});
