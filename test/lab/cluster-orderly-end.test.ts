/** Agents that are told to end in the middle of a move: their processes end while its QEMUs run, and the next ones bring it to its end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Vm } from '../../src/model/vm.ts';
import { lastLines } from '../../src/vm/run-directory.ts';
import { LONG, copying, devices, ended, limit, onlyQemu, qemus, runVm, runs, sharedCluster } from './cluster-fixture.ts';

/** Some seconds of copying. */
const SLOW = '200Mbit/s';

describe('Agents told to end in the middle of the copy', () => {
  let vm: Vm;
  const cluster = sharedCluster(async (opened) => {
    vm = await runVm(opened, 'web-1', 10, 'h1');
  });

  /** What it returns starts them again. The source first: nobody cancels the copy then, by which the destination's QEMU would end of itself. */
  const endedBoth = async (): Promise<() => Promise<void>> => {
    const before = { qemu: onlyQemu(cluster(), vm), devices: devices(cluster()) };
    await limit(cluster(), 'h1', SLOW);
    const { name } = await cluster().api.migrate({ vm: vm.name, to: 'h2' });
    await copying(cluster(), name);
    for (const host of ['h1', 'h2']) await cluster().end(`agent ${host}`, 'SIGTERM');
    assert.deepEqual(qemus(cluster(), vm).map(({ host }) => host).sort(), ['h1', 'h2']);
    return async () => {
      for (const host of ['h1', 'h2']) cluster().startAgent(host);
      const { status } = await ended(cluster(), name);
      assert.deepEqual(status?.end, { kind: 'rolled-back', reason: 'The agent of the source was restarted' });
      await runs(cluster(), vm, 'h1');
      assert.deepEqual({ qemu: onlyQemu(cluster(), vm), devices: devices(cluster()) }, before);
    };
  };

  it('end, both, and leave both QEMUs; the move goes back when they are there again', { timeout: LONG }, async () => {
    const back = await endedBoth();
    await back();
  });

  it('end also while a QEMU does not answer them', { timeout: LONG }, async () => {
    const back = await endedBoth();
    const deaf = qemus(cluster(), vm).find(({ host }) => host === 'h2');
    assert.ok(deaf);
    process.kill(deaf.pid, 'SIGSTOP');
    try {
      cluster().startAgent('h2');
      await cluster().until('the agent cannot speak with its QEMU', async () => lastLines(cluster().log('h2'), 5).includes('could not be settled'), 30_000);
      await cluster().end('agent h2', 'SIGTERM');
    } finally {
      process.kill(deaf.pid, 'SIGCONT');
    }
    await back();
  });
});
