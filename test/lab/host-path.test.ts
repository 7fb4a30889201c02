/** What passes between hosts: whole IP packets, frames of bridges, and who answers for a gateway. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ms } from '../../src/base/units.ts';
import { FrameProbe, sendFrameProbe } from '../../src/host/frame-probe.ts';
import { findGateway } from '../../src/host/gateway.ts';
import type { Host } from '../../src/host/host.ts';
import { answerPathProbes, probePathMtu } from '../../src/host/path-mtu.ts';
import { describeHost } from '../../src/host/self.ts';
import { bindUdp, closeUdp } from '../../src/host/udp.ts';
import { EtherType, decodeEthernet } from '../../src/wire/ethernet.ts';
import { type IpAddress, parseIpAddress } from '../../src/wire/ip-address.ts';
import { decodeIpv4 } from '../../src/wire/ipv4.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { decodePathProbe, encodePathProbe } from '../../src/wire/path-probe.ts';
import { type Bench, ip, quietBridge, readAll, until, withBench } from './host-fixture.ts';

const timeout = { timeout: 30_000 };
const PORT = 7444;
const SIZES = [1500, 1400, 1280];
const addressOf = parseIpAddress;

interface End {
  readonly host: Host;
  readonly link: string;
  readonly mtu: number;
}

/** A wire; its ends are up and have no IPv6 address of their own making. */
function join(one: End, other: End): void {
  const end = ({ host, link, mtu }: End): { name: string; netns: Host['netns']; mtu: number } => ({ name: link, netns: host.netns, mtu });
  one.host.links.createVeth(end(one), end(other));
  for (const { host, link } of [one, other]) host.links.set(host.links.get(link).index, { up: true, noIpv6Address: true });
}

function address(host: Host, link: string, text: string): void {
  host.addresses.add(host.links.get(link).index, addressOf(text), text.includes(':') ? 64 : 24);
}

/** Until the kernel has noticed that the wire is there, a link drops all that it is to send. */
async function ready(bench: Bench, ...hosts: Host[]): Promise<void> {
  const states = (host: Host): string[] => bench.ip(host, '-br', 'link', 'show', 'type', 'veth').trim().split('\n');
  await until('links up', () => hosts.flatMap(states).every((state) => / UP /.test(state)));
}

function sysctl(bench: Bench, host: Host, setting: string): void {
  ip('netns', 'exec', bench.namespaceName(host.name), 'sysctl', '-qw', setting);
}

/** Two hosts on one wire; packets above `narrow` are lost on the way there without a word. */
async function pair(bench: Bench, narrow: number): Promise<{ h1: Host; h2: Host }> {
  const [h1, h2] = [bench.host('h1'), bench.host('h2')];
  join({ host: h1, link: 'gwm-p', mtu: 1500 }, { host: h2, link: 'gwm-p', mtu: narrow });
  for (const [host, number] of [[h1, 1], [h2, 2]] as const) {
    address(host, 'gwm-p', `10.79.0.${number}`);
    address(host, 'gwm-p', `fd79::${number}`);
  }
  await ready(bench, h1, h2);
  return { h1, h2 };
}

