import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AddressHolder, AddressResource } from '../../../src/model/address.ts';
import { golden } from './golden.ts';
import { NOW, cluster, event, vm } from './resources.ts';
import { StubApi, godwit } from './stub.ts';

const [mine, other] = ['52:54:00:00:00:0a', '02:00:00:00:00:99'];
const address = (text: string, holders: readonly AddressHolder[], conflicts: readonly string[] = []): AddressResource =>
  ({ kind: 'Address', name: `lan/${text}`, revision: 1, spec: { network: 'lan', address: text }, status: { holders, conflicts } });
const web: AddressHolder = { mac: mine, vm: 'web-2', nic: 0, host: 'host-a', evidence: 'arp', seenBy: ['host-a', 'host-b'], first: NOW - 3_600_000, last: NOW - 4000 };
const dispute = `VM web-2 (NIC 0, ${mine}, on host-a, gt-web2-0) and ${other} (none of Godwit's VMs, seen by host-a at br0) both claim it`;
const addresses = [
  address('192.0.2.10', [web, { mac: other, evidence: 'arp', seenBy: ['host-a'], first: NOW - 60_000, last: NOW - 1000 }], [dispute]),
  address('192.0.2.1', [{ mac: '00:00:5e:00:01:0a', router: 'gw', host: 'host-a', evidence: 'arp', seenBy: ['host-b'], first: NOW - 90_000_000, last: NOW - 30_000 }]),
  address('2001:db8::10', [{ mac: mine, vm: 'web-2', nic: 0, host: 'host-a', evidence: 'declared', seenBy: [] }]),
  address('192.0.2.77', [{ mac: '02:00:00:00:00:77', evidence: 'dhcp', seenBy: ['host-b'], first: NOW - 600_000, last: NOW - 500_000 }]),
  address('192.0.2.2', [{ router: 'plain', evidence: 'declared', seenBy: [] }]),
];
const guarded = vm('web-3', { nics: [{ nic: 0, seen: ['192.0.2.10', 'fe80::1'], dropped: { mac: 0, arp: 12, ipv6: 3 } }] });

test('addresses: tables, one of them, and what was seen of a VM', async () => {
  const parts: string[] = [];
  const all = [...cluster, ...addresses, guarded, event(9, { kind: 'Address', name: 'lan/192.0.2.10' }, 'AddressConflict', `192.0.2.10 on network lan: ${dispute}`, 'alarm')];
  for (const words of ['get addresses', 'get addr -o wide', 'get address lan/192.0.2.1', 'describe address lan/192.0.2.10', 'describe address/lan/192.0.2.2', 'describe vm web-3']) {
    const { exit, stdout, stderr } = await godwit(words, new StubApi(all));
    assert.deepEqual([exit, stderr], [0, '']);
    parts.push(`$ godwit ${words}\n${stdout}`);
  }
  golden('addresses', parts.join('\n'));
});
