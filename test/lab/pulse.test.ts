/** Real pulses, each a process of its own, on real namespaces: who answers for a virtual router's addresses, whatever happens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeBack } from '../../src/pulse/farewell.ts';
import type { RouterPlan } from '../../src/model/virtual-router.ts';
import type { ReceivedFrame } from '../../src/native/native.ts';
import { ms } from '../../src/base/units.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { virtualRouterMac } from '../../src/wire/vrrp.ts';
import { vrrpFrame } from '../../src/wire/vrrp-frame.ts';
import { readAll, until } from './host-fixture.ts';
import { type LabPulse, type PulseLab, VIP, VIP6, plan, withPulseLab } from './pulse-fixture.ts';

/** Both pulses, r1 the stronger and Active. */
async function settled({ r1, r2 }: PulseLab, change: Partial<RouterPlan> = {}): Promise<void> {
  await Promise.all([r1.start(), r2.start()]);
  r1.want(plan('g', { priority: 200, ...change }));
  r2.want(plan('g', { priority: 100, ...change }));
  await r1.is('g', 'active');
  await r2.is('g', 'backup');
}

/** MACs that answer for an address, asked three times. */
function answers({ atNeighbour }: PulseLab, address: string): string[] {
  atNeighbour('ip', 'neigh', 'flush', 'dev', 'e0');
  if (address.includes(':')) {
    atNeighbour('ping', '-c1', '-W2', zoned(address));
    return [...new Set(atNeighbour('ip', '-6', 'neigh', 'show', address, 'dev', 'e0').match(/lladdr [0-9a-f:]+/g) ?? [])].map((text) => text.slice(7));
  }
  // -b: asks everybody each time, not only who answered first.
  const said = atNeighbour('arping', '-b', '-c', '3', '-w', '3', '-I', 'e0', address);
  assert.match(said, /Received 3 response/, said);
  return [...new Set([...said.matchAll(/\[([0-9A-F:]+)\]/g)].map((match) => (match[1] ?? '').toLowerCase()))];
}

const zoned = (address: string): string => (address.startsWith('fe80:') ? `${address}%e0` : address);
const macOf = (pulse: LabPulse): string => MacAddress.of(pulse.host.links.get('e0').address).toString();
const isAdvert = ({ frame }: ReceivedFrame, from: number): boolean => frame[12] === 8 && frame[13] === 0 && frame[23] === 112 && frame[29] === from;
const has = (pulse: LabPulse, address: string): boolean => pulse.host.addresses.list().some((one) => one.address.toString() === address);

test('with a virtual MAC: one MAC answers; silence, SIGKILL and a link that fails hand it over; healed, the stronger has it again', () => withPulseLab(async (lab) => {
  const { r1, r2 } = lab;
  await settled(lab);
  const mac = virtualRouterMac(4, 7).toString();
  assert.deepEqual(answers(lab, VIP), [mac]);
  assert.match(lab.atNeighbour('ping', '-c2', '-i0.2', '-W1', VIP), / 0% packet loss/);
  // A Backup has neither address nor a device that would take what comes for it.
  assert.deepEqual([has(r2, VIP), r2.host.links.get('gvr4-7').up], [false, false]);

  lab.silence('r1');
  await r2.is('g', 'active');
  assert.equal(r1.state('g'), 'active');
  assert.deepEqual(answers(lab, VIP), [mac]);
  lab.heal();
  await r2.is('g', 'backup');
  assert.match(lab.atNeighbour('ping', '-c2', '-i0.2', '-W1', VIP), / 0% packet loss/);
  await until('proof that neighbours use r1', () => typeof r1.routers['g']?.duels.lastHealed === 'number');
  assert.equal(has(r2, VIP), false);
  await until('the device of r2 is down', () => !r2.host.links.get('gvr4-7').up);

  lab.sw.links.set(lab.sw.links.get('p1').index, { up: false });
  await r1.is('g', 'fault');
  await r2.is('g', 'active');
  assert.equal(r1.routers['g']?.reason, 'its interface is down');
  lab.sw.links.set(lab.sw.links.get('p1').index, { up: true });
  await r1.is('g', 'active');
  await r2.is('g', 'backup');

  r1.kill();
  await r2.is('g', 'active');
  await r1.running?.exited;
  // Nobody but the kernel takes it back.
  await until('the kernel has taken the address back', () => !has(r1, VIP));
  assert.deepEqual(answers(lab, VIP), [mac]);
}));

test('without one: the address goes with the host\'s own MAC, beside its own address, which stays', () => withPulseLab(async (lab) => {
  const { r1, r2 } = lab;
  await settled(lab, { virtualMac: false });
  assert.deepEqual(answers(lab, VIP), [macOf(r1)]);
  lab.atNeighbour('ping', '-c1', VIP);
  lab.silence('r1');
  await r2.is('g', 'active');
  assert.match(lab.atNeighbour('ping', '-c1', '-W1', VIP), / 0% packet loss/);
  lab.heal();
  await r2.is('g', 'backup');
  await until('the neighbour uses r1', () => lab.atNeighbour('ip', 'neigh', 'show', VIP).includes(macOf(r1)));
  assert.match(lab.atNeighbour('ping', '-c1', '-W1', VIP), / 0% packet loss/);
  r1.running?.client.send({ kind: 'end', reason: 'test' });
  await r1.running?.exited;
  assert.deepEqual([has(r1, VIP), has(r1, '10.78.0.11')], [false, true]);
  await r2.is('g', 'active');
}));