/** Two hosts, a router between them, and behind it a wire of 1400 bytes. */
async function routed(bench: Bench): Promise<{ h1: Host; h2: Host }> {
  const [h1, router, h2] = [bench.host('h1'), bench.host('r'), bench.host('h2')];
  join({ host: h1, link: 'gwm-p', mtu: 1500 }, { host: router, link: 'gwm-1', mtu: 1500 });
  join({ host: h2, link: 'gwm-p', mtu: 1400 }, { host: router, link: 'gwm-2', mtu: 1400 });
  const places = [[h1, 'gwm-p', 1, 1], [router, 'gwm-1', 1, 9], [router, 'gwm-2', 2, 9], [h2, 'gwm-p', 2, 2]] as const;
  for (const [host, link, net, number] of places) {
    address(host, link, `10.79.${net}.${number}`);
    address(host, link, `fd79:0:0:${net}::${number}`);
  }
  for (const [host, net, via] of [[h1, 2, 1], [h2, 1, 2]] as const) {
    bench.ip(host, 'route', 'add', `10.79.${net}.0/24`, 'via', `10.79.${via}.9`);
    bench.ip(host, 'route', 'add', `fd79:0:0:${net}::/64`, 'via', `fd79:0:0:${via}::9`);
  }
  sysctl(bench, router, 'net.ipv4.ip_forward=1');
  sysctl(bench, router, 'net.ipv6.conf.all.forwarding=1');
  // Without a link-local address it could not ask for a neighbour in another's name.
  for (const link of ['gwm-1', 'gwm-2']) address(router, link, 'fe80::9');
  await ready(bench, h1, router, h2);
  return { h1, h2 };
}

async function probe(bench: Bench, { h1, h2 }: { h1: Host; h2: Host }, to: string, sizes = SIZES, within = 2500): Promise<number> {
  bench.owned(await answerPathProbes(h2, addressOf(to), PORT));
  const { works, tried } = await probePathMtu(h1, addressOf(to), PORT, sizes, ms(within));
  assert.deepEqual(tried, sizes);
  return works;
}

describe('path MTU', () => {
  for (const [name, to] of [['IPv4', '10.79.0.2'], ['IPv6', 'fd79::2']] as const) {
    test(`${name}: a wide path is found to be wide, without waiting`, timeout, () => withBench(async (bench) => {
      const hosts = await pair(bench, 1500);
      assert.equal(await probe(bench, hosts, to, SIZES, 60_000), 1500);
    }));

    test(`${name}: where full packets vanish without a word, the largest that does not`, timeout, () => withBench(async (bench) => {
      assert.equal(await probe(bench, await pair(bench, 1400), to), 1400);
    }));

    test(`${name}: what the device does not carry is not tried`, timeout, () => withBench(async (bench) => {
      const hosts = await pair(bench, 1500);
      assert.equal(await probe(bench, hosts, to, [9000, 1500, 1280], 60_000), 1500);
      assert.deepEqual(await probePathMtu(hosts.h1, addressOf(to), PORT, [9000], ms(60_000)), { works: 0, tried: [9000] });
    }));
  }

  for (const [name, to] of [['IPv4', '10.79.2.2'], ['IPv6', 'fd79:0:0:2::2']] as const) {
    test(`${name}: a router that says how narrow it is: not even what would arrive in pieces counts, at once and later`, timeout,
      () => withBench(async (bench) => {
        const hosts = await routed(bench);
        bench.owned(await answerPathProbes(hosts.h2, addressOf(to), PORT));
        for (let i = 0; i < 2; i++) {
          assert.equal((await probePathMtu(hosts.h1, addressOf(to), PORT, SIZES, ms(5000))).works, 1400);
        }
      }));
  }

  test('the packets are of the sizes tried, whole, with DF', timeout, () => withBench(async (bench) => {
    const hosts = await pair(bench, 1500);
    const options = { ifindex: hosts.h2.links.get('gwm-p').index, protocol: EtherType.ipv4 };
    const seen = bench.owned(bench.native.packetSocket(hosts.h2.netns, options));
    assert.equal(await probe(bench, hosts, '10.79.0.2'), 1500);
    const packets = readAll(seen).map(({ frame }) => ({ ...decodeIpv4(decodeEthernet(frame).payload), bytes: frame.length - 14 }));
    assert.deepEqual(packets.map(({ bytes }) => bytes).slice(0, 3), SIZES);
    for (const packet of packets) assert.deepEqual([packet.dontFragment, packet.moreFragments, packet.fragmentOffset], [true, false, 0]);
  }));

  test('a host that sends without DF says that nothing can be told', timeout, () => withBench(async (bench) => {
    const hosts = await pair(bench, 1500);
    sysctl(bench, hosts.h1, 'net.ipv4.ip_no_pmtu_disc=1');
    await assert.rejects(probe(bench, hosts, '10.79.0.2'), { code: 'HOST_NO_PMTU_DISCOVERY' });
  }));

  test('nobody who listens, nobody at all, no route: three answers', timeout, () => withBench(async (bench) => {
    const { h1 } = await pair(bench, 1500);
    const to = (text: string, within: number): Promise<{ works: number }> => probePathMtu(h1, addressOf(text), PORT, SIZES, ms(within));
    for (const text of ['10.79.0.2', 'fd79::2']) await assert.rejects(to(text, 5000), { code: 'HOST_PATH_UNANSWERED' });
    assert.equal((await to('10.79.0.3', 100)).works, 0);
    await assert.rejects(to('10.80.0.3', 100), { code: 'HOST_KERNEL_REFUSED' });
  }));

  test('answers are for probes only, and all sockets are closed in the end', timeout, () => withBench(async (bench) => {
    const { h1, h2 } = await pair(bench, 1500);
    const sockets = (): number => readdirSync('/proc/self/fd').length;
    const before = sockets();
    const responder = await answerPathProbes(h2, addressOf('10.79.0.2'), PORT);
    await assert.rejects(answerPathProbes(h2, addressOf('10.79.0.2'), PORT), { code: 'HOST_UDP_UNBOUND' });
    await assert.rejects(answerPathProbes(h2, addressOf('10.79.0.7'), PORT), { code: 'HOST_UDP_UNBOUND' });
    // A datagram of someone else's, and an answer that nobody asked for: the responder's own port would answer itself for ever.
    const from = (payload: Uint8Array): Promise<Uint8Array | undefined> => exchange(h1, addressOf('10.79.0.1'), '10.79.0.2', payload);
    assert.equal(await from(Uint8Array.of(1, 2, 3)), undefined);
    assert.equal(await from(encodePathProbe({ kind: 'answer', nonce: 7, length: 1000 })), undefined);
    const answer = await from(encodePathProbe({ kind: 'probe', nonce: 7, length: 1000 }));
    assert.deepEqual(answer && decodePathProbe(answer), { kind: 'answer', nonce: 7, length: 1000 });
    assert.equal((await probePathMtu(h1, addressOf('10.79.0.2'), PORT, SIZES)).works, 1500);
    responder.close();
    await until('the descriptors of before', () => sockets() === before);
  }));
});

