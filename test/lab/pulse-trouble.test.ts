/** What goes wrong on a host under a running pulse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { KernelGround } from '../../src/pulse/ground-kernel.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { virtualRouterMac } from '../../src/wire/vrrp.ts';
import { vrrpFrame } from '../../src/wire/vrrp-frame.ts';
import { until } from './host-fixture.ts';
import { VIP, plan, withPulseLab } from './pulse-fixture.ts';

test('the virtual MAC is up elsewhere on the host: a fault, and the healthy Active hears nothing of it', () => withPulseLab(async ({ r1, r2, bench }) => {
  await Promise.all([r1.start(), r2.start()]);
  r2.want(plan('g', { priority: 100 }));
  await r2.is('g', 'active');
  const heard = r2.routers['g']?.counters.received;
  bench.ip(r1.host, 'link', 'add', 'vrrp.7', 'link', 'e0', 'address', '00:00:5e:00:01:07', 'type', 'macvlan', 'mode', 'private');
  bench.ip(r1.host, 'link', 'set', 'vrrp.7', 'up');
  r1.want(plan('g', { priority: 200 }));
  await until('it was refused twice', () => r1.transitions.filter(({ rule }) => rule.includes('EADDRINUSE')).length === 2);
  assert.deepEqual(r2.transitions.map(({ to }) => to), ['backup', 'active']);
  assert.equal(r2.routers['g']?.counters.received, heard);
  bench.ip(r1.host, 'link', 'del', 'vrrp.7');
  await r1.is('g', 'active');
}));

test('a bridge takes another MAC, without a virtual one: its neighbours are told', () => withPulseLab(async ({ r1, bench, atNeighbour }) => {
  bench.ip(r1.host, 'link', 'add', 'br0', 'type', 'bridge');
  bench.ip(r1.host, 'addr', 'flush', 'dev', 'e0');
  bench.ip(r1.host, 'link', 'set', 'e0', 'address', '02:aa:00:00:00:01');
  bench.ip(r1.host, 'link', 'set', 'e0', 'master', 'br0');
  bench.ip(r1.host, 'link', 'set', 'br0', 'up');
  bench.ip(r1.host, 'addr', 'add', '10.78.0.11/24', 'dev', 'br0');
  await r1.start();
  r1.want(plan('g', { device: 'br0', virtualMac: false }));
  await r1.is('g', 'active');
  atNeighbour('ping', '-c1', '-W1', VIP);
  // It follows the lowest of its ports.
  bench.ip(r1.host, 'link', 'add', 'tap9', 'type', 'veth', 'peer', 'name', 'tap9p');
  bench.ip(r1.host, 'link', 'set', 'tap9', 'address', '02:00:00:00:00:01');
  bench.ip(r1.host, 'link', 'set', 'tap9', 'master', 'br0');
  await until('the neighbour has it', () => atNeighbour('ip', 'neigh', 'show', VIP).includes('02:00:00:00:00:01'));
  assert.equal(r1.state('g'), 'active');
}));

test('an advert with a priority and no VLAN (802.1Q tag 0) is heard', () => withPulseLab(async ({ r1, neighbour, bench }) => {
  await r1.start();
  r1.want(plan('g'));
  await r1.is('g', 'active');
  const frame = vrrpFrame({
    message: { version: 3, vrid: 7, priority: 250, interval: ms(100), addresses: [parseIpAddress(VIP)] }, checksum: 'pseudo-header',
    sourceMac: virtualRouterMac(4, 7), source: parseIpAddress('10.78.0.99'),
  });
  const socket = bench.owned(bench.native.packetSocket(neighbour.netns, { ifindex: neighbour.links.get('e0').index, protocol: 0 }));
  socket.send(Uint8Array.of(...frame.subarray(0, 12), 0x81, 0x00, 0xc0, 0x00, ...frame.subarray(12)));
  await r1.is('g', 'backup');
}));

test('a peer\'s next hop is never a virtual router\'s MAC, and none by another device', () => withPulseLab(({ r1: { host }, neighbour }) => {
  const ground = new KernelGround(host);
  try {
    const device = ground.device('e0');
    assert.ok(device);
    const peer = parseIpAddress('10.78.0.99');
    const real = MacAddress.of(neighbour.links.get('e0').address);
    host.neighbours.set(device.index, peer, real);
    assert.ok(ground.nextHop(device, peer)?.equals(real));
    host.neighbours.set(device.index, peer, virtualRouterMac(4, 9));
    assert.equal(ground.nextHop(device, peer), undefined);
    assert.equal(ground.detour(device, peer), undefined);
    const other = { ...device, index: host.links.get('lo').index, name: 'lo' };
    assert.deepEqual([ground.detour(other, peer), ground.nextHop(other, peer)], ['e0', undefined]);
  } finally {
    ground.close();
  }
  return Promise.resolve();
}));
