/** Who is where in a real cluster: the registry follows a VM through a move, and who takes its address is named, with the VM, in an event. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddressHolder } from '../../src/model/address.ts';
import type { Vm } from '../../src/model/vm.ts';
import { LONG, moved, runVm, sharedCluster } from './cluster-fixture.ts';
import { guestAddress, inNamespace } from './move-fixture.ts';

describe('Who is where', () => {
  let vm: Vm;
  const cluster = sharedCluster(async (opened) => {
    vm = await runVm(opened, 'web-1', 10, 'h1');
  });
  const holders = async (name: string): Promise<readonly AddressHolder[]> => (await cluster().api.get('Address', name)).status?.holders ?? [];
  const conflicts = async () => (await cluster().api.list('Event')).map(({ spec }) => spec).filter(({ reason }) => reason.startsWith('AddressConflict'));

  it('follows the VM through a move, which is no conflict', async () => {
    const [four, six] = [`a/${guestAddress(vm, 4)}`, `a/${guestAddress(vm, 6)}`];
    for (const [host, move] of [['h1', false], ['h2', true]] as const) {
      if (move) await moved(cluster(), vm, host);
      await cluster().until(`${four} is seen on ${host}`, async () => (await holders(four))[0]?.host === host && (await holders(four))[0]?.evidence === 'arp', LONG);
      const [holder, ...others] = await holders(four);
      assert.deepEqual([holder?.mac, holder?.vm, others], [String(vm.nics[0]?.mac), 'web-1', []]);
      assert.equal((await holders(six))[0]?.host, host);
    }
    assert.deepEqual(await conflicts(), []);
  });

  it('somebody else takes its address: one alarm that names both ends', async () => {
    const address = String(guestAddress(vm, 4));
    const { clientNamespace: client } = cluster().lab;
    const mac = inNamespace(client, 'cat', '/sys/class/net/eth-a/address').trim();
    inNamespace(client, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth-a');
    try {
      // Asks for somebody, in the name of the address.
      assert.throws(() => inNamespace(client, 'ping', '-c', '1', '-W', '1', '-I', address, '10.77.0.99'));
      await cluster().until('it is told', async () => (await conflicts()).length > 0, LONG);
      const [event, ...more] = await conflicts();
      assert.deepEqual([event?.reason, event?.severity, event?.about, more], ['AddressConflict', 'alarm', { kind: 'Address', name: `a/${address}` }, []]);
      assert.ok(event?.message.includes(`VM web-1 (NIC 0, ${vm.nics[0]?.mac}, on h2`), event?.message);
      assert.ok(event?.message.includes(`${mac} (none of Godwit's VMs, seen by h2`), event?.message);
      assert.deepEqual(new Set((await holders(`a/${address}`)).map((holder) => holder.mac)), new Set([String(vm.nics[0]?.mac), mac]));
      assert.equal((await cluster().api.get('Address', `a/${address}`)).status?.conflicts.length, 1);
    } finally {
      inNamespace(client, 'ip', 'address', 'del', `${address}/24`, 'dev', 'eth-a');
    }
  });
});
