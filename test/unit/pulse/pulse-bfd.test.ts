/** Whole pulses with BFD sessions, in virtual time: what is told, and what follows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import type { BfdSessionPlan } from '../../../src/model/bfd-session.ts';
import { decodeEchoFrame, echoFrame, loopedEcho } from '../../../src/wire/bfd-echo-frame.ts';
import { encodeBfd } from '../../../src/wire/bfd.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { plan } from './memory-pulses.ts';
import { type MemorySessions, session, status, told, turns, want, withSessions } from './memory-sessions.ts';

/** A session `s` between both, up. */
async function met(world: MemorySessions, change: Partial<BfdSessionPlan> = {}): Promise<void> {
  const { a, b } = world;
  await want(a, [session('s', '192.0.2.12', change)]);
  await want(b, [session('s', '192.0.2.11', change)]);
  await world.advance(3000);
  assert.deepEqual([status(a, 's').state, status(b, 's').state], ['up', 'up']);
}

test('up by the agreed intervals; silence is noticed after the detection time, with evidence, and heals', () => withSessions(async (world) => {
  const { a, b } = world;
  await met(world);
  const { send, receive, detectionTime, remote, discriminator } = status(a, 's');
  assert.deepEqual([send, receive, detectionTime, remote?.discriminator], [50, 50, 150, status(b, 's').discriminator]);
  assert.equal(status(b, 's').remote?.discriminator, discriminator);
  const before = a.ground.native.now();
  world.cut(true);
  await world.advance(200);
  assert.equal(status(a, 's').state, 'down');
  const down = status(a, 's').lastDown ?? assert.fail();
  assert.equal(down.diagnostic, 'detection-expired');
  assert.equal(down.detectionTime, 150);
  assert.equal(down.silence, 150);
  assert.ok(down.at - before >= 100 && down.at - before <= 151, String(down.at - before));
  assert.match(status(a, 's').reason ?? '', /detection time/);
  assert.deepEqual(turns(a).at(-1)?.down, down);
  world.cut(false);
  await world.advance(3000);
  assert.equal(status(a, 's').state, 'up');
  assert.deepEqual([status(a, 's').counters.ups, status(a, 's').counters.downs], [2, 1]);
  assert.equal(status(a, 's').reason, undefined);
}));

test('what has come in is read before silence is decided on', () => withSessions(async (world) => {
  const { a, b } = world;
  await met(world);
  const heard = status(a, 's').counters.heard;
  while (status(a, 's').counters.heard === heard) await world.advance(1);
  const last = a.ground.native.monotonic();
  const { discriminator, remote } = status(a, 's');
  b.pulse.close();
  // In the very turn in which it is decided: nobody has been told yet that the socket can be read.
  const socket = b.ground.native.udpSocket(b.ground.netns, { family: 4, port: 50_000, ttl: 255 });
  const packet = encodeBfd({
    diagnostic: 'none', state: 'up', poll: false, final: false, controlPlaneIndependent: false, demand: false, detectMult: 3,
    myDiscriminator: remote?.discriminator ?? 0, yourDiscriminator: discriminator, desiredMinTx: ms(50), requiredMinRx: ms(50), requiredMinEchoRx: ms(0),
  });
  let sent = 0;
  a.ground.drain = () => {
    if (a.ground.native.monotonic() >= last + 149 && sent++ === 0) socket.send(packet, { address: parseIpAddress('192.0.2.11').bytes(), port: 3784 });
  };
  await world.advance(200);
  assert.ok(sent > 0);
  assert.equal(status(a, 's').counters.downs, 0);
  await world.advance(200);
  assert.equal(status(a, 's').counters.downs, 1);
}));

