/** BFD between real pulses, each a process of its own, over real links. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { BfdSessionPlan, BfdStatus } from '../../src/model/bfd-session.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { until, withBench } from './host-fixture.ts';
import { LabPulse, type PulseLab, withPulseLab } from './pulse-fixture.ts';

const detector = { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 };

function session(name: string, peer: string, change: Partial<BfdSessionPlan> = {}): BfdSessionPlan {
  return { name, peer, way: { hops: 'single', interface: 'e0' }, interval: 50, receive: 50, multiplier: 3, echoReceive: 0, ...change };
}

function want(pulse: LabPulse, sessions: readonly BfdSessionPlan[], keys: Readonly<Record<string, string>> = {}): void {
  pulse.running?.client.send({ kind: 'sessions', sessions, keys, detector });
}

const shown = (pulse: LabPulse): string => `${pulse.host.name}: ${JSON.stringify(pulse.sessions)}; log: ${pulse.log()}`;

async function are(pulse: LabPulse, state: BfdStatus['state'], ...names: readonly string[]): Promise<void> {
  await until(() => `${names} ${state}: ${shown(pulse)}`, () => names.every((name) => pulse.sessions[name]?.state === state), { limit: 10_000 });
}

async function holds(pulse: LabPulse, what: string, name: string, condition: (status: BfdStatus) => boolean): Promise<void> {
  await until(() => `${what}: ${shown(pulse)}`, () => {
    const status = pulse.sessions[name];
    return status !== undefined && condition(status);
  }, { limit: 10_000 });
}

/** In r1's or r2's namespace: whether the kernel forwards. */
function forward({ bench }: PulseLab, pulse: LabPulse, on: boolean): void {
  const value = on ? 1 : 0;
  bench.native.inNetns(pulse.host.netns, () =>
    void execFileSync('sysctl', ['-qw', `net.ipv4.ip_forward=${value}`, `net.ipv6.conf.all.forwarding=${value}`]));
}

test('up over IPv4, IPv6 and link-local addresses; a silent cut is noticed after the detection time; who ends says so', () => withPulseLab(async (lab) => {
  const { r1, r2 } = lab;
  await Promise.all([r1.start(), r2.start()]);
  const all = ['four', 'six', 'local'];
  want(r1, [session('four', '10.78.0.12', { watches: { host: 'r2', path: 'main' } }), session('six', '2001:db8:78::12'), session('local', 'fe80::12')]);
  want(r2, [session('four', '10.78.0.11'), session('six', '2001:db8:78::11'), session('local', 'fe80::11')]);
  await are(r1, 'up', ...all);
  await are(r2, 'up', ...all);
  await holds(r1, 'the agreed intervals', 'four', ({ send, receive, detectionTime }) => send === 50 && receive === 50 && detectionTime === 150);
  await until('the failure detector hears r2', () => r1.opinions[0]?.paths[0]?.state === 'heard' && r1.opinions[0].paths[0].heardThere === true);
  lab.silence('r2');
  await are(r1, 'down', ...all);
  for (const name of all) {
    const down = r1.sessions[name]?.lastDown ?? assert.fail(shown(r1));
    assert.equal(down.diagnostic, 'detection-expired');
    assert.equal(down.detectionTime, 150);
    assert.ok((down.silence ?? 0) >= 150 && (down.missed ?? 0) >= 3, JSON.stringify(down));
  }
  await until('the failure detector says silent', () => r1.opinions[0]?.paths[0]?.state === 'silent');
  lab.heal();
  await are(r1, 'up', ...all);
  await are(r2, 'up', ...all);
  r2.running?.client.send({ kind: 'end', reason: 'the test is over' });
  await r2.running?.exited;
  await are(r1, 'down', ...all);
  assert.deepEqual(all.map((name) => r1.sessions[name]?.lastDown?.diagnostic), all.map(() => 'neighbor-down'));
  // One count of all transitions, without a gap.
  assert.deepEqual(r1.sessionTransitions.map(({ sequence }) => sequence), r1.sessionTransitions.map((_, i) => i + 1));
}));

test('SHA-1: up with the key, refused with another, and a change of keys is no outage', () => withPulseLab(async (lab) => {
  const { r1, r2 } = lab;
  await Promise.all([r1.start(), r2.start()]);
  const key = (text: string): string => Buffer.from(text).toString('base64');
  const signed = (peer: string, ...files: readonly string[]): BfdSessionPlan =>
    session('s', peer, { authentication: { type: 'meticulous-sha1', keys: files.map((file) => ({ id: Number(file.slice(1)), file })) } });
  const [old, fresh] = [{ k1: key('one') }, { k1: key('one'), k2: key('two') }];
  want(r1, [signed('10.78.0.12', 'k1')], old);
  want(r2, [signed('10.78.0.11', 'k1')], { k1: key('another') });
  await holds(r1, 'a refused digest', 's', ({ counters, state }) => (counters.dropped['auth-digest'] ?? 0) > 0 && state === 'down');
  want(r2, [signed('10.78.0.11', 'k1')], old);
  await are(r1, 'up', 's');
  await are(r2, 'up', 's');
  want(r1, [signed('10.78.0.12', 'k1', 'k2')], fresh);
  want(r2, [signed('10.78.0.11', 'k2', 'k1')], fresh);
  const { sent } = r2.sessions['s']?.counters ?? assert.fail();
  await holds(r2, 'packets by the new key', 's', ({ counters }) => counters.sent > sent + 20);
  want(r1, [signed('10.78.0.12', 'k2')], { k2: key('two') });
  const { heard } = r2.sessions['s']?.counters ?? assert.fail();
  await holds(r2, 'packets by the new key alone', 's', ({ counters }) => counters.heard > heard + 20);
  assert.deepEqual([r1.sessions['s']?.counters.downs, r2.sessions['s']?.counters.downs], [0, 0]);
  want(r1, [signed('10.78.0.12', 'k3')], {});
  await until('the missing key is told', () => r1.sessionRefusals.some((text) => text.startsWith('s: Its key 3 is in the file k3')));
}));

