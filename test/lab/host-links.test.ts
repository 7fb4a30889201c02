/** What the room makes, against what iproute2 says is there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Host } from '../../src/host/host.ts';
import { probeFeatures } from '../../src/host/features.ts';
import { readIpCounters } from '../../src/host/ip-counters.ts';
import { KernelRefused } from '../../src/host/netlink.ts';
import { HOLD_FRAMES } from '../../src/host/vm-tap.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { type Bench, GUEST, quietBridge, readAll, tunnelTo, twoHosts, until, vmTap, withBench } from './host-fixture.ts';

const timeout = { timeout: 30_000 };

/** iproute2's JSON for one device; the test names the fields it wants. */
function linkFacts(bench: Bench, host: Host, name: string): Record<string, unknown> {
  // `ip -j` prints an array of objects.
  const [facts] = JSON.parse(bench.ip(host, '-d', '-j', 'link', 'show', name)) as Record<string, unknown>[];
  return facts ?? assert.fail(`no ${name}`);
}

function forwardingFacts(bench: Bench, host: Host): { mac: string; ifname: string; master?: string; state?: string }[] {
  // `bridge -j` prints an array of objects with these members.
  const json = execFileSync('bridge', ['-n', bench.namespaceName(host.name), '-j', 'fdb'], { encoding: 'utf8' });
  return JSON.parse(json) as ReturnType<typeof forwardingFacts>;
}

function pick(from: unknown, ...names: string[]): Record<string, unknown> {
  const found = new Map(typeof from === 'object' && from !== null ? Object.entries(from) : []);
  return Object.fromEntries(names.map((name) => [name, found.get(name)]));
}

function refused(errno: number, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KernelRefused, String(error));
    assert.equal(error.errno, errno, error.message);
    assert.match(error.words, words);
    return true;
  };
}

describe('links', () => {
  test('a bridge, a veth, and what is changed of them', timeout, () => withBench((bench) => {
    const [host, other] = [bench.host('h'), bench.host('other')];
    const bridge = host.links.create('br0', 'bridge', [], { mtu: 1400 });
    assert.deepEqual([bridge.kind, bridge.mtu, bridge.up, bridge.master], ['bridge', 1400, false, 0]);
    host.links.createVeth({ name: 'near', netns: host.netns, mtu: 1600 }, { name: 'far', netns: other.netns, mtu: 1700 });
    const near = host.links.get('near');
    host.links.set(near.index, {
      master: bridge.index, up: true, txQueueLength: 77, address: GUEST, noIpv6Address: true, gsoMaxSize: 5000,
    });
    other.links.set(other.links.get('far').index, { up: true });

    const facts = linkFacts(bench, host, 'near');
    assert.deepEqual(pick(facts, 'mtu', 'master', 'txqlen', 'address', 'inet6_addr_gen_mode', 'gso_max_size', 'gso_max_segs'), {
      mtu: 1600, master: 'br0', txqlen: 77, address: GUEST.toString(), inet6_addr_gen_mode: 'none', gso_max_size: 5000, gso_max_segs: 1,
    });
    assert.deepEqual(pick(linkFacts(bench, other, 'far'), 'mtu'), { mtu: 1700 });
    const link = host.links.get('near');
    const { index, kind, mtu, up, carrier, master } = link;
    assert.deepEqual({ index, kind, mtu, up, carrier, master }, {
      index: near.index, kind: 'veth', mtu: 1600, up: true, carrier: true, master: bridge.index,
    });
    assert.equal(MacAddress.of(link.address).toString(), GUEST.toString());
    assert.deepEqual(host.links.list().map((l) => [l.index, l.name]), [[1, 'lo'], [bridge.index, 'br0'], [near.index, 'near']]);
    assert.equal(bench.ip(host, '-6', 'addr', 'show', 'near'), '');

    host.links.set(near.index, { master: 0, up: false });
    assert.deepEqual([host.links.get('near').master, host.links.get('near').up], [0, false]);
    host.links.delete(near.index);
    assert.throws(() => host.links.get('near'), refused(19, /^$/));
    assert.throws(() => other.links.get('far'), refused(19, /^$/));
  }));

  test('more interfaces than fit one datagram are all listed', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    const names = Array.from({ length: 60 }, (_, i) => `b${i}`);
    for (const name of names) host.links.create(name, 'bridge', []);
    assert.deepEqual(host.links.list().map((l) => l.name), ['lo', ...names]);
  }));

  test('counters are those of iproute2', timeout, () => withBench((bench) => {
    const { h1 } = twoHosts(bench);
    // `ip -s -j` prints an array of objects with these members.
    type Facts = { stats64: { rx: { packets: number }; tx: { packets: number } } };
    const [facts] = JSON.parse(bench.ip(h1, '-s', '-j', 'link', 'show', 'up0')) as Facts[];
    const { counters } = h1.links.get('up0');
    assert.deepEqual([counters.rxPackets, counters.txPackets], [facts?.stats64.rx.packets, facts?.stats64.tx.packets]);
  }));

  test('addresses and routes', timeout, () => withBench((bench) => {
    const { h1 } = twoHosts(bench);
    const mig = h1.links.get('mig').index;
    const route = h1.addresses.route(parseIpAddress('10.79.0.2'));
    assert.deepEqual([route.device, route.source?.toString(), route.mtu], [mig, '10.79.0.1', 0]);
    assert.throws(() => h1.addresses.route(parseIpAddress('192.0.2.1')), refused(101, /^$/));
    assert.throws(() => h1.addresses.add(mig, parseIpAddress('10.79.0.1'), 24), refused(17, /already assigned/));
    bench.ip(h1, 'route', 'add', '10.80.0.0/24', 'via', '10.79.0.2', 'mtu', '1350');
    assert.deepEqual(h1.addresses.route(parseIpAddress('10.80.0.9')).mtu, 1350);
    bench.ip(h1, 'neigh', 'add', '10.79.0.9', 'lladdr', GUEST.toString(), 'dev', 'mig');
    assert.deepEqual(
      h1.neighbours.list(mig).filter((n) => n.address.toString() === '10.79.0.9'),
      [{ device: mig, address: parseIpAddress('10.79.0.9'), mac: GUEST, state: 'permanent', router: false }],
    );
  }));

  test('the kernel\'s refusals carry its words', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    quietBridge(host);
    const [local, remote] = [parseIpAddress('127.0.0.1'), parseIpAddress('127.0.0.2')];
    host.createTunnel({ name: 'gx-0', vni: 9, local, remote, mtu: 1500 });
    const taken = /A VXLAN device with the specified VNI already exists/;
    assert.throws(() => host.createTunnel({ name: 'gx-1', vni: 9, local, remote, mtu: 1500 }), refused(17, taken));
    assert.throws(() => host.createTunnel({ name: 'gx-0', vni: 10, local, remote, mtu: 1500 }), refused(17, /^$/));
    assert.throws(() => host.createTunnel({ name: 'gx-9', vni: 1 << 24, local, remote, mtu: 1500 }), refused(34, /./));
    assert.throws(() => host.links.create('a-name-of-16-chr', 'bridge', []), refused(34, /Attribute failed policy validation/));
    assert.throws(() => host.links.create('x', 'no-such-kind', []), refused(95, /Unknown device type/));
    assert.throws(() => host.links.set(999, { up: true }), refused(19, /^$/));
    assert.throws(() => host.traffic.remove(host.links.get('gx-0').index, 'ingress', 1), refused(22, /./));
    assert.deepEqual(host.links.list().map((l) => l.name), ['lo', 'br0', 'gx-0']);
  }));
});

