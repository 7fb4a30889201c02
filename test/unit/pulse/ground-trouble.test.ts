/** What the ground refuses, loses or changes under a running pulse, on the network in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import type { PacketSocket } from '../../../src/native/native.ts';
import { PlanImpossible } from '../../../src/pulse/errors.ts';
import { decodeCommand } from '../../../src/pulse/pulse-command.ts';
import { readPlan } from '../../../src/pulse/plan.ts';
import { SendTroubles } from '../../../src/pulse/send-troubles.ts';
import { EtherType, decodeEthernet } from '../../../src/wire/ethernet.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { type MemoryPulse, type MemoryPulses, plan, withPulses } from './memory-pulses.ts';

const refusal = new PlanImpossible('in use elsewhere');

/** MACs of who sent VRRP or ARP to `socket`. */
function senders(socket: PacketSocket): string[] {
  const found: string[] = [];
  for (let received; (received = socket.receive()); ) {
    const { etherType, source } = decodeEthernet(received.frame);
    if (received.packetType !== 4 && (etherType === EtherType.ipv4 || etherType === EtherType.arp)) found.push(source.toString());
  }
  return found;
}

async function active(pulses: MemoryPulses, ...routers: Parameters<typeof plan>[]): Promise<MemoryPulse> {
  const a = pulses.start('a');
  await a.pulse.command({ kind: 'routers', routers: (routers.length > 0 ? routers : [['r1'] as const]).map(([name, change]) => plan(name, change)) });
  await pulses.network.advance(5000);
  assert.equal(a.status(routers[0]?.[0] ?? 'r1').state, 'active');
  return a;
}

test('a host that is refused the addresses is not heard: the healthy Active keeps them, and tries come seldomer and seldomer', () => withPulses(async (pulses) => {
  const b = pulses.start('b');
  await b.pulse.command({ kind: 'routers', routers: [plan('r1')] });
  await pulses.network.advance(5000);
  const a = pulses.start('a');
  a.ground.refusals.set('take', refusal);
  const wire = pulses.socket('b');
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { priority: 255 })] });
  await pulses.network.advance(120_000);
  assert.deepEqual(senders(wire), []);
  assert.deepEqual(b.transitions().map(({ to }) => to), ['backup', 'active']);
  assert.deepEqual([a.status('r1').state, a.status('r1').reason], ['fault', 'in use elsewhere [PULSE_PLAN_IMPOSSIBLE]']);
  // At 0, 1, 3, 7, 15, 31 and 63 s, and each time there and back.
  assert.ok(a.status('r1').counters.transitions <= 14, String(a.status('r1').counters.transitions));
  a.ground.refusals.clear();
  await pulses.network.advance(60_000);
  assert.deepEqual([a.status('r1').state, b.status('r1').state], ['active', 'backup']);
}));

test('of a sync group none is heard when one is refused its addresses', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  const take = a.ground.seat.bind(a.ground);
  a.ground.seat = (place) => {
    const seat = take(place);
    if (place.name === 'r2') {
      seat.take = () => {
        throw refusal;
      };
    }
    return seat;
  };
  const wire = pulses.socket('b');
  const group = 'g';
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { group }), plan('r2', { vrid: 8, group, addresses: [{ address: '192.0.2.2', prefixLength: 24 }] })] });
  await pulses.network.advance(4000);
  assert.deepEqual([a.status('r1').state, a.status('r2').state], ['fault', 'fault']);
  assert.deepEqual(senders(wire), []);
  assert.deepEqual([...a.ground.taken], []);
}));

test('a seat that is refused is tried again without the router ever leaving its fault', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  a.ground.refusals.set('seat', refusal);
  await a.pulse.command({ kind: 'routers', routers: [plan('r1')] });
  await pulses.network.advance(20_000);
  assert.deepEqual(a.transitions().map(({ to }) => to), ['fault']);
  a.ground.refusals.clear();
  await pulses.network.advance(30_000);
  assert.equal(a.status('r1').state, 'active');
}));

test('rules that could not be put in force are tried again', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  a.ground.refusals.set('rules', refusal);
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { accept: false }), plan('r2', { vrid: 8 })] });
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('r1').state, a.status('r2').state], ['fault', 'active']);
  a.ground.refusals.clear();
  await pulses.network.advance(6000);
  assert.deepEqual([a.status('r1').state, a.ground.refused], ['active', ['192.0.2.1']]);
}));

test('a storm of routes: what is not tracked is not looked for, and what is, once', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  a.ground.setRoute('198.51.100.0/24', true);
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { track: [{ kind: 'route', route: '198.51.100.0/24', weight: -10 }] })] });
  await pulses.network.advance(5000);
  const looked = (): number => a.ground.log.filter((line) => line.startsWith('look')).length;
  assert.equal(looked(), 1);
  for (let i = 0; i < 100; i++) {
    a.ground.setRoute(`10.0.${i}.0/24`, true);
    a.ground.setRoute(`10.0.${i}.0/24`, false);
  }
  await pulses.network.advance(1);
  assert.equal(looked(), 1);
  for (let i = 0; i < 100; i++) {
    a.ground.setRoute('198.51.100.0/24', i % 2 === 0);
  }
  await pulses.network.advance(1);
  assert.deepEqual([looked(), a.status('r1').effectivePriority], [2, 90]);
  a.ground.setRoute('198.51.100.0/24', true);
  await pulses.network.advance(1);
  // Its coming says it all.
  assert.deepEqual([looked(), a.status('r1').effectivePriority], [2, 100]);
}));

