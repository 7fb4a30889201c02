/** The pulse's loop on the network in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import type { PacketSocket } from '../../../src/native/native.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { arpRequest, decodeArp, encodeArp } from '../../../src/wire/arp.ts';
import { EtherType, decodeEthernet, encodeEthernet } from '../../../src/wire/ethernet.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { virtualRouterMac } from '../../../src/wire/vrrp.ts';
import { vrrpFrame } from '../../../src/wire/vrrp-frame.ts';
import { type MemoryPulse, type MemoryPulses, plan, withPulses } from './memory-pulses.ts';

const NEIGHBOUR = MacAddress.parse('52:54:00:00:00:99');

/** Both hosts, `a` the stronger, until `a` is Active. */
async function settled(pulses: MemoryPulses): Promise<readonly [MemoryPulse, MemoryPulse]> {
  const [a, b] = [pulses.start('a'), pulses.start('b')];
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { priority: 200 })] });
  await b.pulse.command({ kind: 'routers', routers: [plan('r1', { priority: 100 })] });
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('r1').state, b.status('r1').state], ['active', 'backup']);
  return [a, b];
}

/** As the other router would say it; `change` makes it wrong. */
function advert(change: Partial<{ version: 2 | 3; priority: number; interval: number; vrid: number }> = {}, from = '192.0.2.12'): Uint8Array {
  const { version = 3, priority = 250, interval = 1000, vrid = 7 } = change;
  return vrrpFrame({
    message: { version, vrid, priority, interval: ms(interval), addresses: [parseIpAddress('192.0.2.1')] }, checksum: 'pseudo-header',
    sourceMac: virtualRouterMac(4, vrid), source: parseIpAddress(from),
  });
}

function frames(socket: PacketSocket, etherType: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let received; (received = socket.receive()); ) {
    const { etherType: type, payload } = decodeEthernet(received.frame);
    if (type === etherType && (type !== EtherType.ipv4 || payload[9] === 112)) found.push(received.frame);
  }
  return found;
}

test('the stronger host becomes Active alone; when it falls silent the other takes over after 3 intervals and its skew, with evidence', () => withPulses(async (pulses) => {
  const [a, b] = await settled(pulses);
  assert.deepEqual([...a.ground.taken], [['r1', ['192.0.2.1']]]);
  assert.deepEqual([...b.ground.taken], []);
  const silent = pulses.network.native('a').monotonic();
  a.pulse.close();
  // Its last advert was up to a second ago.
  await pulses.network.advance(2600);
  assert.equal(b.status('r1').state, 'backup');
  await pulses.network.advance(1010);
  assert.equal(b.status('r1').state, 'active');
  assert.deepEqual([...b.ground.taken], [['r1', ['192.0.2.1']]]);
  const last = b.transitions().at(-1);
  assert.equal(last?.rule, 'Active_Down_Timer (RFC 9568 §6.4.2)');
  assert.equal(last.adverts[0]?.from, '192.0.2.11');
  assert.equal(last.adverts[0].ago, 3000 + 1000 * 156 / 256);
  assert.ok(last.at > silent);
}));

test('what has come in is read before a deadline is decided on', () => withPulses(async (pulses) => {
  const b = pulses.start('b');
  await b.pulse.command({ kind: 'routers', routers: [plan('r1')] });
  await pulses.network.advance(100);
  const out = pulses.socket('a');
  out.send(advert({ priority: 200 }, '192.0.2.11'));
  await pulses.network.advance(3600);
  assert.equal(b.status('r1').state, 'backup');
  // In the very turn in which the deadline is due: nobody has been told yet that the socket can be read.
  const due = 100 + 3609.375;
  let sent = 0;
  b.ground.drain = () => {
    if (pulses.network.native('b').monotonic() >= due && sent++ === 0) out.send(advert({ priority: 200 }, '192.0.2.11'));
  };
  await pulses.network.advance(100);
  assert.ok(sent > 0);
  // Not even for a moment.
  assert.deepEqual(b.transitions().map(({ to }) => to), ['backup']);
  assert.equal(b.status('r1').counters.received, 2);
}));

test('drops are counted by reason and never acted on; what names another router is nobody\'s', () => withPulses(async (pulses) => {
  const [a] = await settled(pulses);
  const out = pulses.socket('b');
  const damaged = (at: number, change: (byte: number) => number): Uint8Array => {
    const frame = advert();
    frame[at] = change(frame[at] ?? 0);
    return frame;
  };
  const VRRP = 34;
  out.send(advert({ version: 2 }));
  out.send(damaged(VRRP + 2, (priority) => priority ^ 1));
  out.send(damaged(VRRP + 2, (priority) => priority ^ 2));
  out.send(advert({ vrid: 9 }));
  out.send(advert().subarray(0, VRRP + 4));
  await pulses.network.advance(10);
  const { state, counters } = a.status('r1');
  assert.equal(state, 'active');
  assert.deepEqual(counters.dropped, { version: 1, checksum: 2 });
  assert.equal(counters.transitions, 2);
}));

