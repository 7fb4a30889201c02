/** A guest with a source guard moves: nothing of its own is dropped, at neither end, and the guard is where the guest is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { Session } from '../../src/lab/session.ts';
import { sweep } from '../../src/lab/topology.ts';
import { gratuitousArpRequestFrame } from '../../src/wire/announce.ts';
import { Ipv4Address } from '../../src/wire/ip-address.ts';
import { until } from './host-fixture.ts';
import { assertProven, assertUnharmed, guestAddress, native, watched } from './move-fixture.ts';

test('a move with the guard on loses nothing, and the guard travels', async () => {
  sweep();
  const plain = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator(), disks: [] });
  const vm = { ...plain, nics: plain.nics.map((nic) => ({ ...nic, guard: true })) };
  const session = await Session.open(native, { hosts: 2, networks: ['a'] }, vm);
  try {
    const [source, destination] = [session.at.host, session.next.host];
    const streams = [{ to: guestAddress(vm, 4) }, { to: guestAddress(vm, 6) }];
    assert.equal((await source.guards.drops()).size, 1);
    const { seen, result: { receipt, running } } = await watched(session, streams, () => session.move());
    for (const one of seen) assertUnharmed(one);
    assertProven(receipt);
    const [drops] = [...(await destination.guards.drops()).values()];
    assert.deepEqual(drops, { mac: 0, other: 0, arp: 0, ipv4: 0, nd: 0, ipv6: 0 });

    const nic = vm.nics[0];
    assert.ok(nic);
    running.taps[0]?.tap.write(gratuitousArpRequestFrame(nic.mac, Ipv4Address.parse('10.77.0.200')));
    assert.equal([...(await destination.guards.drops()).values()][0]?.['arp'], 1, 'it is in force');
    await until('the source has none any more', async () => (await source.guards.drops()).size === 0, { every: 20 });
  } finally {
    await session.close();
  }
});
