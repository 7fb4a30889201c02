/** A VM on a real cluster, from its declaration to its end: every move by the server's word, between agents that speak over TLS. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Vm } from '../../src/model/vm.ts';
import { assertLossless, copying, deleted, devices, ended, limit, moveRecords, moved, onlyQemu, qemus, runVm, runs, sharedCluster, vmResource } from './cluster-fixture.ts';
import { assertUnharmed, heavy, watched } from './move-fixture.ts';

/** Some seconds of copying. */
const SLOW = '200Mbit/s';

describe('A VM of a cluster', () => {
  let vm: Vm;
  const cluster = sharedCluster(async (opened) => {
    vm = await runVm(opened, 'web-1', 10, 'h1');
  });

  it('moves there and back under load, and loses, doubles and reorders nothing', async () => {
    const { seen, result } = await watched(cluster(), [heavy(vm, 4)], async () => [await moved(cluster(), vm, 'h2'), await moved(cluster(), vm, 'h1')]);
    for (const one of seen) assertUnharmed(one);
    result.forEach(assertLossless);
    const { h1, h2 } = devices(cluster());
    assert.deepEqual({ h1: h1?.map((name) => name.slice(0, 3)), h2 }, { h1: ['gt-'], h2: [] });
  });

  it('is not touched by a dry run', async () => {
    // Without what its host has seen it use: that is learned as it talks.
    const everything = async (): Promise<unknown> => {
      const { status: { nics: _, ...status } = {}, ...resource } = (await vmResource(cluster(), vm.name)) ?? {};
      return { vm: { ...resource, status }, qemus: qemus(cluster(), vm), devices: devices(cluster()) };
    };
    const before = await everything();
    const { name } = await cluster().api.migrate({ vm: vm.name, to: 'h2', dryRun: true });
    const { status } = await ended(cluster(), name);
    assert.equal(status?.end?.kind, 'possible', JSON.stringify(status?.end));
    assert.deepEqual(await everything(), before);
  });

  it('runs on where it is when its move is cancelled in the middle', async () => {
    const before = { qemu: onlyQemu(cluster(), vm), devices: devices(cluster()) };
    await limit(cluster(), 'h1', SLOW);
    const { seen } = await watched(cluster(), [{ to: heavy(vm, 4).to }], async () => {
      const { name } = await cluster().api.migrate({ vm: vm.name, to: 'h2' });
      await copying(cluster(), name);
      await cluster().api.cancel(name);
      const { status } = await ended(cluster(), name);
      assert.deepEqual(status?.end, { kind: 'cancelled' });
    });
    for (const one of seen) assertUnharmed(one);
    await runs(cluster(), vm, 'h1');
    assert.deepEqual({ qemu: onlyQemu(cluster(), vm), devices: devices(cluster()) }, before);
  });

  it('arrives while the server is dead, and the server learns it', async () => {
    await limit(cluster(), 'h1', SLOW);
    const { seen, result: name } = await watched(cluster(), [{ to: heavy(vm, 4).to }], async () => {
      const migration = (await cluster().api.migrate({ vm: vm.name, to: 'h2' })).name;
      await copying(cluster(), migration);
      await cluster().end('server');
      await cluster().until('it has arrived', async () => {
        const at = qemus(cluster(), vm);
        return at.length === 1 && at[0]?.host === 'h2' && moveRecords(cluster(), 'h1').every((file) => file.startsWith('ended/'));
      }, 60_000);
      await cluster().startServer();
      return migration;
    });
    for (const one of seen) assertUnharmed(one);
    const { status } = await ended(cluster(), name);
    assert.deepEqual({ end: status?.end, decision: status?.decision, phase: status?.phase }, { end: { kind: 'moved' }, decision: 'committed', phase: 'done' });
    assert.ok(status?.receipt);
    assertLossless(status.receipt);
    await runs(cluster(), vm, 'h2');
  });

  it('stops, starts anew, and is removed with all that was made for it', async () => {
    const before = onlyQemu(cluster(), vm);
    await cluster().api.stop(vm.name, { force: true });
    await cluster().until('it is stopped', async () => (await vmResource(cluster(), vm.name))?.status?.state === 'stopped');
    assert.deepEqual(qemus(cluster(), vm), []);

    await cluster().api.start(vm.name);
    // Where it is declared to start, wherever it had been moved to.
    const host = 'h1';
    await runs(cluster(), vm, host);
    assert.notEqual(onlyQemu(cluster(), vm).pid, before.pid);

    await deleted(cluster(), vm);
    assert.deepEqual({ qemus: qemus(cluster(), vm), devices: devices(cluster()) }, { qemus: [], devices: { h1: [], h2: [] } });
    assert.equal(existsSync(join(cluster().runDir(host), 'vms', vm.name)), false, 'its run directory is gone');
  });
});