/** Sends a datagram and gives the answer to it, which is undefined when one to a probe sent after it comes first. */
async function exchange(host: Host, own: IpAddress, to: string, payload: Uint8Array): Promise<Uint8Array | undefined> {
  const marker = 0xffff_ffff;
  const socket = await bindUdp(host, own, 0);
  try {
    const answers: Uint8Array[] = [];
    socket.on('message', (bytes) => answers.push(bytes));
    socket.send(payload, PORT, to);
    socket.send(encodePathProbe({ kind: 'probe', nonce: marker, length: 12 }), PORT, to);
    const isMarker = (bytes: Uint8Array): boolean => decodePathProbe(bytes).nonce === marker;
    await until('an answer', () => answers.some(isMarker));
    return answers.find((bytes) => !isMarker(bytes));
  } finally {
    closeUdp(socket);
  }
}

/** Two hosts with bridges on one network, whose wire carries `mtu` at the far end. */
async function bridged(bench: Bench, mtu: number): Promise<{ h1: Host; h2: Host }> {
  const [h1, h2] = [bench.host('h1'), bench.host('h2')];
  join({ host: h1, link: 'up0', mtu: 1500 }, { host: h2, link: 'up0', mtu });
  for (const host of [h1, h2]) host.links.set(host.links.get('up0').index, { master: quietBridge(host).index });
  await ready(bench, h1, h2);
  return { h1, h2 };
}

