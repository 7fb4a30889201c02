/**
 * The weaker way, for a QEMU that cannot be kept from switching (before 8.1): an idle guest is stopped as soon as its memory is
 * copied, and the move goes on from there. What reached the source's tap before the redirect is lost, mostly nothing, up to 15 frames
 * of 1000/s seen; the receipt does not claim otherwise.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { lossless } from '../../src/model/move.ts';
import type { SessionMove } from '../../src/lab/session.ts';
import type { Qemu } from '../../src/vm/qemu.ts';
import { guestAddress, sharedSession, watched } from './move-fixture.ts';

const session = sharedSession();
/** Nothing is little enough for Godwit to switch, so QEMU is first. */
const never: SessionMove['policy'] = { lastPass: ms(-1) };

/** Makes QEMU hide what came with 8.1 and 8.2, so that it is used as an older one is. */
function asBefore81(t: TestContext, { qmp }: Qemu): void {
  const execute = qmp.execute.bind(qmp);
  t.mock.method(qmp, 'execute', async (command: string, ...rest: unknown[]): Promise<unknown> => {
    switch (command) {
      case 'query-migrate-capabilities': return (await execute(command)).filter(({ capability }) => capability !== 'switchover-ack');
      case 'query-migrate-parameters':
        return Object.fromEntries(Object.entries(await execute(command)).filter(([name]) => name !== 'avail-switchover-bandwidth'));
      default: return Reflect.apply(execute, qmp, [command, ...rest]);
    }
  });
}

for (const family of [4, 6] as const) {
  test(`IPv${family}: an idle guest that QEMU stops by itself is moved, and the receipt has no proof`, async (t) => {
    const { vm, at: source, next: destination, running: { qemu } } = session();
    asBefore81(t, qemu);
    const streams = [{ to: guestAddress(vm, family) }];
    const { seen: [seen], result: { receipt, running } } = await watched(session(), streams, () => session().move({ policy: never }));
    assert.ok(seen);

    assert.deepEqual(receipt.outcome, { kind: 'moved' });
    assert.deepEqual([receipt.from, receipt.to], [source.name, destination.name]);
    assert.equal(running, session().running);
    assert.deepEqual(receipt.phases.map(({ name }) => name).slice(0, 5), ['preparing', 'copying', 'permitting', 'redirecting', 'stopping']);
    assert.equal(receipt.unwatched, true);
    assert.equal(lossless(receipt), false);
    assert.match(receipt.notes.join('\n'), /QEMU switched by itself/);
    // What was redirected has come all the same.
    for (const { redirected, delivered, untaken } of receipt.nics) {
      assert.deepEqual({ delivered, untaken }, { delivered: redirected, untaken: false });
    }

    t.diagnostic(`lost ${seen.toGuest.lost}, redirect ${-(receipt.times.redirectToStop ?? NaN)} ms after the stop`);
    for (const { sent } of [seen.toGuest, seen.toClient]) assert.ok(sent > 500, `${sent} numbers sent: too few to say anything`);
    assert.deepEqual([seen.toGuest.duplicated, seen.toClient.lost, seen.toClient.duplicated], [0, 0, 0]);
    assert.deepEqual([seen.sessions.alive, seen.sessions.errors], [seen.sessions.opened, []]);
  });
}
