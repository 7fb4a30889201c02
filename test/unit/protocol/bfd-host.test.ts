import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import { type BfdHostEffect, BfdHost } from '../../../src/protocol/bfd-host.ts';
import { type BfdPlan, BfdPlanError } from '../../../src/protocol/bfd-plan.ts';
import { BfdEchoCodec } from '../../../src/wire/bfd-echo.ts';
import { encodeBfd } from '../../../src/wire/bfd.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { sha1 } from './bfd-wire.ts';
import { seeded } from './seeded.ts';

const ip = parseIpAddress;
const settings = { desiredMinTx: ms(50), requiredMinRx: ms(50), detectMult: 3, requiredMinEchoRx: ms(0) };
const single = (peer: string, device = 'e0'): BfdPlan['path'] => ({ hops: 'single', peer: ip(peer), interface: device });
const plan = (name: string, change: Partial<BfdPlan> = {}): BfdPlan => ({ name, settings, path: single('192.0.2.2'), ...change });
const host = (chance = seeded(1)): BfdHost => new BfdHost({ sha1, chance, echoKey: new Uint8Array(16) });
const said = (bytes: Uint8Array, change: object = {}): Parameters<BfdHost['heard']>[0] => ({
  source: ip('192.0.2.2'), destination: ip('192.0.2.1'), interface: 'e0', port: 3784, ttl: 255, payload: bytes, at: ms(0), ...change,
});
const down = encodeBfd({
  diagnostic: 'none', state: 'down', poll: false, final: false, controlPlaneIndependent: false, demand: false, detectMult: 3,
  myDiscriminator: 9, yourDiscriminator: 0, desiredMinTx: ms(1000), requiredMinRx: ms(50), requiredMinEchoRx: ms(0),
});
const turns = (effects: readonly BfdHostEffect[]): string[] =>
  effects.flatMap((effect) => (effect.do === 'transition' ? [`${effect.session} ${effect.to}`] : []));

test('what cannot be is refused with its reason, and then nothing has changed', () => {
  const bfd = host();
  bfd.configure([plan('s')], ms(0));
  const multi = { hops: 'multi', peer: ip('192.0.2.2'), local: ip('192.0.2.1'), minTtl: 254 } as const;
  for (const [plans, words] of [
    [[plan('s'), plan('s', { path: single('192.0.2.3') })], /Two BFD sessions are called s/],
    [[plan('s'), plan('t')], /between the same ends/],
    [[plan('s', { settings: { ...settings, detectMult: 0 } })], /detect multiplier is 0/],
    [[plan('s', { settings: { ...settings, detectMult: 256 } })], /detect multiplier is 256/],
    [[plan('s', { settings: { ...settings, desiredMinTx: ms(0) } })], /desiredMinTx is 0/],
    [[plan('s', { settings: { ...settings, requiredMinRx: ms(0.0005) } })], /requiredMinRx/],
    [[plan('s', { settings: { ...settings, requiredMinEchoRx: ms(5_000_000) } })], /requiredMinEchoRx/],
    [[plan('s', { settings: { ...settings, echo: ms(Number.NaN) } })], /echo is NaN/],
    [[plan('s', { path: multi, settings: { ...settings, echo: ms(50) } })], /RFC 5883 §3/],
    [[plan('s', { path: { ...multi, minTtl: 0 } })], /minimum TTL is 0/],
    [[plan('s', { path: { ...multi, local: ip('2001:db8::1') } })], /not of one family/],
    [[plan('s', { authentication: { kind: 'simple', keys: [{ id: 1, secret: new Uint8Array(17) }] } })], /has a key that cannot be/],
    [[plan('s', { authentication: { kind: 'sha1', keys: [{ id: 256, secret: new Uint8Array(2) }] } })], /has a key that cannot be/],
    [[plan('s', { authentication: { kind: 'sha1', keys: [{ id: 1, secret: new Uint8Array(2) }, { id: 1, secret: new Uint8Array(3) }] } })], /has a key that cannot be/],
  ] as const) {
    assert.throws(() => bfd.configure(plans, ms(1)), (error) => error instanceof BfdPlanError && words.test(error.message), String(words));
    assert.deepEqual(bfd.names(), ['s']);
  }
});

