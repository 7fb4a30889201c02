/** A router's addresses in the kernel, while others change the devices and addresses below them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants } from 'node:os';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { takeBack } from '../../src/pulse/farewell.ts';
import { endPulse } from '../../src/pulse/pulse-spawn.ts';
import { SlowNetlink } from '../../src/pulse/slow-netlink.ts';
import { formerSettings } from '../../src/pulse/socket-path.ts';
import type { RouterPlan } from '../../src/model/virtual-router.ts';
import { raising } from '../../src/host/link.ts';
import { readSysctl } from '../../src/host/sysctl.ts';
import { readAll, until } from './host-fixture.ts';
import { LabPulse, VIP, plan, withPulseLab } from './pulse-fixture.ts';

const reached = / 0% packet loss/;
const OWN = '10.78.0.11';
const own = (pulse: LabPulse): string[] => pulse.host.addresses.list(pulse.host.links.get('e0').index).filter(({ address }) => address.family === 4)
  .map(({ address, flags }) => `${address}${(flags & 1) === 0 ? '' : ' secondary'}`);
const crowd = (): RouterPlan[] => Array.from({ length: 200 }, (_, i) =>
  plan(`m${i}`, { vrid: i + 1, interval: 1000, addresses: [{ address: `10.78.1.${i + 1}`, prefixLength: 16 }] }));
const devices = (pulse: LabPulse): string[] => pulse.host.links.list().map(({ name }) => name).filter((name) => name.startsWith('gvr'));

test('a device of a router that somebody takes down or deletes is there again at once, with its addresses, as a Backup\'s is', () => withPulseLab(async (lab) => {
  const { r1, r2, bench } = lab;
  await Promise.all([r1.start(), r2.start()]);
  r1.want(plan('g', { priority: 200 }));
  r2.want(plan('g', { priority: 100 }));
  await r1.is('g', 'active');
  await r2.is('g', 'backup');
  const before = [r1.transitions.length, r2.transitions.length];
  for (const how of [['set', 'gvr4-7', 'down'], ['del', 'gvr4-7']]) {
    bench.ip(r1.host, 'link', ...how);
    await until(`the address is there after ${how.join(' ')}`, () => r1.host.links.list().some(({ name, up }) => name === 'gvr4-7' && up)
      && r1.host.addresses.list().some(({ address }) => address.toString() === VIP));
    assert.match(lab.atNeighbour('ping', '-c2', '-i0.2', '-W1', VIP), reached, how.join(' '));
  }
  bench.ip(r2.host, 'link', 'del', 'gvr4-7');
  await until('the Backup has its device', () => devices(r2).length === 1);
  assert.deepEqual([r1.transitions.length, r2.transitions.length], before);
  lab.silence('r1');
  await r2.is('g', 'active');
  assert.match(lab.atNeighbour('ping', '-c2', '-i0.2', '-W1', VIP), reached);
}));

test('without a virtual MAC the host keeps its own address, whenever it came; a source that is not there is a fault', () => withPulseLab(async (lab) => {
  const { r1, bench } = lab;
  bench.ip(r1.host, 'addr', 'add', '192.168.5.1/24', 'dev', 'e0');
  bench.ip(r1.host, 'addr', 'del', `${OWN}/24`, 'dev', 'e0');
  await r1.start();
  r1.want(plan('g', { virtualMac: false }));
  await r1.is('g', 'active');
  bench.ip(r1.host, 'addr', 'add', `${OWN}/24`, 'dev', 'e0');
  assert.deepEqual(own(r1).sort(), [VIP, OWN, '192.168.5.1'].sort());
  lab.sw.links.set(lab.sw.links.get('p1').index, { up: false });
  await r1.is('g', 'fault');
  assert.deepEqual(own(r1).sort(), [OWN, '192.168.5.1'].sort());
  lab.sw.links.set(lab.sw.links.get('p1').index, { up: true });
  await r1.is('g', 'active');
  r1.want(plan('g', { virtualMac: false, source: '10.78.0.12' }));
  await r1.is('g', 'fault');
  r1.want(plan('g', { virtualMac: false, source: OWN }));
  await r1.is('g', 'active');
  bench.ip(r1.host, 'addr', 'del', `${OWN}/24`, 'dev', 'e0');
  await r1.is('g', 'fault');
}));

test('an address of the host\'s own network that comes later has the route to it alone', () => withPulseLab(async ({ r1, bench }) => {
  bench.ip(r1.host, 'addr', 'add', '192.168.5.1/24', 'dev', 'e0');
  bench.ip(r1.host, 'addr', 'del', `${OWN}/24`, 'dev', 'e0');
  await r1.start();
  r1.want(plan('g'));
  await r1.is('g', 'active');
  const routes = (): string[] => bench.ip(r1.host, 'route', 'show', '10.78.0.0/24').match(/dev \S+/g) ?? [];
  assert.deepEqual(routes(), ['dev gvr4-7']);
  bench.ip(r1.host, 'addr', 'add', `${OWN}/24`, 'dev', 'e0');
  await until('one route', () => routes().join() === 'dev e0');
  assert.ok(r1.host.addresses.list().some(({ address }) => address.toString() === VIP));
}));

test('what a dead pulse changed is put back: no rules, no devices, its device\'s settings as they were; a second death changes nothing of that', () => withPulseLab(async (lab) => {
  const { r1, bench } = lab;
  const settings = (): (string | undefined)[] => ['arp_ignore', 'arp_announce'].map((name) => readSysctl(r1.host, `ipv4/conf/e0/${name}`));
  const before = settings();
  for (let life = 0; life < 2; life++) {
    await r1.start();
    r1.want(plan('g', { accept: false }));
    await r1.is('g', 'active');
    assert.deepEqual(settings(), ['1', '2']);
    r1.kill();
    await r1.running?.exited;
  }
  const said: string[] = [];
  await takeBack(r1.host, [], { settings: formerSettings(r1.runDir), log: (line) => void said.push(line) });
  assert.deepEqual([settings(), devices(r1), said], [before, [], []]);
  assert.doesNotMatch(bench.native.inNetns(r1.host.netns, () => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })), /godwit/);
}));

test('200 routers of a dead pulse: the agent goes on meanwhile, and all are told', () => withPulseLab(async (lab) => {
  const { r1, seen } = lab;
  await r1.start();
  const many = crowd();
  r1.want(...many);
  await r1.areAll(many, 'active');
  r1.kill();
  await r1.running?.exited;
  readAll(seen);
  let [last, longest] = [performance.now(), 0];
  const beat = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const began = performance.now();
  await takeBack(r1.host, many);
  clearInterval(beat);
  console.error(`# 200 routers taken back in ${(performance.now() - began).toFixed(0)} ms, longest pause ${longest.toFixed(0)} ms`);
  assert.deepEqual(devices(r1), []);
  const left = readAll(seen).filter(({ frame }) => frame[12] === 8 && frame[13] === 0 && frame[23] === 112 && frame[36] === 0);
  assert.equal(new Set(left.map(({ frame }) => frame[35])).size, 200);
}));

test('off the thread, what is urgent waits for one other request at most; a refusal is told unless it is tolerated', () => withPulseLab(async ({ r1 }) => {
  const slow = new SlowNetlink(r1.host);
  const asked: string[] = [];
  const ask = (name: string, index = r1.host.links.get('e0').index) => () => {
    asked.push(name);
    return [raising(index)];
  };
  const nothing = (): [] => [];
  await Promise.all([slow.whenQuiet(ask('a')), slow.whenQuiet(ask('b')), slow.whenQuiet(nothing), slow.urgently(ask('c')), slow.urgently(ask('d'))]);
  assert.deepEqual(asked, ['a', 'c', 'd', 'b']);
  await slow.whenQuiet(ask('e', 9999), [constants.errno.ENODEV]);
  await assert.rejects(slow.urgently(ask('f', 9999)), { code: 'HOST_KERNEL_REFUSED' });
  await slow.urgently(ask('g'));
  slow.close();
}));

test('200 routers leave their device at once: a router on another device keeps its address all the while', () => withPulseLab(async ({ r1, bench, sw }) => {
  bench.ip(r1.host, 'link', 'add', 'd1', 'type', 'veth', 'peer', 'name', 'd2');
  for (const name of ['d1', 'd2']) bench.ip(r1.host, 'link', 'set', name, 'up');
  bench.ip(r1.host, 'addr', 'add', '10.99.0.1/24', 'dev', 'd1');
  await r1.start();
  const many = crowd();
  const all = [plan('stays', { device: 'd1', vrid: 250, addresses: [{ address: '10.99.0.254', prefixLength: 24 }] }), ...many];
  r1.want(...all);
  await r1.areAll(all, 'active');
  bench.ip(sw, 'link', 'set', 'p1', 'down');
  let [looks, least] = [0, Infinity];
  const isBusy = (): boolean => devices(r1).some((name) => name !== 'gvr4-250' && r1.host.links.get(name).up);
  while (isBusy() || looks === 0) {
    looks++;
    // Each second anew from 3; 0: it is not there.
    least = Math.min(least, r1.host.addresses.list().find(({ address }) => address.toString() === '10.99.0.254')?.lifetime ?? 0);
    // A sample: nothing is told of a lifetime that runs down.
    await pause(20);
  }
  console.error(`# while 200 routers left, in ${looks} looks, the least that was left of the other's lifetime was ${least} s`);
  assert.ok(least >= 1);
}));

test('a second pulse does not begin where one runs: it would take from the first all it has', () => withPulseLab(async ({ r1 }) => {
  await r1.start();
  r1.want(plan('g'));
  await r1.is('g', 'active');
  const other = new LabPulse(r1.host);
  try {
    await assert.rejects(other.start(), /Another pulse serves this network namespace/);
  } finally {
    await other.close();
  }
  assert.equal(r1.state('g'), 'active');
  assert.deepEqual(devices(r1), ['gvr4-7']);
}));

test('told to end from outside it leaves in good order: the other one hears of it, and nothing is left', () => withPulseLab(async ({ r1, r2 }) => {
  await Promise.all([r1.start(), r2.start()]);
  r1.want(plan('g', { priority: 200, interval: 1000 }));
  r2.want(plan('g', { priority: 100, interval: 1000 }));
  await r1.is('g', 'active');
  await r2.is('g', 'backup');
  await endPulse(r1.runDir);
  await r2.is('g', 'active');
  assert.equal(r2.transitions.at(-1)?.adverts[0]?.priority, 0);
  assert.deepEqual(devices(r1), []);
  // There is none now.
  await endPulse(r1.runDir);
}));

test('a pulse that is stuck is ended by who looks for it anew, and another one runs', () => withPulseLab(async ({ r1 }) => {
  const stuck = await r1.start();
  r1.kill('SIGSTOP');
  const next = await r1.start();
  assert.deepEqual([next.started, next.pid === stuck.pid], [true, false]);
  await stuck.exited;
  r1.want(plan('g'));
  await r1.is('g', 'active');
  stuck.client.close();
}));
