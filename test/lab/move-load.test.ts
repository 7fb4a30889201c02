/** Moves of a guest under load: full-size frames, bulk TCP, memory being written; two NICs on two networks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertBack, assertProven, assertUnharmed, guestAddress, heavy, sharedSession, watched } from './move-fixture.ts';

describe('one NIC', () => {
  const session = sharedSession();

  for (const family of [4, 6] as const) {
    test(`IPv${family}: full-size frames, bulk TCP both ways and memory being written: nothing is lost, and the ledger proves it`, async () => {
      const { seen: [seen], result } = await watched(session(), [heavy(session().vm, family)], () => session().move());
      assert.ok(seen);
      assertUnharmed(seen);
      assert.equal(seen.bulk.alive, true);
      assert.ok(seen.bulk.toGuestBytes > 500_000 && seen.bulk.toClientBytes > 500_000, JSON.stringify(seen.bulk));
      assertProven(result.receipt);
    });
  }
});

describe('two NICs on two networks', () => {
  const session = sharedSession({ networks: ['a', 'b'] });
  const streams = (): Parameters<typeof watched>[1] => {
    const { vm } = session();
    return [{ to: guestAddress(vm, 4, 0), bulk: 10 }, { to: guestAddress(vm, 6, 1), size: 1452 }];
  };

  test('both networks are watched at once: both NICs are redirected, nothing is lost', async () => {
    const { seen, result } = await watched(session(), streams(), () => session().move());
    for (const one of seen) assertUnharmed(one);
    assertProven(result.receipt, 2);
  });

  test('the way back gives each NIC its own frames back', async () => {
    const cancel = new AbortController();
    const { seen, result } = await watched(session(), streams(), () =>
      session().move({ signal: cancel.signal, onProgress: ({ phase }) => phase === 'finishing' && cancel.abort() }));
    for (const one of seen) assertUnharmed(one);
    assertBack(result.receipt);
    assert.equal(result.receipt.nics.length, 2);
    for (const { nic, redirected } of result.receipt.nics) assert.ok(redirected > 0, `NIC ${nic}`);
  });
});