test('IPv6: link-local and global address answer with the virtual MAC, as a router', () => withPulseLab(async (lab) => {
  const { r1, r2 } = lab;
  await settled(lab, { family: 6, addresses: VIP6.map((address) => ({ address, prefixLength: 64 })) });
  const mac = virtualRouterMac(6, 7).toString();
  for (const address of VIP6) {
    assert.deepEqual(answers(lab, address), [mac]);
    assert.match(lab.atNeighbour('ping', '-c2', '-i0.2', '-W1', zoned(address)), / 0% packet loss/, address);
  }
  r1.kill('SIGTERM');
  await r1.running?.exited;
  await r2.is('g', 'active');
  assert.match(r2.transitions.at(-1)?.rule ?? '', /Active_Down_Timer/);
  assert.equal(r2.transitions.at(-1)?.adverts[0]?.priority, 0);
  for (const address of VIP6) assert.deepEqual(answers(lab, address), [mac]);
  assert.deepEqual(r1.host.links.list().map(({ name }) => name).filter((name) => name.startsWith('gvr')), []);
}));

test('a reload touches what changed alone: no transition, no farewell of the others', () => withPulseLab(async (lab) => {
  const { r1, seen } = lab;
  await r1.start();
  const kept = plan('kept', { interval: 10 });
  const other = (number: number): RouterPlan => plan(`r${number}`, { vrid: number, addresses: [{ address: `10.78.0.${number}`, prefixLength: 24 }] });
  r1.want(kept, other(20));
  await r1.is('kept', 'active');
  await r1.is('r20', 'active');
  const before = r1.transitions.length;
  readAll(seen);
  r1.want(kept, other(21), other(22));
  await r1.is('r21', 'active');
  r1.want(kept);
  await until('all others have left', () => Object.keys(r1.routers).length === 1);
  const beats = readAll(seen).filter((one) => isAdvert(one, 11) && one.frame[35] === 7);
  const gaps = beats.slice(1).map(({ timestamp }, i) => timestamp - (beats[i]?.timestamp ?? 0));
  console.error(`# adverts every 10 ms through two reloads: ${beats.length}, largest gap ${Math.max(...gaps).toFixed(1)} ms`);
  assert.ok(beats.length > 1);
  assert.deepEqual(beats.filter(({ frame }) => frame[36] === 0), []);
  assert.deepEqual(r1.transitions.slice(before).filter(({ router }) => router === 'kept'), []);
}));

test('what is wrong is counted by its reason and never acted on; a frame of a VLAN is none of this network\'s', () => withPulseLab(async (lab) => {
  const { r1, neighbour, bench } = lab;
  await r1.start();
  r1.want(plan('g', { priority: 100 }));
  await r1.is('g', 'active');
  const out = bench.owned(bench.native.packetSocket(neighbour.netns, { ifindex: neighbour.links.get('e0').index, protocol: 0 }));
  const advert = (change: { version?: 2 | 3; interval?: number } = {}): Uint8Array => vrrpFrame({
    message: { version: change.version ?? 3, vrid: 7, priority: 250, interval: ms(change.interval ?? 100), addresses: [parseIpAddress(VIP)] },
    checksum: 'pseudo-header', sourceMac: virtualRouterMac(4, 7), source: parseIpAddress('10.78.0.99'),
  });
  const damaged = (at: number, value: number): Uint8Array => {
    const frame = advert();
    frame[at] = value;
    return frame;
  };
  const tagged = new Uint8Array([...advert().subarray(0, 12), 0x81, 0, 0, 100, ...advert().subarray(12)]);
  out.send(advert({ version: 2, interval: 1000 }));
  out.send(damaged(36, 251));
  // TTL 254, with the header's checksum made right again: one more in the sum of TTL and protocol's word.
  const far = advert();
  const view = new DataView(far.buffer);
  view.setUint8(22, 254);
  view.setUint16(24, (view.getUint16(24) + 0x0100) % 0xffff);
  out.send(far);
  out.send(tagged);
  await until('three are counted', () => Object.keys(r1.routers['g']?.counters.dropped ?? {}).length === 3);
  const { state, counters } = r1.routers['g'] ?? assert.fail();
  assert.deepEqual(counters.dropped, { version: 1, checksum: 1, ttl: 1 });
  assert.deepEqual([state, counters.received, counters.transitions], ['active', 0, 2]);
  out.send(advert());
  await r1.is('g', 'backup');
}));