describe('frame probe', () => {
  test('full frames pass from bridge to bridge, to its MAC and to all', timeout, () => withBench(async (bench) => {
    const { h1, h2 } = await bridged(bench, 1500);
    for (const to of [MacAddress.of(h2.links.get('br0').address), MacAddress.broadcast]) {
      const probe = bench.owned(FrameProbe.listen(h2, 'br0', 7));
      sendFrameProbe(h1, 'br0', 1500, 7, to);
      assert.equal(await probe.wait(1500, ms(5000)), 1500, String(to));
    }
  }));

  test('where full frames vanish, smaller ones are heard', timeout, () => withBench(async (bench) => {
    const { h1, h2 } = await bridged(bench, 1400);
    const probe = bench.owned(FrameProbe.listen(h2, 'br0', 7));
    for (const size of [1500, 1400]) sendFrameProbe(h1, 'br0', size, 7, probe.mac);
    assert.equal(await probe.wait(1400, ms(5000)), 1400);
    assert.equal(await probe.wait(1500, ms(50)), 1400);
  }));
});

describe('gateway', () => {
  /** A router of the bridges' network with the addresses, on a wire of its own into h1's bridge. */
  async function router(bench: Bench, h1: Host, name: string, ...addresses: string[]): Promise<MacAddress> {
    const host = bench.host(name);
    join({ host: h1, link: `gwm-${name}`, mtu: 1500 }, { host, link: 'gwm-0', mtu: 1500 });
    h1.links.set(h1.links.get(`gwm-${name}`).index, { master: h1.links.get('br0').index });
    for (const text of addresses) address(host, 'gwm-0', text);
    await ready(bench, h1, host);
    return MacAddress.of(host.links.get('gwm-0').address);
  }
  const texts = (macs: readonly MacAddress[]): string[] => macs.map(String).toSorted();

  for (const [name, text] of [['IPv4', '10.80.0.1'], ['IPv6', 'fd80::1']] as const) {
    test(`${name}: the same from both hosts; two that claim it; none`, timeout, () => withBench(async (bench) => {
      const { h1, h2 } = await bridged(bench, 1500);
      const asked = addressOf(text);
      assert.deepEqual(await findGateway(h1, 'br0', asked, ms(100)), []);
      const one = await router(bench, h1, 'r1', text, name === 'IPv4' ? '10.80.0.9' : 'fd80::9');
      assert.deepEqual(await Promise.all([h1, h2].map((host) => findGateway(host, 'br0', asked, ms(300)))), [[one], [one]]);
      const two = await router(bench, h1, 'r2', text);
      assert.deepEqual(texts(await findGateway(h2, 'br0', asked, ms(300))), texts([one, two]));
      assert.deepEqual(bench.ip(h1, 'neigh'), '', 'the host itself has learned nothing');
    }));
  }

  test('one that every host has itself, as an anycast gateway: its own bridge', timeout, () => withBench(async (bench) => {
    const { h1 } = await bridged(bench, 1500);
    address(h1, 'br0', '10.80.0.1');
    assert.deepEqual(await findGateway(h1, 'br0', addressOf('10.80.0.1'), ms(50)), [MacAddress.of(h1.links.get('br0').address)]);
  }));
});

test('a host describes itself', timeout, () => withBench(async (bench) => {
  const { h1 } = await bridged(bench, 1500);
  h1.links.create('gwm-b', 'bridge', [], { mtu: 9000 });
  const { kernel, cpu, cpus, memory, freeMemory, bridges } = describeHost(h1);
  assert.deepEqual(bridges, { br0: { mtu: 1500 }, 'gwm-b': { mtu: 9000 } });
  assert.equal(kernel, readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
  assert.ok(cpus >= 1 && cpu !== '' && freeMemory > 0 && freeMemory < memory, JSON.stringify({ cpu, cpus, memory, freeMemory }));
}));
