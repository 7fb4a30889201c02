/** Godwit's process is killed: the guest and its network run on, another process takes QEMU and its tap over, and nothing stays in the end. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Host } from '../../src/host/host.ts';
import { Prober } from '../../src/lab/prober.ts';
import { labAddresses, sweep } from '../../src/lab/topology.ts';
import { adoptQemu, runningQemu } from '../../src/vm/qemu.ts';
import { assertUnharmed, native } from './move-fixture.ts';
import type { OrphanLab } from './move-orphan-lab.ts';

test('a QEMU outlives its killed starter, serves on, is adopted with its tap, and is swept away with its lab', async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'move-orphan-lab.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  let orphan: OrphanLab;
  try {
    const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    orphan = JSON.parse(value ?? ''); // the shape of the program beside this file
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  try {
    const pid = runningQemu(orphan.guestRun);
    assert.ok(pid, 'QEMU runs on');
    const netns = native.openNetns(orphan.client);
    const client = new Host('client', native, netns);
    const prober = await Prober.start(client, { to: labAddresses('a', 10).v4 });
    try {
      const qemu = await adoptQemu(native, orphan.guestRun);
      assert.ok(qemu);
      assert.equal(qemu.pid, pid);
      assert.equal((await qemu.qmp.execute('query-status')).status, 'running');
      const [tap, ...others] = qemu.taps;
      assert.ok(tap);
      assert.deepEqual([tap.name, tap.vnetHeaderSize(), others.length], ['gt-boot-0', 12, 0]);
      // Adopting takes nothing out of the tap, and letting go leaves QEMU and its guest as they are.
      tap.close();
      qemu.close();
      await prober.report();
      assertUnharmed(await prober.stop());
      assert.equal(runningQemu(orphan.guestRun), pid);
    } finally {
      prober.kill();
      client.close();
      netns.close();
    }
  } finally {
    sweep();
  }
  assert.equal(runningQemu(orphan.guestRun), undefined);
  assert.equal(existsSync(orphan.directory), false);
  const names = readdirSync('/run/netns');
  assert.deepEqual(orphan.namespaces.filter((name) => names.includes(name)), []);
});