test('accept: false answers ARP and no ping; the rule goes with the pulse', () => withPulseLab(async (lab) => {
  const { r1 } = lab;
  await r1.start();
  r1.want(plan('g', { accept: false }));
  await r1.is('g', 'active');
  assert.deepEqual(answers(lab, VIP), [virtualRouterMac(4, 7).toString()]);
  assert.match(lab.atNeighbour('ping', '-c1', '-W1', VIP), / 100% packet loss/);
  assert.match(lab.atNeighbour('ping', '-c1', '-W1', '10.78.0.11'), / 0% packet loss/);
  r1.want(plan('g', { accept: true }));
  await until('ping is answered', () => lab.atNeighbour('ping', '-c1', '-W1', VIP).includes(' 0% packet loss'));
  assert.equal(r1.transitions.filter(({ to }) => to !== 'backup').length, 1);
}));

test('a pulse that was killed: the agent takes back what it held, and the other need not wait for silence; the next one starts clean', () => withPulseLab(async (lab) => {
  const { r1, r2, seen } = lab;
  await settled(lab, { interval: 500 });
  readAll(seen);
  r1.kill();
  await r1.running?.exited;
  assert.ok(has(r1, VIP));
  await takeBack(r1.host, [plan('g', { priority: 200, interval: 500 })]);
  assert.deepEqual([has(r1, VIP), r1.host.links.list().some(({ name }) => name.startsWith('gvr'))], [false, false]);
  await r2.is('g', 'active');
  assert.equal(r2.transitions.at(-1)?.adverts[0]?.priority, 0);
  await r1.start();
  r1.want(plan('g', { priority: 50, interval: 500 }));
  await r1.is('g', 'backup');
  await until('r1 hears r2', () => r1.routers['g']?.active?.address === '10.78.0.12');
}));

test('a device that goes and comes back, as another one, gets its router again', () => withPulseLab(async (lab) => {
  const { r1, sw } = lab;
  await r1.start();
  r1.want(plan('g', { track: [{ kind: 'route', route: '198.51.100.0/24', weight: 20 }] }));
  await r1.is('g', 'active');
  assert.equal(r1.routers['g']?.effectivePriority, 100);
  lab.bench.ip(r1.host, 'route', 'add', '198.51.100.0/24', 'via', '10.78.0.99');
  await until('the route counts', () => r1.routers['g']?.effectivePriority === 120);
  r1.host.links.delete(r1.host.links.get('e0').index);
  await r1.is('g', 'fault');
  r1.host.links.createVeth({ name: 'e0', netns: r1.host.netns, mtu: 1500 }, { name: 'p1', netns: sw.netns, mtu: 1500 });
  const { index } = r1.host.links.get('e0');
  sw.links.set(sw.links.get('p1').index, { master: sw.links.get('br0').index, up: true });
  r1.host.links.set(index, { up: true });
  r1.host.addresses.add(index, parseIpAddress('10.78.0.11'), 24);
  await r1.is('g', 'active');
  assert.deepEqual(answers(lab, VIP), [virtualRouterMac(4, 7).toString()]);
  assert.equal(r1.routers['g']?.effectivePriority, 100);
}));

test('after a silent death nothing is claimed before three intervals and the skew have passed; how long after, at 10 ms, is shown', () => withPulseLab(async (lab) => {
  const { r1, r2, seen } = lab;
  await settled(lab, { interval: 10 });
  const past: number[] = [];
  for (let round = 0; round < 10; round++) {
    const frames = readAll(seen).slice(0, 0);
    const heard = async (from: number): Promise<void> => {
      await until(`an advert of ${from}`, () => {
        const next = readAll(seen);
        frames.push(...next);
        return next.some((one) => isAdvert(one, from));
      });
    };
    await heard(11);
    await heard(11);
    lab.silence('r1');
    await heard(12);
    const last = frames.findLast((one) => isAdvert(one, 11)) ?? assert.fail();
    const first = frames.find((one) => isAdvert(one, 12)) ?? assert.fail();
    // The interval that the last one itself says, in centiseconds.
    const interval = 10 * new DataView(last.frame.buffer, last.frame.byteOffset).getUint16(38);
    past.push(first.timestamp - last.timestamp - 3 * interval - (156 / 256) * interval);
    lab.heal();
    await r1.is('g', 'active');
    await r2.is('g', 'backup');
  }
  const sorted = past.toSorted((a, b) => a - b).map((one) => one.toFixed(2));
  console.error(`# silent death at 10 ms adverts, takeover past the down interval: median ${sorted[5]} ms, worst ${sorted.at(-1)} ms`);
  // A frame's stamp is some µs younger at the Backup than at the neighbour.
  assert.ok(Math.min(...past) > -0.5, past.join(' '));
}));

test('one pulse for a run directory: the one that runs is found', () => withPulseLab(async ({ r1 }) => {
  const first = await r1.start();
  const second = await r1.start();
  assert.deepEqual([first.started, second.started, second.pid], [true, false, first.pid]);
  first.client.close();
}));