test('a session that does not know us yet is found by its way: peer and interface, or both addresses', () => {
  const bfd = host();
  bfd.configure([
    plan('e0'), plan('e1', { path: single('192.0.2.2', 'e1') }), plan('six', { path: single('fe80::2') }),
    plan('far', { path: { hops: 'multi', peer: ip('192.0.2.2'), local: ip('192.0.2.1'), minTtl: 250 } }),
  ], ms(0));
  assert.deepEqual(turns(bfd.heard(said(down), ms(0))), ['e0 init']);
  assert.deepEqual(turns(bfd.heard(said(down, { interface: 'e1' }), ms(0))), ['e1 init']);
  assert.deepEqual(turns(bfd.heard(said(down, { source: ip('fe80::2') }), ms(0))), ['six init']);
  assert.deepEqual(turns(bfd.heard(said(down, { port: 4784, interface: 'e7', ttl: 250 }), ms(0))), ['far init']);
  assert.deepEqual(bfd.drops(), {});
  for (const change of [{ interface: 'e2' }, { source: ip('192.0.2.3') }, { port: 4784, destination: ip('192.0.2.7') }, { source: ip('fe80::2'), interface: 'e1' }]) {
    assert.deepEqual(bfd.heard(said(down, change), ms(0)), []);
  }
  assert.deepEqual(bfd.drops(), { 'no-session': 4 });
  bfd.heard(said(down, { ttl: 254 }), ms(0));
  assert.deepEqual(bfd.status('e0', ms(0))?.counters.drops, { ttl: 1 });
  assert.deepEqual(bfd.status('e1', ms(0))?.counters.drops, {});
});

test('discriminators and source ports are each session\'s own, even where chance gives the same again', () => {
  const plans = Array.from({ length: 300 }, (_, i) => plan(`s${i}`, { path: single(`198.51.${i >> 8}.${i & 255}`) }));
  for (const chance of [(): number => 0, (): number => 1 - 2 ** -53, seeded(3)]) {
    const bfd = host(chance);
    bfd.configure(plans, ms(0));
    const all = bfd.names().map((name) => bfd.status(name, ms(0)) ?? assert.fail());
    for (const { discriminator, sourcePort } of all) {
      assert.ok(discriminator >= 1 && discriminator < 2 ** 32 && Number.isInteger(discriminator), String(discriminator));
      assert.ok(sourcePort >= 49_152 && sourcePort <= 65_535, String(sourcePort));
    }
    assert.equal(new Set(all.map(({ discriminator }) => discriminator)).size, 300);
    assert.equal(new Set(all.map(({ sourcePort }) => sourcePort)).size, 300);
    // Those of sessions that are gone are free again.
    bfd.configure([], ms(1));
    bfd.expire(ms(1));
    assert.deepEqual(bfd.names(), []);
    bfd.configure(plans.slice(0, 1), ms(2));
    const { discriminator, sourcePort } = bfd.status('s0', ms(2)) ?? assert.fail();
    if (chance() === 0) assert.deepEqual([discriminator, sourcePort], [1, 49_152]);
  }
});

test('a way that one session leaves is free for another at once; a name too', () => {
  const bfd = host();
  bfd.configure([plan('old')], ms(0));
  bfd.heard(said(down), ms(0));
  const gone = (effects: readonly BfdHostEffect[]): string[] => effects.flatMap((effect) => (effect.do === 'gone' ? [effect.session] : []));
  assert.deepEqual(gone(bfd.configure([plan('new')], ms(1))), ['old']);
  assert.deepEqual(bfd.names(), ['new']);
  assert.deepEqual(turns(bfd.heard(said(down), ms(1))), ['new init']);
  // Taken out, it is told for a while; back meanwhile, it is another session.
  const before = bfd.status('new', ms(1))?.discriminator;
  assert.deepEqual(gone(bfd.configure([], ms(2))), []);
  assert.deepEqual(bfd.names(), ['new']);
  assert.deepEqual(gone(bfd.configure([plan('new')], ms(3))), ['new']);
  assert.notEqual(bfd.status('new', ms(3))?.discriminator, before);
  // Nothing of those that are gone is left to be woken for.
  bfd.configure([], ms(4));
  assert.deepEqual(gone(bfd.expire(ms(4))), ['new']);
  assert.equal(bfd.deadline(), undefined);
  assert.deepEqual(bfd.expire(ms(1e9)), []);
  assert.deepEqual(bfd.heard(said(down), ms(1e9)), []);
  assert.deepEqual(bfd.drops(), { 'no-session': 1 });
});