test('a changed plan touches its own router alone: no transition and no gap in the other\'s adverts', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  const other = plan('r2', { vrid: 8, addresses: [{ address: '192.0.2.2', prefixLength: 24 }], interval: 100 });
  await a.pulse.command({ kind: 'routers', routers: [plan('r1'), other] });
  await pulses.network.advance(5000);
  const wire = pulses.socket('b');
  const before = a.transitions().length;
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { addresses: [{ address: '192.0.2.1', prefixLength: 24 }, { address: '192.0.2.3', prefixLength: 24 }] }), other] });
  await pulses.network.advance(1000);
  const beats = frames(wire, EtherType.ipv4).filter((frame) => frame[35] === 8);
  assert.equal(beats.length, 10);
  assert.equal(a.transitions().length, before);
  assert.deepEqual(a.ground.taken.get('r1'), ['192.0.2.1', '192.0.2.3']);
  assert.equal(a.ground.log.filter((line) => line.endsWith('r2')).length, 1);
  await a.pulse.command({ kind: 'routers', routers: [other] });
  await pulses.network.advance(5000);
  assert.deepEqual([...a.ground.taken.keys()], ['r2']);
  assert.deepEqual(a.transitions().slice(before).map(({ router, to }) => [router, to]), [['r1', 'initialize']]);
}));

test('its device\'s link, its source address and what it tracks: without them it is in fault and has released', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  pulses.network.addLinkPair({ netns: 'a', name: 'up0' }, { netns: 'b', name: 'up0' });
  a.ground.setUp('up0', true);
  a.ground.setRoute('0.0.0.0/0', true);
  const track = [{ kind: 'interface', interface: 'up0' }, { kind: 'route', route: '0.0.0.0/0', weight: -30 }, { kind: 'script', script: 'check', interval: 1000, timeout: 1000, rise: 1, fall: 1 }] as const;
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { track })] });
  await pulses.network.advance(5000);
  assert.equal(a.status('r1').state, 'active');
  assert.deepEqual(a.status('r1').tracks.map(({ what, up }) => [what, up]), [['interface up0', true], ['route 0.0.0.0/0', true], ['script check', undefined]]);

  a.ground.setRoute('0.0.0.0/0', false);
  await pulses.network.advance(1);
  assert.deepEqual([a.status('r1').state, a.status('r1').effectivePriority], ['active', 70]);
  a.ground.setUp('up0', false);
  await pulses.network.advance(1);
  assert.equal(a.status('r1').state, 'fault');
  assert.deepEqual([...a.ground.taken], []);
  a.ground.setUp('up0', true);
  await pulses.network.advance(1);
  await a.pulse.command({ kind: 'tracks', up: { 'script:check': false } });
  assert.deepEqual([a.status('r1').state, a.status('r1').reason], ['fault', 'script:check is down']);
  await a.pulse.command({ kind: 'tracks', up: {} });
  await pulses.network.advance(5000);
  assert.equal(a.status('r1').state, 'active');

  a.ground.setSources('e0', []);
  await pulses.network.advance(1);
  assert.equal(a.status('r1').reason, 'its interface has no address to send from');
  a.ground.setSources('e0', [parseIpAddress('192.0.2.11')]);
  a.ground.setUp('e0', false);
  await pulses.network.advance(1);
  assert.deepEqual([a.status('r1').state, a.status('r1').reason], ['fault', 'its interface is down']);
  a.ground.setUp('e0', true);
  await pulses.network.advance(5000);
  assert.equal(a.status('r1').state, 'active');
}));

test('after a duel the winner asks neighbours from the address, and an answer to it is the proof', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  a.ground.known.push({ address: parseIpAddress('192.0.2.99'), mac: NEIGHBOUR });
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { priority: 200 })] });
  await pulses.network.advance(10_000);
  const wire = pulses.socket('b');
  wire.send(advert({ priority: 100 }));
  await pulses.network.advance(1);
  const mac = virtualRouterMac(4, 7);
  const said = frames(wire, EtherType.arp).map((frame) => decodeArp(decodeEthernet(frame).payload));
  const asked = said.filter(({ operation, targetIp }) => operation === 'request' && targetIp.toString() === '192.0.2.99');
  assert.ok(asked.length > 0 && asked.every(({ senderMac, senderIp }) => senderMac.equals(mac) && senderIp.toString() === '192.0.2.1'));
  assert.equal(said.filter(({ senderIp, targetIp }) => senderIp.equals(targetIp)).length, 2);

  const reply = (operation: 'reply' | 'request', to: MacAddress, targetIp: string): void => {
    const packet = { ...arpRequest(NEIGHBOUR, parseIpv4('192.0.2.99'), parseIpv4(targetIp)), operation, targetMac: to };
    wire.send(encodeEthernet({ destination: to, source: NEIGHBOUR, etherType: EtherType.arp, payload: encodeArp(packet) }));
  };
  // Proofs only count when the other has been silent for a while.
  await pulses.network.advance(3000);
  reply('request', mac, '192.0.2.1');
  reply('reply', MacAddress.parse('52:54:00:00:00:77'), '192.0.2.1');
  reply('reply', mac, '192.0.2.11');
  await pulses.network.advance(10);
  assert.deepEqual(a.status('r1').duels, { count: 1 });
  reply('reply', mac, '192.0.2.1');
  await pulses.network.advance(10);
  assert.equal(typeof a.status('r1').duels.lastHealed, 'number');
}));

