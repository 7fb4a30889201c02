/** A guest that writes its shared disk moves, and comes back from as far as there is a way back: one QEMU at a time holds the image. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, after, before, test } from 'node:test';
import { DiskFull } from '../../src/host/disk.ts';
import { Journal } from '../../src/move/journal.ts';
import { MoveDestination } from '../../src/move/move-destination.ts';
import { ms } from '../../src/base/units.ts';
import { withSharedDisk } from '../../src/lab/guest-image.ts';
import type { Session, SessionMove } from '../../src/lab/session.ts';
import { runningQemu } from '../../src/vm/qemu.ts';
import { assertBack, assertProven, assertUnharmed, atCommit, guestAddress, openSession, watched } from './move-fixture.ts';

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

test('a guest that writes its disk moves: every block reads back, and the image never has two writers', async (t) => {
  const source = session.running.qemu.pid;
  assert.deepEqual([writers(), imageIsTaken()], [[source], true]);
  const looks = new Map<string, readonly number[]>();
  atCommit(t, () => looks.set('commit', writers()));
  const { release } = MoveDestination.prototype;
  t.mock.method(MoveDestination.prototype, 'release', function (this: MoveDestination) {
    const released = release.call(this);
    looks.set('release', writers());
    return released;
  });
  const { seen: [seen], result: { receipt, running } } = await watched(session, writing(), () =>
    // Not while group frames come both ways: a look takes a while.
    session.move({ onProgress: ({ phase }) => phase !== 'handing-over' && looks.set(phase, writers()) }));
  const destination = running.qemu.pid;
  assert.ok(seen);
  assertUnharmed(seen);
  assert.ok(seen.guest.diskWrites > 10, `${seen.guest.diskWrites} blocks written`);
  assertProven(receipt);
  for (const phase of ['preparing', 'copying', 'permitting', 'redirecting', 'emptying', 'stopping']) assert.deepEqual(looks.get(phase), [source], phase);
  // The source lets go of it somewhere in between, the destination takes it when it is told to run.
  for (const phase of ['finishing', 'commit']) {
    assert.ok((looks.get(phase) ?? [destination]).every((pid) => pid === source), `${phase}: ${looks.get(phase)?.join()}`);
  }
  // Looked at when the guest has been told to run, done or not.
  assert.ok((looks.get('release') ?? [0, 0]).length <= 1, `release: ${looks.get('release')?.join()}`);
  for (const phase of ['draining', 'done']) assert.deepEqual(looks.get(phase), [destination], phase);
  assert.deepEqual([writers(), imageIsTaken()], [[destination], true]);
});

/** The last moment from which there is a way back: the destination has loaded the guest, and cannot write down that it takes it. */
function noRoomForTheRecord(t: TestContext): SessionMove {
  const { decide } = Journal.prototype;
  t.mock.method(Journal.prototype, 'decide', function (this: Journal, ...[move, vm, decision]: Parameters<Journal['decide']>) {
    if (decision === 'committed') throw new DiskFull('moves.journal', undefined);
    decide.call(this, move, vm, decision);
  });
  return {};
}

for (const [name, order] of [
  ['whose commit has no room on the disk when the guest has been loaded', noRoomForTheRecord],
  ['with a pause that outgrows its limit', () => ({ policy: { maxPause: ms(1) } })],
] as const) {
  test(`a move ${name}: the guest goes on writing at the source`, async (t) => {
    const source = session.running.qemu.pid;
    const { seen: [seen], result } = await watched(session, writing(), async ([prober]) => {
      const { receipt } = await session.move(order(t));
      assert.deepEqual([writers(), imageIsTaken()], [[source], true]);
      return { receipt, writesThen: (await prober?.report())?.guest.diskWrites };
    });
    assert.ok(seen && result.writesThen !== undefined);
    assertUnharmed(seen);
    assert.ok(seen.guest.diskWrites > result.writesThen, 'the guest writes on');
    assertBack(result.receipt);
    assert.equal(session.running.qemu.pid, source);
    if (order === noRoomForTheRecord) assert.ok(result.receipt.times.stopToLoaded !== undefined, 'the destination had loaded it');
  });
}

test('called off when all has been sent: whichever end comes first has it, alone, and it goes on writing there', async () => {
  const source = session.running.qemu.pid;
  const cancel = new AbortController();
  const stop = session.running.qemu.qmp.on('MIGRATION', ({ data }) => data.status === 'completed' && cancel.abort());
  const { seen: [seen], result } = await watched(session, writing(), async ([prober]) => {
    const { receipt, running } = await session.move({ signal: cancel.signal });
    stop();
    assert.deepEqual([writers(), imageIsTaken()], [[running.qemu.pid], true]);
    assert.equal(running.qemu.pid === source, receipt.outcome.kind === 'rolled-back');
    return { receipt, writesThen: (await prober?.report())?.guest.diskWrites };
  });
  assert.ok(seen && result.writesThen !== undefined && cancel.signal.aborted);
  assertUnharmed(seen);
  assert.ok(seen.guest.diskWrites > result.writesThen, 'the guest writes on');
  if (result.receipt.outcome.kind === 'rolled-back') assertBack(result.receipt);
  else assertProven(result.receipt);
});
