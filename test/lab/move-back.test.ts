/** Moves that go back: the guest runs on at the source as if nothing had been, and can be moved later. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { holdings, leaks } from '../../src/lab/leftovers.ts';
import type { SessionMove } from '../../src/lab/session.ts';
import { assertBack, assertProven, assertUnharmed, guestAddress, sharedSession, watched } from './move-fixture.ts';

// The destination's journal is opened once and stays open: not in these tests.
const session = sharedSession({}, (opened) => opened.move({ signal: AbortSignal.abort() }));

function cancelIn(wanted: string): SessionMove {
  const cancel = new AbortController();
  return { signal: cancel.signal, onProgress: ({ phase }) => phase === wanted && cancel.abort() };
}

/** Each with whether the redirect is in force by then, so that there are frames to be brought back. */
const ways: readonly { readonly name: string; readonly order: () => SessionMove; readonly redirected: boolean; readonly family: 4 | 6 }[] = [
  { name: 'cancelled before anything was copied', order: () => ({ signal: AbortSignal.abort() }), redirected: false, family: 4 },
  { name: 'cancelled while copying', order: () => cancelIn('copying'), redirected: false, family: 6 },
  { name: 'cancelled when the redirect begins', order: () => cancelIn('redirecting'), redirected: true, family: 4 },
  { name: 'cancelled while the taps empty', order: () => cancelIn('emptying'), redirected: true, family: 6 },
  { name: 'cancelled while the guest is being stopped', order: () => cancelIn('stopping'), redirected: true, family: 4 },
  { name: 'cancelled during the last pass', order: () => cancelIn('finishing'), redirected: true, family: 6 },
  { name: 'a pause that outgrows its limit', order: () => ({ policy: { maxPause: ms(1) } }), redirected: true, family: 4 },
];

for (const { name, order, redirected, family } of ways) {
  test(`${name}: nothing is lost, twice or out of order, and nothing is left behind`, async () => {
    const before = holdings(session().lab);
    const { at, running } = session();
    const { seen: [seen], result: { receipt } } = await watched(session(), [{ to: guestAddress(session().vm, family), bulk: 10 }], () => session().move(order()));
    assert.ok(seen);
    assertUnharmed(seen);
    assertBack(receipt);
    assert.equal(receipt.nics.some((nic) => nic.redirected > 0), redirected);
    assert.equal(session().at, at);
    assert.equal(session().running, running);
    assert.deepEqual(await running.qemu.qmp.execute('query-status').then(({ status }) => status), 'running');
    assert.deepEqual(leaks(before, holdings(session().lab)), []);
  });
}

test('after all these the same guest moves, without loss', async () => {
  const { at } = session();
  const { seen: [seen], result: { receipt } } = await watched(session(), [{ to: guestAddress(session().vm, 4) }], () => session().move());
  assert.ok(seen);
  assertUnharmed(seen);
  assertProven(receipt);
  assert.notEqual(session().at, at);
});