test('echoes that nobody sent, or that come twice, are counted and change nothing', () => {
  const bfd = host();
  bfd.configure([plan('s', { settings: { ...settings, echo: ms(20) } })], ms(0));
  const { discriminator = 0 } = bfd.status('s', ms(0)) ?? {};
  const up = encodeBfd({
    diagnostic: 'none', state: 'up', poll: false, final: false, controlPlaneIndependent: false, demand: false, detectMult: 3,
    myDiscriminator: 9, yourDiscriminator: discriminator, desiredMinTx: ms(50), requiredMinRx: ms(50), requiredMinEchoRx: ms(20),
  });
  bfd.heard(said(down), ms(0));
  bfd.heard(said(up), ms(0));
  const echoes = bfd.expire(ms(0)).flatMap((effect) => (effect.do === 'echo' ? [effect.bytes] : []));
  assert.equal(echoes.length, 1);
  const back = said(echoes[0] ?? assert.fail(), { port: 3785, ttl: 254, source: ip('192.0.2.1') });
  bfd.heard({ ...back, at: ms(3) }, ms(3));
  assert.deepEqual(bfd.status('s', ms(3))?.echo, { active: true, interval: 20, roundTrip: 3 });
  bfd.heard(back, ms(4));
  const never = new BfdEchoCodec(new Uint8Array(16), sha1).encode({ discriminator, sequence: 2, sent: ms(0) });
  bfd.heard({ ...back, payload: never }, ms(4));
  bfd.heard({ ...back, payload: back.payload.with(30, 1) }, ms(4));
  bfd.heard({ ...back, payload: back.payload.subarray(1) }, ms(4));
  assert.deepEqual(bfd.drops(), { 'echo-sequence': 2, 'echo-digest': 1, 'echo-form': 1 });
  assert.equal(bfd.status('s', ms(4))?.counters.echoesHeard, 1);
});

test('many sessions: what a packet and a tick cost', (t: TestContext) => {
  const COUNT = 200;
  const host = (offset: number, last: number): BfdHost => {
    const bfd = new BfdHost({ sha1, chance: seeded(offset), echoKey: new Uint8Array(16) });
    bfd.configure(Array.from({ length: COUNT }, (_, i) => plan(`s${i}`, { path: single(`198.51.${last}.${i}`) })), ms(0));
    return bfd;
  };
  // Neither knows the other's addresses but through what is written here: 198.51.100.n has its peer at 198.51.101.n.
  const [a, b] = [host(1, 101), host(2, 100)];
  const carry = (effects: readonly BfdHostEffect[], to: BfdHost, from: number, now: Milliseconds): BfdHostEffect[] => effects.flatMap((effect) => {
    if (effect.do !== 'send') return [];
    packets++;
    const number = effect.session.slice(1);
    return to.heard({ ...said(effect.bytes), source: ip(`198.51.${from}.${number}`), destination: effect.plan.path.peer, at: now }, now);
  });
  let packets = 0;
  let ticks = 0;
  const began = process.hrtime.bigint();
  for (let now = ms(0); now < 10_000; now = ms(Math.min(a.deadline() ?? Infinity, b.deadline() ?? Infinity))) {
    ticks++;
    for (const [one, other, mine, its] of [[a, b, 100, 101], [b, a, 101, 100]] as const) {
      let effects = one.expire(now);
      for (let turn = 0; effects.length > 0; turn++) {
        effects = turn % 2 === 0 ? carry(effects, other, mine, now) : carry(effects, one, its, now);
      }
    }
  }
  const microseconds = Number(process.hrtime.bigint() - began) / 1000;
  for (const bfd of [a, b]) for (const name of bfd.names()) assert.equal(bfd.status(name, ms(10_000))?.state, 'up', name);
  t.diagnostic(`${packets} packets sent, encoded, decoded and heard: ${(microseconds / packets).toFixed(1)} µs each, both sides together; ${ticks} ticks`);
});
