/** A guest that writes its shared disk moves, and comes back from as far as there is a way back: one QEMU at a time holds the image. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { withSharedDisk } from '../../src/lab/guest-image.ts';
import type { Session, SessionMove } from '../../src/lab/session.ts';
import { runningQemu } from '../../src/vm/qemu.ts';
import { assertBack, assertProven, assertUnharmed, guestAddress, openSession, watched } from './move-fixture.ts';

/** QEMU says with a lock on this byte that it may write the image (block/file-posix.c: RAW_LOCK_PERM_BASE + bit of BLK_PERM_WRITE). */
const WRITE_LOCK = 101;
const WRITES_PER_SECOND = 50;

let session: Session;
let image = '';
const done = Promise.withResolvers<void>();
let removed: Promise<void>;

before(async () => {
  const opened = Promise.withResolvers<void>();
  removed = withSharedDisk(async (disk) => {
    image = disk.path;
    try {
      session = await openSession({ disks: [disk] });
    } finally {
      opened.resolve();
    }
    await done.promise;
  });
  await opened.promise;
});

after(async () => {
  await session?.close();
  done.resolve();
  await removed;
});

/** The QEMUs that may write the image. Such locks belong to an open file: /proc/locks does not say whose. No process is started: a move waits. */
function writers(): number[] {
  const { directory } = session.lab;
  const runs = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return runs.map(({ name }) => runningQemu(join(directory, name))).filter((pid) => pid !== undefined).filter(holdsWriteLock);
}

function holdsWriteLock(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== image) return false;
      // proc_pid_fdinfo(5): "lock: 1: OFDLCK  ADVISORY  READ -1 00:2e:123 101 101"
      const locks = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').matchAll(/^lock:.* (\d+) (\d+|EOF)$/gm);
      return [...locks].some(([, first, last]) => Number(first) <= WRITE_LOCK && (last === 'EOF' || Number(last) >= WRITE_LOCK));
    });
  } catch {
    return false; // it ended, or closed that descriptor, while it was looked at
  }
}

/** qemu-img takes the locks that a program needs that wants the image to itself. */
function imageIsTaken(): boolean {
  return spawnSync('qemu-img', ['info', image], { stdio: 'ignore' }).status !== 0;
}

const writing = (): Parameters<typeof watched>[1] => [{ to: guestAddress(session.vm, 4), disk: WRITES_PER_SECOND }];

test('a guest that writes its disk moves: every block reads back, and the image never has two writers', async () => {
  const source = session.running.qemu.pid;
  assert.deepEqual([writers(), imageIsTaken()], [[source], true]);
  const looks = new Map<string, readonly number[]>();
  const { seen: [seen], result: { receipt, running } } = await watched(session, writing(), () =>
    // Not while group frames come both ways: a look takes a while.
    session.move({ onProgress: ({ phase }) => phase !== 'handing-over' && looks.set(phase, writers()) }));
  const destination = running.qemu.pid;
  assert.ok(seen);
  assertUnharmed(seen);
  assert.ok(seen.guest.diskWrites > 10, `${seen.guest.diskWrites} blocks written`);
  assertProven(receipt);
  for (const phase of ['preparing', 'copying', 'redirecting', 'emptying', 'stopping']) assert.deepEqual(looks.get(phase), [source], phase);
  // The source lets go of it somewhere in between, the destination takes it when it is told to run.
  for (const phase of ['finishing', 'committing']) {
    assert.ok((looks.get(phase) ?? [destination]).every((pid) => pid === source), `${phase}: ${looks.get(phase)?.join()}`);
  }
  // Looked at when the guest has been told to run, done or not.
  assert.ok((looks.get('releasing') ?? [0, 0]).length <= 1, `releasing: ${looks.get('releasing')?.join()}`);
  for (const phase of ['draining', 'done']) assert.deepEqual(looks.get(phase), [destination], phase);
  assert.deepEqual([writers(), imageIsTaken()], [[destination], true]);
});

/** Cancelled at the last moment there is: everything has been sent, and the destination has loaded it. */
function cancelWhenLoaded(): SessionMove {
  const cancel = new AbortController();
  // Listens before the move does, so that the machine hears of the cancellation first.
  const stop = session.running.qemu.qmp.on('MIGRATION', ({ data }) => {
    if (data.status !== 'completed') return;
    stop();
    cancel.abort();
  });
  return { signal: cancel.signal };
}

for (const [name, order] of [
  ['called off when the destination has loaded the guest', cancelWhenLoaded],
  ['with a pause that outgrows its limit', () => ({ policy: { maxPause: ms(1) } })],
] as const) {
  test(`a move ${name}: the guest goes on writing at the source`, async () => {
    const source = session.running.qemu.pid;
    const { seen: [seen], result } = await watched(session, writing(), async ([prober]) => {
      const { receipt } = await session.move(order());
      assert.deepEqual([writers(), imageIsTaken()], [[source], true]);
      return { receipt, writesThen: (await prober?.report())?.guest.diskWrites };
    });
    assert.ok(seen && result.writesThen !== undefined);
    assertUnharmed(seen);
    assert.ok(seen.guest.diskWrites > result.writesThen, 'the guest writes on');
    assertBack(result.receipt);
    assert.equal(session.running.qemu.pid, source);
    if (order === cancelWhenLoaded) assert.ok(result.receipt.times.stopToLoaded !== undefined, 'the destination had loaded it');
  });
}
