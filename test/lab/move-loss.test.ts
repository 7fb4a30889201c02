/** A loss made on purpose is found, counted to the frame, and named: the receipt never calls such a move lossless. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { losses, lossless, missing } from '../../src/model/move.ts';
import { dropped, guestAddress, hostNamed, inNamespace, sharedSession, watched } from './move-fixture.ts';
import type { Prober } from '../../src/lab/prober.ts';

const session = sharedSession();
/** Datagrams alone, so that what is lost is what is missing at the end: TCP would send it again. */
const stream = (): Parameters<typeof Prober.start>[1] => ({ to: guestAddress(session().vm, 4), sessions: 0 });

/** What the rule of nft's table `loss` has dropped. */
function droppedByNft(namespace: string, family: string): number {
  const packets = /packets (\d+)/.exec(inNamespace(namespace, 'nft', 'list', 'counter', family, 'loss', 'dropped'))?.[1];
  return Number(packets);
}

for (const [where, family, hook] of [
  ['the switch', 'bridge', 'forward'],
  ['the destination', 'inet', 'input'],
] as const) {
  test(`tunnel datagrams that ${where} drops: the receipt counts each of them, and so does the client`, async () => {
    const { lab, next } = session();
    const namespace = where === 'the switch' ? lab.switchNamespace : next.namespace;
    const match = family === 'bridge' ? 'ether type ip udp dport 4790' : 'udp dport 4790';
    for (const rule of [
      ['add', 'table', family, 'loss'],
      ['add', 'counter', family, 'loss', 'dropped'],
      ['add', 'chain', family, 'loss', 'it', `{ type filter hook ${hook} priority 0; }`],
      ['add', 'rule', family, 'loss', 'it', `${match} numgen inc mod 3 == 2 counter name dropped drop`],
    ]) inNamespace(namespace, 'nft', ...rule);
    const { seen: [seen], result: { receipt } } = await watched(session(), [stream()], () => session().move());
    const count = droppedByNft(namespace, family);
    inNamespace(namespace, 'nft', 'delete', 'table', family, 'loss');
    assert.ok(seen);
    assert.ok(count > 0, 'the rule dropped something');
    assert.deepEqual(receipt.outcome, { kind: 'moved' });
    assert.equal(lossless(receipt), false);
    assert.equal(missing(receipt), count);
    const [nic] = receipt.nics;
    assert.ok(nic && nic.redirected > nic.delivered);
    // Of those lost the client's datagrams are most; the others are the control connection's and ARP.
    assert.ok(seen.toGuest.lost > 0 && seen.toGuest.lost <= count, `${seen.toGuest.lost} of ${count}`);
    assert.equal(seen.toClient.lost, 0);
  });
}

test('a queue at the destination that is too short is named, with what it dropped', async () => {
  const { host } = hostNamed(session(), session().next.name);
  let tap = '';
  const shorten = (): void => {
    const found = host.links.list().find(({ kind }) => kind === 'tun');
    assert.ok(found);
    tap = found.name;
    host.links.set(found.index, { txQueueLength: 5 });
  };
  const { seen: [seen], result: { receipt } } = await watched(session(), [stream()], () =>
    session().move({ onProgress: ({ phase }) => phase === 'copying' && tap === '' && shorten() }));
  assert.ok(seen);
  assert.deepEqual(receipt.outcome, { kind: 'moved' });
  assert.equal(lossless(receipt), false);
  // The tunnel gave everything; it is the tap behind it that had no room.
  assert.equal(missing(receipt), 0);
  const named = losses(receipt).filter(({ host: name, device }) => name === host.name && device === tap);
  assert.ok(named.length > 0, JSON.stringify(losses(receipt)));
  assert.deepEqual(losses(receipt), named);
  const count = named.reduce((sum, entry) => sum + dropped(entry), 0);
  // The queue stays short when the receipt is written, and goes on dropping: so the client can have lost more.
  assert.ok(seen.toGuest.lost > 0 && count > 0, `${seen.toGuest.lost} lost, ${count} dropped`);
});