test('AdminDown is told with its reason and is no failure; taken back it comes up again', () => withSessions(async (world) => {
  const { a, b } = world;
  await met(world);
  await want(b, [session('s', '192.0.2.11', { disabled: 'the switch is replaced' })]);
  await world.advance(100);
  assert.deepEqual([status(b, 's').state, status(b, 's').reason], ['admin-down', 'the switch is replaced']);
  assert.deepEqual([status(a, 's').state, status(a, 's').diagnostic], ['down', 'neighbor-down']);
  assert.match(status(a, 's').reason ?? '', /AdminDown/);
  await want(b, [session('s', '192.0.2.11')]);
  await world.advance(3000);
  assert.equal(status(a, 's').state, 'up');
}));

test('other intervals, a key more and a key less: nobody goes down', () => withSessions(async (world) => {
  const { a, b } = world;
  const signed = (peer: string, interval: number, ...files: readonly string[]) => session('s', peer, {
    interval, receive: interval, authentication: { type: 'meticulous-sha1', keys: files.map((file) => ({ id: Number(file.slice(1)), file })) },
  });
  const keys = { k1: Buffer.from('first').toString('base64'), k2: Buffer.from('second').toString('base64') };
  await want(a, [signed('192.0.2.12', 50, 'k1')], keys);
  await want(b, [signed('192.0.2.11', 50, 'k1')], keys);
  await world.advance(3000);
  await want(a, [signed('192.0.2.12', 200, 'k1', 'k2')], keys);
  await world.advance(1000);
  assert.deepEqual([status(a, 's').send, status(a, 's').receive, status(a, 's').detectionTime], [200, 200, 600]);
  await want(b, [signed('192.0.2.11', 200, 'k2', 'k1')], keys);
  await world.advance(1000);
  await want(a, [signed('192.0.2.12', 200, 'k2')], keys);
  await world.advance(1000);
  await want(b, [signed('192.0.2.11', 200, 'k2')], keys);
  await world.advance(1000);
  assert.deepEqual([status(a, 's').counters.downs, status(b, 's').counters.downs], [0, 0]);
  assert.deepEqual([status(a, 's').state, status(b, 's').counters.dropped], ['up', {}]);
}));

test('a key that does not fit is counted and told', () => withSessions(async (world) => {
  const { a, b } = world;
  const signed = (peer: string) => session('s', peer, { authentication: { type: 'sha1', keys: [{ id: 1, file: 'k' }] } });
  await want(a, [signed('192.0.2.12')], { k: 'b25l' });
  await want(b, [signed('192.0.2.11')], { k: 'dHdv' });
  await world.advance(5000);
  assert.equal(status(a, 's').state, 'down');
  assert.match(status(a, 's').reason ?? '', /refused: auth-digest \d/);
  assert.ok((told(a).drops['auth-digest'] ?? 0) > 0);
}));

test('what cannot be is refused with its reason; the others run, and are not touched', () => withSessions(async (world) => {
  const { a } = world;
  await met(world);
  const good = session('s', '192.0.2.12');
  const list = [
    good, session('twin', '192.0.2.12'), session('zero', '192.0.2.13', { interval: 0 }), session('no-address', 'nowhere'), session('group', '224.0.0.1'),
    session('keyless', '192.0.2.14', { authentication: { type: 'sha1', keys: [{ id: 3, file: 'gone' }] } }),
    session('far', '192.0.2.15', { way: { hops: 'multi', local: '192.0.2.11', minTtl: 250 }, echoReceive: 50 }),
  ];
  await want(a, list);
  await want(a, list);
  await world.advance(1000);
  const refused = Object.fromEntries(a.told.flatMap((message) => (message.kind === 'refused-session' ? [[message.session, message.reason]] : [])));
  assert.match(refused['twin'] ?? '', /Session s runs between the same ends/);
  assert.match(refused['zero'] ?? '', /desiredMinTx is 0 ms/);
  assert.match(refused['no-address'] ?? '', /cannot be read/);
  assert.match(refused['group'] ?? '', /224\.0\.0\.1 is no address that a peer can have/);
  assert.match(refused['keyless'] ?? '', /Its key 3 is in the file gone/);
  assert.match(refused['far'] ?? '', /RFC 5883/);
  assert.deepEqual([status(a, 'twin').state, status(a, 'twin').reason], ['down', refused['twin']]);
  assert.deepEqual([status(a, 's').state, status(a, 's').counters.downs], ['up', 0]);
  // Told once, however often it is wanted.
  await want(a, [good, session('zero', '192.0.2.13')]);
  await world.advance(1000);
  assert.deepEqual(Object.keys(told(a).sessions), ['s', 'zero']);
  assert.deepEqual(a.told.filter(({ kind }) => kind === 'refused-session').length, 6);
}));