test('echoes both ways, whether the hosts forward or not, over IPv4, IPv6 and link-local addresses', () => withPulseLab(async (lab) => {
  const { r1, r2 } = lab;
  await Promise.all([r1.start(), r2.start()]);
  forward(lab, r1, false);
  forward(lab, r2, true);
  const echo = { echo: 50, echoReceive: 20 };
  const all = ['four', 'six', 'local'];
  want(r1, [session('four', '10.78.0.12', echo), session('six', '2001:db8:78::12', echo), session('local', 'fe80::12', echo)]);
  want(r2, [session('four', '10.78.0.11', echo), session('six', '2001:db8:78::11', echo), session('local', 'fe80::11', echo)]);
  for (const pulse of [r1, r2]) {
    for (const name of all) {
      await holds(pulse, `echoes of ${name}`, name, ({ echo: is, counters }) => is?.active === true && counters.echoesHeard > 10 && is.roundTrip !== undefined);
      // Echoes watch, and control packets slow down (RFC 5880 §6.8.3).
      await holds(pulse, `slow control packets of ${name}`, name, ({ receive }) => receive === 1000);
    }
  }
  const count = ({ sessions }: LabPulse, name: string): number => sessions[name]?.counters.echoesHeard ?? 0;
  assert.ok(all.every((name) => count(r1, name) <= (r1.sessions[name]?.counters.echoesSent ?? 0)), shown(r1));
  assert.ok([r1, r2].every(({ sessions }) => all.every((name) => sessions[name]?.counters.downs === 0)));
  lab.silence('r2');
  await are(r1, 'down', ...all);
  assert.deepEqual(all.map((name) => r1.sessions[name]?.lastDown?.diagnostic), all.map(() => 'echo-failed'));
}));

test('over a router: several hops, each end by its address; what comes from too far is refused', () => withBench(async (bench) => {
  const [one, router, other] = ['m1', 'mr', 'm2'].map((name) => bench.host(name));
  assert.ok(one && router && other);
  for (const [host, port, net] of [[one, 'w', 1], [other, 'e', 2]] as const) {
    host.links.createVeth({ name: 'e0', netns: host.netns, mtu: 1500 }, { name: port, netns: router.netns, mtu: 1500 });
    host.links.set(host.links.get('e0').index, { up: true });
    router.links.set(router.links.get(port).index, { up: true });
    host.addresses.add(host.links.get('e0').index, parseIpAddress(`10.79.${net}.2`), 24);
    router.addresses.add(router.links.get(port).index, parseIpAddress(`10.79.${net}.1`), 24);
    bench.ip(host, 'route', 'add', 'default', 'via', `10.79.${net}.1`);
  }
  bench.native.inNetns(router.netns, () => void execFileSync('sysctl', ['-qw', 'net.ipv4.ip_forward=1']));
  const [a, b] = [new LabPulse(one), new LabPulse(other)];
  const far = (from: number, to: number, minTtl: number): BfdSessionPlan =>
    session('far', `10.79.${to}.2`, { way: { hops: 'multi', local: `10.79.${from}.2`, minTtl } });
  try {
    await Promise.all([a.start(), b.start()]);
    want(a, [far(1, 2, 254)]);
    want(b, [far(2, 1, 254)]);
    await are(a, 'up', 'far');
    await are(b, 'up', 'far');
    want(a, [far(1, 2, 255)]);
    await are(a, 'down', 'far');
    await holds(a, 'refused for its TTL', 'far', ({ counters }) => (counters.dropped['ttl'] ?? 0) > 0);
    await are(b, 'down', 'far');
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}));

test('a link that goes takes its own sessions along, and they come back with it', () => withPulseLab(async ({ r1, r2 }) => {
  await Promise.all([r1.start(), r2.start()]);
  const link = (): void => {
    r1.host.links.createVeth({ name: 'e1', netns: r1.host.netns, mtu: 1500 }, { name: 'e1', netns: r2.host.netns, mtu: 1500 });
    for (const [{ host }, number] of [[r1, 11], [r2, 12]] as const) {
      const { index } = host.links.get('e1');
      host.links.set(index, { up: true });
      host.addresses.add(index, parseIpAddress(`10.77.0.${number}`), 24);
    }
  };
  link();
  const goes = { way: { hops: 'single', interface: 'e1' }, echo: 50, echoReceive: 20 } as const;
  want(r1, [session('stays', '10.78.0.12'), session('goes', '10.77.0.12', goes)]);
  want(r2, [session('stays', '10.78.0.11'), session('goes', '10.77.0.11', goes)]);
  await are(r1, 'up', 'stays', 'goes');
  await holds(r1, 'echoes', 'goes', ({ echo }) => echo?.active === true);
  r1.host.links.delete(r1.host.links.get('e1').index);
  await are(r1, 'down', 'goes');
  await holds(r1, 'why', 'goes', ({ reason }) => reason === 'There is no interface e1');
  link();
  await are(r1, 'up', 'goes');
  await are(r2, 'up', 'goes');
  await holds(r1, 'echoes', 'goes', ({ echo }) => echo?.active === true);
  assert.deepEqual([r1, r2].map(({ sessions }) => sessions['stays']?.counters.downs), [0, 0]);
}));
