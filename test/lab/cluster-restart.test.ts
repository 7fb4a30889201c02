/** Agents and the server are killed and come back; the VMs do not notice. GODWIT_RESTARTS: how often, 10 without. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Vm } from '../../src/model/vm.ts';
import { devices, moveRecords, onlyQemu, runVm, sharedCluster } from './cluster-fixture.ts';
import { assertUnharmed, heavy, watched } from './move-fixture.ts';

const RESTARTS = Number(process.env['GODWIT_RESTARTS'] ?? 10);

describe(`An agent and a server that are killed, ${RESTARTS} times`, () => {
  let vm: Vm;
  const cluster = sharedCluster(async (opened) => {
    vm = await runVm(opened, 'web-1', 10, 'h1');
  });
  const instance = async (): Promise<string | undefined> => (await cluster().api.get('Host', 'h1')).status?.agent.instance;

  it('leave the VM as it is: no packet lost, the same QEMU, and the server says that it runs', async () => {
    const before = { qemu: onlyQemu(cluster(), vm), devices: devices(cluster()), placement: (await cluster().api.get('Vm', vm.name)).status?.placement };
    const { seen } = await watched(cluster(), [heavy(vm, 4)], async () => {
      for (let i = 1; i <= RESTARTS; i++) {
        const last = await instance();
        await cluster().end('agent h1');
        // With the server, before it, or alone: the agent must get on with each.
        if (i % 3 === 0) await cluster().end('server');
        cluster().startAgent('h1');
        if (i % 3 === 0) await cluster().startServer();
        await cluster().until(`agent ${i} has reported the VM`, async () => {
          const { status } = await cluster().api.get('Vm', vm.name);
          return (await instance()) !== last && status?.state === 'running';
        }, 30_000);
        assert.deepEqual(onlyQemu(cluster(), vm), before.qemu);
      }
    });
    for (const one of seen) assertUnharmed(one);
    const { status } = await cluster().api.get('Vm', vm.name);
    assert.deepEqual({ qemu: onlyQemu(cluster(), vm), devices: devices(cluster()), placement: status?.placement }, before);
    assert.deepEqual(moveRecords(cluster(), 'h1'), []);
    const alarms = (await cluster().api.list('Event')).filter(({ spec }) => spec.severity === 'alarm');
    assert.deepEqual(alarms, []);
  });
});
