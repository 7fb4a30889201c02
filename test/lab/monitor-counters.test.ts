/** Counters against the kernel's own programs and against traffic that is known. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Host } from '../../src/host/host.ts';
import { type PacketSocket, SystemError } from '../../src/native/native.ts';
import { Counters } from '../../src/monitor/counters.ts';
import type { WatchPlan } from '../../src/model/watch-plan.ts';
import { type Bench, CLIENT, GUEST, frame, readAll, take, twoHosts, until, vmTap, withBench } from './host-fixture.ts';

const tc = (bench: Bench, host: Host, ...words: string[]): string =>
  execFileSync('tc', ['-n', bench.namespaceName(host.name), ...words], { encoding: 'utf8' });

/** Its clock is the test's: so many seconds pass between two readings. */
function countersOf(
  bench: Bench, host: Host, options: { ports?: { peer: number } } = {},
): { counters: Counters; pass: (seconds: number) => void } {
  let monotonic = 0;
  const native = { ...bench.native, monotonic: () => monotonic };
  const counters = bench.owned(new Counters({ native, netns: host.netns, lateness: () => 1.5, ...options }));
  return { counters, pass: (seconds) => void (monotonic += seconds * 1000) };
}

const plan = (local: string, peers: WatchPlan['peers'] = []): Pick<WatchPlan, 'local' | 'paths' | 'peers'> =>
  ({ local: { main: local }, peers, paths: { main: { capacity: 1000, classes: [0] } } });

test('a link: bytes and packets of what was sent, utilization of its path\'s capacity, the other end the other way round', () => withBench((bench) => {
  const { h1, h2 } = twoHosts(bench);
  const [near, far] = [countersOf(bench, h1), countersOf(bench, h2)];
  near.counters.capacities(plan('10.79.0.1'));
  const first = near.counters.read(5);
  assert.equal(first.at, 5);
  assert.deepEqual(first.links.map(({ name }) => name).toSorted(), ['br0', 'mig', 'up0']);
  assert.ok(first.links.every(({ txBytes, rxBytes }) => txBytes === 0 && rxBytes === 0), 'nothing before the first time');
  far.counters.read(5);
  const { index } = h1.links.get('mig');
  const socket = bench.owned(bench.native.packetSocket(h1.netns, { ifindex: index, protocol: 0 }));
  for (let i = 0; i < 20; i++) socket.send(frame(GUEST, i, { size: 1000, source: CLIENT }));
  near.pass(2);
  far.pass(4);
  const sent = near.counters.read(6).links.find(({ name }) => name === 'mig');
  assert.deepEqual([sent?.txBytes, sent?.txPackets, sent?.rxBytes, sent?.capacity, sent?.utilization], [10_000, 10, 0, 1000, 10]);
  const got = far.counters.read(6).links.find(({ name }) => name === 'mig');
  assert.deepEqual([got?.rxBytes, got?.rxPackets, got?.txBytes, got?.capacity], [5000, 5, 0, undefined]);
}));

test('a VM\'s NIC is the tap turned round, and no link; a device made anew starts anew', () => withBench(async (bench) => {
  const { h1, e1 } = twoHosts(bench);
  const tap = vmTap(bench, h1);
  const { counters, pass } = countersOf(bench, h1);
  counters.nics([{ device: 'gt-0', vm: 'web', nic: 1 }]);
  counters.read(0);
  for (let i = 0; i < 8; i++) tap.tap.write(frame(CLIENT, i, { size: 500, source: GUEST }));
  await take(e1, 8);
  pass(1);
  const { links, nics } = counters.read(1);
  assert.ok(!links.some(({ name }) => name === 'gt-0'));
  assert.deepEqual(nics.map(({ vm, nic, txPackets, txBytes, rxPackets }) => ({ vm, nic, txPackets, txBytes, rxPackets })), [
    { vm: 'web', nic: 1, txPackets: 8, txBytes: 4000, rxPackets: 0 },
  ]);
  tap.tap.close();
  vmTap(bench, h1);
  pass(1);
  const [again] = counters.read(2).nics;
  assert.deepEqual([again?.vm, again?.txBytes, again?.rxBytes], ['web', 0, 0]);
}));

test('drops of what the guest does not read are the NIC\'s received ones', () => withBench((bench) => {
  const { h1 } = twoHosts(bench);
  const { tap, index } = vmTap(bench, h1);
  h1.links.set(index, { txQueueLength: 10 });
  const { counters, pass } = countersOf(bench, h1);
  counters.nics([{ device: 'gt-0', vm: 'web', nic: 0 }]);
  counters.read(0);
  const socket = bench.owned(bench.native.packetSocket(h1.netns, { ifindex: index, protocol: 0 }));
  for (let i = 0; i < 50; i++) socket.send(frame(GUEST, i));
  pass(1);
  const [nic] = counters.read(1).nics;
  assert.deepEqual([nic?.rxDrops, nic?.txDrops, readAll(tap).length], [40, 0, 10]);
}));