describe('tap and tunnel', () => {
  test('a tap has all it will ever need before it is up', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    const bridge = quietBridge(host);
    const made = vmTap(bench, host, { mute: true });
    const facts = linkFacts(bench, host, 'gt-0');
    assert.deepEqual(pick(facts, 'ifindex', 'mtu', 'master', 'txqlen', 'address', 'qdisc'), {
      ifindex: made.index, mtu: 1500, master: 'br0', txqlen: HOLD_FRAMES, address: 'fe:54:00:00:00:01', qdisc: 'pfifo_fast',
    });
    assert.equal(made.bridge, bridge.index);
    assert.deepEqual(pick(pick(facts['linkinfo'], 'info_slave_data')['info_slave_data'], 'state'), { state: 'disabled' });
    assert.deepEqual(pick(pick(facts['linkinfo'], 'info_data')['info_data'], 'type', 'vnet_hdr', 'persist'), {
      type: 'tap', vnet_hdr: true, persist: false,
    });
    assert.match(execFileSync('tc', ['-n', bench.namespaceName('h'), 'qdisc', 'show', 'dev', 'gt-0'], { encoding: 'utf8' }), /clsact/);
    host.bridges.setPortState(made.index, 'forwarding');
    assert.deepEqual(
      pick(pick(linkFacts(bench, host, 'gt-0')['linkinfo'], 'info_slave_data')['info_slave_data'], 'state'), { state: 'forwarding' },
    );
    made.tap.close();
    assert.throws(() => host.links.get('gt-0'), refused(19, /^$/));
  }));

  test('a tap that cannot be made leaves nothing behind', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    quietBridge(host);
    // A bridge that runs spanning tree decides over its ports itself.
    bench.ip(host, 'link', 'set', 'br0', 'type', 'bridge', 'stp_state', '1');
    assert.throws(() => vmTap(bench, host, { mute: true }), refused(16, /^$/));
    assert.throws(() => host.createVmTap({ name: 'gt-0', bridge: 'lo', mac: GUEST, mtu: 1500, mute: false }), refused(95, /^$/));
    const tiny = { name: 'gt-0', bridge: 'br0', mac: GUEST, mtu: 10, mute: false };
    assert.throws(() => host.createVmTap(tiny), refused(22, /mtu less than device minimum/));
    assert.deepEqual(host.links.list().map((l) => l.name), ['lo', 'br0']);
  }));

  test('a tunnel, over IPv4 and over IPv6', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    for (const [name, vni, local, remote] of [['gx-4', 16_777_215, '10.0.0.1', '10.0.0.2'], ['gx-6', 7, 'fd00::1', 'fd00::2']] as const) {
      const link = host.createTunnel({ name, vni, local: parseIpAddress(local), remote: parseIpAddress(remote), mtu: 9000 });
      assert.deepEqual([link.kind, link.up, link.mtu], ['vxlan', true, 9000]);
      const facts = linkFacts(bench, host, name);
      const data = pick(facts['linkinfo'], 'info_data')['info_data'];
      const [toward, from] = name === 'gx-4' ? ['remote', 'local'] : ['remote6', 'local6'];
      assert.deepEqual(pick(data, 'id', toward, from, 'port', 'learning'), {
        id: vni, [toward]: remote, [from]: local, port: 4790, learning: false,
      });
      assert.deepEqual(pick(facts, 'gso_max_segs', 'mtu'), { gso_max_segs: 1, mtu: 9000 });
    }
  }));

  test('no frame of the host\'s own leaves a tap or a tunnel, though it forwards IPv6', timeout, () => withBench(async (bench) => {
    const t = twoHosts(bench);
    for (const { netns } of [t.h1, t.h2]) {
      bench.native.inNetns(netns, () => {
        for (const scope of ['all', 'default']) writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/forwarding`, '1');
      });
    }
    const [open, mute] = [vmTap(bench, t.h1), vmTap(bench, t.h2, { mute: true })];
    const { near, far } = tunnelTo(t, mute);
    // The control: a device made without care speaks MLD within this time.
    t.h1.links.createVeth({ name: 'v0', netns: t.h1.netns, mtu: 1500 }, { name: 'v1', netns: t.h1.netns, mtu: 1500 });
    for (const name of ['v0', 'v1']) t.h1.links.set(t.h1.links.get(name).index, { up: true, noIpv6Address: true });
    await until('the control device speaks', () => t.h1.links.get('v0').counters.txPackets >= 2, { limit: 8000, every: 50 });
    assert.deepEqual([t.h1.links.get(near.name).counters.txPackets, t.h2.links.get(far.name).counters.txPackets], [0, 0]);
    assert.deepEqual(readAll(mute.tap), []);
    const own = readAll(open.tap).filter(({ frame }) => MacAddress.of(frame.slice(6, 12)).toString() === 'fe:54:00:00:00:01');
    assert.deepEqual(own, []);
  }));
});

describe('forwarding database', () => {
  test('learn moves an entry at once', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    quietBridge(host);
    const [a, b] = [vmTap(bench, host, { name: 'gt-a' }), vmTap(bench, host, { name: 'gt-b', mac: MacAddress.parse('52:54:00:00:00:02') })];
    const where = (): number[] => host.bridges.forwarding().filter((e) => MacAddress.of(e.mac).equals(GUEST)).map((e) => e.port);
    assert.deepEqual(where(), []);
    for (const tap of [a, b, a]) {
      host.bridges.learn(tap.index, GUEST);
      assert.deepEqual(where(), [tap.index]);
    }
    const facts = forwardingFacts(bench, host).filter((e) => e.mac === GUEST.toString());
    assert.deepEqual(facts.map((e) => [e.ifname, e.state]), [['gt-a', '']]);
    assert.deepEqual(
      host.bridges.forwarding().map((e) => MacAddress.of(e.mac).toString()).sort(),
      forwardingFacts(bench, host).filter((e) => e.master === 'br0').map((e) => e.mac).sort(),
    );
    host.bridges.setPortState(b.index, 'disabled');
    assert.throws(() => host.bridges.learn(b.index, GUEST), refused(1, /^$/));
  }));
});

describe('the host\'s abilities', () => {
  test('this kernel has what a move needs, and the trial leaves nothing', timeout, () => withBench((bench) => {
    const host = bench.host('h');
    const missing = probeFeatures(host).filter((f) => !f.present);
    assert.deepEqual(missing.filter((f) => f.name !== 'vhost-net'), []);
    assert.deepEqual(host.links.list().map((l) => l.name), ['lo']);
    assert.equal(new Set(probeFeatures(host).map((f) => f.name)).size, 8);
  }));

  test('the counters of a namespace are its own', timeout, () => withBench((bench) => {
    assert.deepEqual(readIpCounters(bench.native, bench.host('h').netns), { reassemblyFailures: 0, udpErrors: 0 });
  }));
});