test('a changed MAC of the device: without a virtual MAC the neighbours are told at once', () => withPulses(async (pulses) => {
  const a = await active(pulses, ['r1', { virtualMac: false }]);
  const wire = pulses.socket('b');
  const mac = MacAddress.parse('52:54:00:00:00:42');
  a.ground.setMac('e0', mac);
  await pulses.network.advance(1);
  assert.deepEqual(senders(wire), [mac.toString(), mac.toString()]);
  await pulses.network.advance(1000);
  assert.deepEqual(senders(wire), [mac.toString()]);
  assert.equal(a.status('r1').state, 'active');
}));

test('a device that goes and comes back with its index has new sockets, and those that were are closed', () => withPulses(async (pulses) => {
  const a = await active(pulses);
  const { sockets } = pulses.network.link('a', 'e0');
  const [before, ...others] = sockets;
  assert.ok(before && others.length > 0);
  const count = sockets.size;
  // In one go: it is never seen to be away.
  a.ground.lose('e0');
  a.ground.regain('e0');
  await pulses.network.advance(10_000);
  assert.equal(sockets.size, count);
  assert.ok(!sockets.has(before));
  assert.equal(a.status('r1').state, 'active');
  assert.deepEqual([...a.ground.taken.keys()], ['r1']);
}));

test('unicast peers that another device leads to are a fault with its reason', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  a.ground.detours.set('192.0.2.12', 'm0');
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { peers: ['192.0.2.12'] })] });
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('r1').state, a.status('r1').reason], ['fault', 'its peer 192.0.2.12 is reached by m0, not by e0: give each host a source on e0']);
  a.ground.detours.clear();
  await pulses.network.advance(6000);
  assert.equal(a.status('r1').state, 'active');
  // Nobody answers for it.
  assert.ok((a.status('r1').counters.unsent?.['peers'] ?? 0) > 0);
}));

test('a source that the device does not have is a fault', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { source: '192.0.2.77' })] });
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('r1').state, a.status('r1').reason], ['fault', '192.0.2.77 is no address of e0: give it that, or name another source']);
  a.ground.setSources('e0', [parseIpAddress('192.0.2.11'), parseIpAddress('192.0.2.77')]);
  await pulses.network.advance(5000);
  assert.equal(a.status('r1').state, 'active');
}));

test('adverts that are longer than the MTU are a fault before anything is taken', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  const addresses = ['fe80::1', ...Array.from({ length: 99 }, (_, i) => `2001:db8::${i + 1}`)].map((address) => ({ address, prefixLength: 64 }));
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { family: 6, addresses })] });
  await pulses.network.advance(5000);
  assert.equal(a.status('r1').state, 'fault');
  assert.match(a.status('r1').reason ?? '', /1648 bytes.*1500/);
  assert.ok(!a.ground.log.includes('take r1'));
}));

test('what cannot be sent: a full queue is tried again, three failures in a row are a fault, a link that is down is none', () => {
  const hopeless: string[] = [];
  const troubles = new SendTroubles<{ name: string }>(({ name }, errno) => void hopeless.push(`${name} ${errno}`));
  const r1 = { name: 'r1' };
  const answers: (string | undefined)[] = [];
  const send = (): string | undefined => answers.shift();
  answers.push('ENOBUFS', undefined);
  troubles.send(r1, send, ms(100));
  assert.equal(troubles.due, 103);
  troubles.retry(ms(103));
  assert.deepEqual([answers.length, troubles.due], [0, Infinity]);
  for (const unsent of ['EPERM', 'EPERM', undefined, 'EPERM', 'ENETDOWN', 'peers', 'EPERM']) {
    answers.push(unsent);
    troubles.send(r1, send, ms(200));
  }
  assert.deepEqual(hopeless, []);
  answers.push('EPERM');
  troubles.send(r1, send, ms(200));
  answers.push('EMSGSIZE');
  troubles.send(r1, send, ms(200));
  assert.deepEqual(hopeless, ['r1 EPERM', 'r1 EMSGSIZE']);
});

test('one plan that no advert can say, or that this pulse does not understand, leaves the others alone', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  const unknown = { ...plan('new', { vrid: 9 }), track: [{ kind: 'moon', phase: 'full' }] };
  await a.pulse.command(decodeCommand({ kind: 'routers', routers: [plan('odd', { vrid: 8, interval: 105 }), unknown, plan('r1')] }));
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('odd').state, a.status('new').state, a.status('r1').state], ['fault', 'fault', 'active']);
  assert.match(a.status('odd').reason ?? '', /105 ms.*steps of 10 ms/);
  assert.match(a.status('new').reason ?? '', /moon.*same version/);
}));

test('the size of an advert is what is sent', () => withPulses(async (pulses) => {
  await active(pulses, ['r1', { version: 2, addresses: [1, 2, 3].map((n) => ({ address: `192.0.2.${n}`, prefixLength: 24 })) }]);
  const wire = pulses.socket('b');
  await pulses.network.advance(1000);
  const frame = wire.receive()?.frame;
  assert.equal(frame?.length, 14 + readPlan(plan('r1', { version: 2, addresses: [1, 2, 3].map((n) => ({ address: `192.0.2.${n}`, prefixLength: 24 })) })).advertBytes);
}));

test('since when it is in its state does not wobble with the clocks', () => withPulses(async (pulses) => {
  const a = await active(pulses);
  const { since } = a.status('r1');
  const { native } = a.ground;
  const now = native.now.bind(native);
  native.now = () => now() + 7;
  assert.ok(Number.isInteger(since));
  assert.equal(a.status('r1').since, since);
}));
