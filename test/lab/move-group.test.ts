/** Broadcast and multicast through a move: each frame reaches the guest, and twice at most as often as the receipt admits. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { Session } from '../../src/lab/session.ts';
import { assertOverlap, guestAddress, sharedSession, watched } from './move-fixture.ts';
import type { GroupCount } from './move-group-sender.ts';

const session = sharedSession();
/** Broadcast; all nodes; and the solicited-node group of the guest's address, which snooping bridges do not flood once there is a querier. */
const groups = ['10.77.0.255', 'ff02::1', 'ff02::1:ff00:10'];

async function withGroupStreams<T>({ lab, vm }: Session, during: () => Promise<T>): Promise<{ counts: GroupCount[]; result: T }> {
  const words = [join(import.meta.dirname, 'move-group-sender.ts'), String(guestAddress(vm, 4)), 'eth-a', ...groups];
  const child = lab.client.native.inNetns(lab.client.netns, () => spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] }));
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const line = async (): Promise<string> => {
      const { value, done } = await lines.next();
      assert.ok(!done, 'the sender ended early');
      return value;
    };
    assert.equal(await line(), 'ready');
    const result = await during();
    child.stdin.end();
    const counts: GroupCount[] = [];
    // The sender's own shape, of the file beside this one.
    for (const _ of groups) counts.push(JSON.parse(await line()) as GroupCount);
    return { counts, result };
  } finally {
    child.kill('SIGKILL');
  }
}

for (const round of [1, 2]) {
  test(`move ${round}: no broadcast or multicast frame is lost, none comes twice beyond the overlap counted`, async () => {
    // A prober beside, so that the guest's unicast is redirected at the same time.
    const { result: { counts, result } } = await watched(session(), [{ to: guestAddress(session().vm, 6) }], () =>
      withGroupStreams(session(), () => session().move()));
    const { receipt } = result;
    assert.deepEqual(receipt.outcome, { kind: 'moved' });
    assertOverlap(receipt);
    for (const { group, sent, received, missing } of counts) {
      assert.ok(sent > 200, `${group}: ${sent} sent`);
      assert.deepEqual({ group, received, missing }, { group, received: sent, missing: [] });
    }
    const twice = counts.reduce((sum, { duplicated }) => sum + duplicated, 0);
    const overlap = receipt.nics.reduce((sum, nic) => sum + nic.overlap, 0);
    assert.ok(twice <= overlap, `${twice} came twice, ${overlap} are counted`);
  });
}