test('an interface that goes takes its session along, tells why, and brings it back', () => withSessions(async (world) => {
  const { a } = world;
  await met(world);
  a.ground.lose('e0');
  await world.advance(500);
  assert.deepEqual([status(a, 's').state, status(a, 's').reason], ['down', 'There is no interface e0']);
  assert.ok((status(a, 's').counters.unsent['ENODEV'] ?? 0) > 0);
  a.ground.regain('e0');
  await world.advance(3000);
  assert.equal(status(a, 's').state, 'up');
  a.ground.setUp('e0', false);
  await world.advance(500);
  assert.deepEqual([status(a, 's').state, status(a, 's').reason], ['down', 'Its interface e0 is down']);
  a.ground.setUp('e0', true);
  await world.advance(3000);
  assert.equal(status(a, 's').state, 'up');
}));

test('echoes watch a session once they come back, over IPv4 and over link-local addresses; both ends loop', () => withSessions(async (world) => {
  const { a, b } = world;
  const echo = { echo: 50, echoReceive: 20 };
  const both = (four: string, local: string) => [session('four', four, echo), session('local', local, echo)];
  for (const { ground } of [a, b]) ground.forwarding = false;
  await want(a, both('192.0.2.12', 'fe80::b'));
  await want(b, both('192.0.2.11', 'fe80::a'));
  await world.advance(5000);
  for (const host of [a, b]) {
    for (const name of ['four', 'local']) {
      const { echo: is, receive, counters } = status(host, name);
      assert.deepEqual([is?.active, is?.interval, receive], [true, 50, 1000], name);
      assert.ok(counters.echoesHeard > 50 && counters.echoesSent - counters.echoesHeard <= 1, JSON.stringify(counters));
    }
  }
  assert.deepEqual(told(a).drops, {});
  world.cut(true);
  await world.advance(300);
  assert.deepEqual(['four', 'local'].map((name) => status(a, name).lastDown?.diagnostic), ['echo-failed', 'echo-failed']);
}));

test('nobody\'s echoes but a peer\'s are looped, and none that was looped before', () => withSessions(async (world) => {
  const { a, b } = world;
  for (const { ground } of [a, b]) ground.forwarding = false;
  await met(world, { echoReceive: 20 });
  const socket = b.ground.native.udpSocket(b.ground.netns, { family: 4, port: 40_000, ttl: 255 });
  const to = { address: parseIpAddress('192.0.2.11').bytes(), port: 3785 };
  socket.send(new Uint8Array(24), to);
  await world.advance(1);
  assert.equal(socket.receive()?.ttl, 254);
  socket.send(new Uint8Array(24), { ...to, ttl: 254 });
  await world.advance(1);
  assert.equal(socket.receive(), undefined);
  assert.deepEqual(told(a).drops, { 'echo-form': 1 });
  // Of a session that does not offer it.
  await want(a, [session('s', '192.0.2.12')]);
  socket.send(new Uint8Array(24), to);
  await world.advance(1);
  assert.equal(socket.receive(), undefined);
}));