test('classes of a shaped link: bytes by class and drops, as tc says', () => withBench((bench) => {
  const { h1 } = twoHosts(bench);
  tc(bench, h1, 'qdisc', 'add', 'dev', 'mig', 'root', 'handle', '1:', 'htb', 'default', '10');
  tc(bench, h1, 'class', 'add', 'dev', 'mig', 'parent', '1:', 'classid', '1:10', 'htb', 'rate', '8kbit', 'burst', '2000', 'cburst', '2000');
  tc(bench, h1, 'qdisc', 'add', 'dev', 'mig', 'parent', '1:10', 'handle', '10:', 'pfifo', 'limit', '5');
  const { counters, pass } = countersOf(bench, h1);
  counters.read(0);
  const socket = bench.owned(bench.native.packetSocket(h1.netns, { ifindex: h1.links.get('mig').index, protocol: 0 }));
  for (let i = 0; i < 30; i++) sendOrDrop(socket, frame(GUEST, i, { size: 1000 }));
  pass(1);
  const queues = counters.read(1).links.find(({ name }) => name === 'mig')?.queues ?? [];
  assert.deepEqual(queues.map((queue) => queue.class), ['1:', '1:10']);
  const [root, leaf] = queues;
  const said = tc(bench, h1, '-s', 'qdisc', 'show', 'dev', 'mig', 'root');
  assert.equal(root?.drops, Number(/dropped (\d+)/.exec(said)?.[1]));
  assert.ok(root && leaf && root.drops > 15 && leaf.drops === root.drops, JSON.stringify(queues));
  assert.equal(leaf.backlog, 5000);
}));

/** The kernel tells a packet socket of the qdisc's drops. */
function sendOrDrop(socket: PacketSocket, bytes: Uint8Array): void {
  try {
    socket.send(bytes);
  } catch (error) {
    if (!(error instanceof SystemError && error.errnoName === 'ENOBUFS')) throw error;
  }
}

/** Both ends in one process of the namespace; says its port, and at a line on stdin writes 1000 bytes and says that they came. */
const TALK = `
  const { connect, createServer } = require('node:net');
  const [, listen, address] = process.argv;
  const server = createServer((far) => far.on('data', () => console.log('came'))).listen(0, listen, () => {
    const { port } = server.address();
    const client = connect(port, address, () => console.log(port));
    process.stdin.on('data', () => client.write('x'.repeat(1000))).on('end', () => process.exit());
  });`;

for (const [what, address, listen] of [
  ['IPv4', '127.0.0.1', '127.0.0.1'], ['IPv4 on an IPv6 socket', '127.0.0.1', '::'], ['IPv6', '::1', '::1'],
] as const) {
  test(`TCP over ${what}: of our ports and the cluster's hosts, with RTT and segments`, () => withBench(async (bench) => {
    const h1 = bench.host('h1');
    const words = ['netns', 'exec', bench.namespaceName('h1'), process.execPath, '-e', TALK, listen, address];
    const child = spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    try {
      const [port] = await once(child.stdout, 'data');
      const { counters, pass } = countersOf(bench, h1, { ports: { peer: Number(port) } });
      counters.capacities(plan('10.0.0.1'));
      assert.deepEqual(counters.read(0).tcp, [], 'of no host of the cluster');
      counters.capacities(plan('10.0.0.1', [{ host: 'h2', addresses: { main: address } }]));
      counters.read(1);
      child.stdin.write('now');
      await once(child.stdout, 'data');
      pass(1);
      const { tcp } = counters.read(2);
      assert.deepEqual(tcp.map((connection) => [connection.what, connection.to]), [['peer', 'h2'], ['peer', 'h2']], 'both ends');
      assert.deepEqual(tcp.map(({ sent }) => sent).toSorted((a, b) => a - b), [0, 1]);
      const sound = tcp.every(({ rtt, congestionWindow, retransmitted }) => rtt > 0 && rtt < 5000 && congestionWindow > 0 && retransmitted === 0);
      assert.ok(sound, JSON.stringify(tcp));
    } finally {
      child.stdin.end();
      await ended;
    }
  }));
}

test('the host: shares and the lateness that it was told', () => withBench(async (bench) => {
  const h1 = bench.host('h1');
  const { counters, pass } = countersOf(bench, h1);
  assert.equal(counters.read(0).host.softirq, 0, 'the first time');
  // /proc/stat counts in jiffies of 10 ms at most.
  await until('time of the processors', () => {
    pass(1);
    const { host } = counters.read(1);
    assert.ok(host.softirq >= 0 && host.softirq <= 1 && host.backlogDrops >= 0 && host.lateness === 1.5);
    return host.cost > 0;
  });
}));