test('of unicast peers only those whose next hop is known are sent to, and only they are listened to', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { peers: ['192.0.2.12', '198.51.100.1'], minTtl: 200, virtualMac: false, interval: 100 })] });
  await pulses.network.advance(1000);
  assert.equal(a.status('r1').state, 'active');
  const wire = pulses.socket('b');
  await pulses.network.advance(200);
  assert.equal(frames(wire, EtherType.ipv4).length, 0);
  a.ground.known.push({ address: parseIpAddress('192.0.2.12'), mac: NEIGHBOUR });
  await pulses.network.advance(200);
  const [frame] = frames(wire, EtherType.ipv4);
  assert.ok(frame);
  const { destination, source } = decodeEthernet(frame);
  assert.ok(destination.equals(NEIGHBOUR) && source.equals(MacAddress.of(pulses.network.link('a', 'e0').mac)));
  // To the group, and from one who is no peer.
  wire.send(advert({ interval: 100 }));
  wire.send(advert({ interval: 100 }, '192.0.2.50'));
  await pulses.network.advance(1);
  assert.deepEqual(a.status('r1').counters.dropped, { destination: 1, source: 1 });
}));

test('told to end, it leaves with priority 0, keeps answering until its successor speaks, and releases', () => withPulses(async (pulses) => {
  const [a, b] = await settled(pulses);
  const wire = pulses.socket('b');
  await a.pulse.command({ kind: 'end', reason: 'for a test' });
  assert.deepEqual(frames(wire, EtherType.ipv4).map((frame) => frame[36]), [0]);
  assert.deepEqual([...a.ground.taken.keys()], ['r1']);
  await pulses.network.advance(1000 * 156 / 256 + 1);
  assert.equal(b.status('r1').state, 'active');
  await a.pulse.ended;
  assert.deepEqual([...a.ground.taken.keys()], []);
  assert.deepEqual(a.ground.log, ['take r1', 'release r1', 'settle r1', 'remove r1']);
}));

test('a plan that cannot be read is refused with its reason; the others run', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  await a.pulse.command({ kind: 'routers', routers: [plan('bad', { addresses: [{ address: 'nonsense', prefixLength: 1 }] }), plan('away', { vrid: 9, device: 'eth9' }), plan('r1')] });
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('bad').state, a.status('away').state, a.status('r1').state], ['fault', 'fault', 'active']);
  const refused = a.told.flatMap((message) => (message.kind === 'refused' ? [message.router] : []));
  assert.deepEqual(refused, ['bad']);
  assert.match(a.status('bad').reason ?? '', /nonsense/);
}));

test('accept: false is in force before the router starts, for its addresses alone, and not for an owner\'s', () => withPulses(async (pulses) => {
  const a = pulses.start('a');
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { accept: false }), plan('r2', { vrid: 8, accept: false, priority: 255, addresses: [{ address: '192.0.2.2', prefixLength: 24 }] })] });
  assert.deepEqual(a.ground.refused, ['192.0.2.1']);
  await a.pulse.command({ kind: 'routers', routers: [] });
  assert.deepEqual(a.ground.refused, []);
}));

test('transitions are told again to whoever connects, until they are seen', () => withPulses(async (pulses) => {
  const [a] = await settled(pulses);
  const untold = (): number[] => a.pulse.greeting().flatMap((message) => (message.kind === 'transition' ? [message.transition.sequence] : []));
  assert.deepEqual(a.pulse.greeting().map(({ kind }) => kind).slice(0, 2), ['hello', 'status']);
  assert.deepEqual(untold(), [1, 2]);
  await a.pulse.command({ kind: 'seen', sequence: 1 });
  assert.deepEqual(untold(), [2]);
}));

test('without real-time scheduling it sends by a longer interval, and says so', () => withPulses(async (pulses) => {
  const a = pulses.start('a', 'ordinary');
  await a.pulse.command({ kind: 'routers', routers: [plan('r1', { interval: 10 })] });
  await pulses.network.advance(5000);
  const { state, interval, effectiveInterval, timing } = a.status('r1');
  assert.deepEqual([state, interval, effectiveInterval, timing.smallestInterval, timing.scheduling], ['active', 10, 100, 100, 'ordinary']);
  const wire = pulses.socket('b');
  await pulses.network.advance(1000);
  assert.equal(frames(wire, EtherType.ipv4).length, 10);
}));

function parseIpv4(text: string): Extract<ReturnType<typeof parseIpAddress>, { family: 4 }> {
  const address = parseIpAddress(text);
  assert.ok(address.family === 4);
  return address;
}