test('a host that does not forward loops what a peer sends to itself, once; one that forwards leaves it to its kernel', () => withSessions(async (world) => {
  const { a } = world;
  a.ground.forwarding = false;
  await met(world, { echoReceive: 20 });
  const socket = world.pulses.socket('b');
  const mac = (name: 'a' | 'b'): MacAddress => MacAddress.of(world.pulses.network.link(name, 'e0').mac);
  const sent = (from: string): Uint8Array => echoFrame(parseIpAddress(from), { own: mac('b'), peer: mac('a') }, new Uint8Array(24));
  const back = async (frame: Uint8Array): Promise<number[]> => {
    socket.send(frame);
    await world.advance(1);
    const ttls: number[] = [];
    for (let received; (received = socket.receive()); ) {
      const echo = received.packetType === 4 ? undefined : decodeEchoFrame(received.frame);
      if (echo) ttls.push(echo.ttl);
    }
    return ttls;
  };
  assert.deepEqual(await back(sent('192.0.2.12')), [254]);
  const looped = loopedEcho(sent('192.0.2.12'));
  looped.set(sent('192.0.2.12').subarray(0, 12));
  assert.deepEqual(await back(looped), []);
  assert.deepEqual(await back(sent('192.0.2.13')), []);
  a.ground.forwarding = true;
  await world.advance(1000);
  assert.deepEqual(await back(sent('192.0.2.12')), []);
}));

for (const [how, fail] of [
  ['told so', ({ b }: MemorySessions) => want(b, [session('s', '192.0.2.11', { disabled: 'off' })])],
  ['silent', ({ b }: MemorySessions) => Promise.resolve(b.pulse.close())],
] as const) {
  test(`a router that tracks a session follows it within the same turn: the other side is ${how}`, () => withSessions(async (world) => {
    const { a } = world;
    await met(world);
    const router = plan('r', { priority: 200, track: [{ kind: 'bfd', bfd: 's' }] });
    await a.pulse.command({ kind: 'routers', routers: [router] });
    await world.advance(5000);
    assert.equal(a.status('r').state, 'active');
    assert.deepEqual(a.status('r').tracks, [{ what: 'BFD session s', up: true }]);
    await fail(world);
    await world.advance(200);
    const [left, turned] = [a.transitions().at(-1), turns(a).at(-1)];
    assert.deepEqual([left?.to, left?.down, turned?.to], ['fault', ['bfd:s'], 'down']);
    assert.equal(left?.at, turned?.at);
    // One count for both.
    assert.equal((left?.sequence ?? 0) - (turned?.sequence ?? 0), 1);
    // Without such a session it is not known, and counts as up.
    await want(a, []);
    await world.advance(5000);
    assert.equal(a.status('r').state, 'active');
  }));
}

test('the failure detector hears what sessions between hosts hear, and tells at once when a path turns', () => withSessions(async (world) => {
  const { a } = world;
  // Its own detection comes much later.
  await met(world, { watches: { host: 'b', path: 'main' }, multiplier: 30 });
  const opinion = () => told(a).opinions[0] ?? assert.fail();
  assert.deepEqual([opinion().peer, opinion().paths[0]?.path, opinion().paths[0]?.state, opinion().paths[0]?.heardThere], ['b', 'main', 'heard', true]);
  assert.ok((opinion().paths[0]?.arrivals ?? 0) > 10 && (opinion().paths[0]?.probes ?? 0) > 10);
  const before = a.told.length;
  world.cut(true);
  await world.advance(400);
  const silent = a.told.slice(before).find((message) => message.kind === 'sessions' && message.opinions[0]?.paths[0]?.state === 'silent');
  const path = silent?.kind === 'sessions' ? silent.opinions[0]?.paths[0] : undefined;
  assert.ok(path && path.silence <= path.timeout + 51, JSON.stringify(opinion()));
  assert.equal(status(a, 's').state, 'up');
  await want(a, []);
  assert.deepEqual(told(a).opinions, []);
}));

test('told to end, it says AdminDown with its reason, after its routers have left', () => withSessions(async (world) => {
  const { a, b } = world;
  await met(world);
  void a.pulse.command({ kind: 'end', reason: 'an update' });
  await world.advance(100);
  await a.pulse.ended;
  assert.equal(status(b, 's').lastDown?.diagnostic, 'neighbor-down');
  assert.equal(status(b, 's').remote?.state, 'admin-down');
  const last = a.told.findLast((message) => message.kind === 'sessions');
  assert.equal(last?.kind === 'sessions' ? last.sessions['s']?.reason : undefined, 'this host\'s pulse ends: an update');
}));
