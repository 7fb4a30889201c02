/**
 * Ways back while much arrives on two NICs, and the guest hardly keeps up: taps are not empty when the guest stops, and frames are
 * under way in a tunnel whenever a redirect ends. Several of each, for what goes wrong there goes wrong now and then.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertBack, assertUnharmed, guestAddress, sharedSession, watched } from './move-fixture.ts';

const session = sharedSession({ networks: ['a', 'b'] });
const TIMES = 4;

for (const phase of ['redirecting', 'finishing']) {
  test(`cancelled ${TIMES} times in ${phase}, with two busy NICs: nothing is lost, and each NIC's frames keep their order`, async () => {
    const streams = [0, 0, 1, 1].map((nic) => ({ to: guestAddress(session().vm, 4, nic), bulk: 10 }));
    const { seen, result: receipts } = await watched(session(), streams, async () => {
      const made = [];
      for (let n = 0; n < TIMES; n++) {
        const cancel = new AbortController();
        made.push((await session().move({ signal: cancel.signal, onProgress: (at) => at.phase === phase && cancel.abort() })).receipt);
      }
      return made;
    });
    for (const one of seen) assertUnharmed(one);
    for (const receipt of receipts) {
      assertBack(receipt);
      for (const { nic, redirected } of receipt.nics) assert.ok(redirected > 0, `NIC ${nic}`);
    }
  });
}
