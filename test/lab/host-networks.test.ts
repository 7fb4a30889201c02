/** The networks that Godwit makes, one host's part at a time: what the kernel does with a routed bridge, and with a VXLAN's entries. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { muteProbesForDuplicates } from '../../src/host/duplicate-probes.ts';
import type { Host } from '../../src/host/host.ts';
import { METRIC, ensureRoutedNetwork, forwardPackets, routeHere, routeLeaving, routeNowhere } from '../../src/host/routed-network.ts';
import { readSysctl, writeSysctl } from '../../src/host/sysctl.ts';
import { type VxlanNetwork, ensureVxlanNetwork } from '../../src/host/vxlan-network.ts';
import type { VmTap } from '../../src/host/vm-tap.ts';
import { arpProbeFrame, gratuitousArpRequestFrame, nsProbeFrame } from '../../src/wire/announce.ts';
import { decodeArp } from '../../src/wire/arp.ts';
import { EtherType, decodeEthernet } from '../../src/wire/ethernet.ts';
import { decodeNeighborDiscovery } from '../../src/wire/icmpv6-nd.ts';
import { type IpAddress, Ipv4Address, Ipv6Address, parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { type Bench, frame, numbers, readAll, take, until, withBench } from './host-fixture.ts';

const GATEWAY = MacAddress.parse('02:67:00:00:00:01');
const guestOf = (n: number) => ({ mac: MacAddress.parse(`52:54:00:00:00:0${n}`), v4: Ipv4Address.parse(`10.1.0.1${n}`), v6: Ipv6Address.parse(`fd01::1${n}`) });
const [a, b] = [guestOf(1), guestOf(2)];
const guests = [a, b];
const elsewhere = { v4: Ipv4Address.parse('10.1.0.99'), v6: Ipv6Address.parse('fd01::99') };
/** Elsewhere too, and asked for last. */
const last = { v4: Ipv4Address.parse('10.1.0.98'), v6: Ipv6Address.parse('fd01::98') };
const gateways = [parseIpAddress('10.1.0.1'), parseIpAddress('fd01::1')];

function routed(bench: Bench): { host: Host; taps: readonly VmTap[]; bridge: number } {
  const host = bench.host('h1');
  forwardPackets(host);
  const network = { name: 'web', bridge: 'br0', mtu: 1500, mac: GATEWAY, gateways, answerFor: [...guests.map(({ v6 }) => v6), elsewhere.v6, last.v6] };
  const { index: bridge } = ensureRoutedNetwork(host, network);
  const { index: again } = ensureRoutedNetwork(host, network);
  assert.equal(again, bridge, 'made once');
  const taps = guests.map(({ mac }, i) => {
    const tap = host.createVmTap({ name: `gt-${i}`, bridge: 'br0', mac, mtu: 1500, mute: false, isolated: true });
    bench.owned(tap.tap);
    return tap;
  });
  for (const { mac, v4, v6 } of guests) for (const address of [v4, v6]) routeHere(host, { address, mac, bridge });
  // Where the rest of the subnet is: by another device.
  bench.ip(host, 'link', 'add', 'upl', 'type', 'veth', 'peer', 'name', 'far');
  bench.ip(host, 'link', 'set', 'far', 'up');
  bench.ip(host, 'link', 'set', 'upl', 'up');
  bench.ip(host, 'route', 'add', 'default', 'dev', 'upl');
  return { host, taps, bridge };
}

/** Whose address a frame says it is, and at which MAC; undefined for what is no such answer. */
function answerIn(frame: Uint8Array): { readonly of: IpAddress; readonly mac: string } | undefined {
  const { etherType, payload } = decodeEthernet(frame);
  if (etherType === EtherType.arp) {
    const arp = decodeArp(payload);
    return arp.operation === 'reply' ? { of: arp.senderIp, mac: arp.senderMac.toString() } : undefined;
  }
  if (etherType !== EtherType.ipv6) return undefined;
  try {
    const message = decodeNeighborDiscovery(payload);
    return message.kind === 'advertisement' ? { of: message.target, mac: String(message.targetMac) } : undefined;
  } catch {
    return undefined; // MLD, and the like
  }
}

/** The MACs that answer guest `a` when it asks for an address: those that do before its router answers what is asked after it. */
async function answers({ tap }: VmTap, question: Uint8Array, target: IpAddress): Promise<string[]> {
  readAll(tap);
  tap.write(question);
  tap.write(target.family === 4 ? arpProbeFrame(a.mac, last.v4, a.v4) : nsProbeFrame(a.mac, last.v6, a.v6));
  const found: string[] = [];
  let done = false;
  await until('the router answers the last question', () => {
    for (const { frame } of readAll(tap)) {
      const answer = answerIn(frame);
      if (answer?.of.equals(target)) found.push(answer.mac);
      done ||= answer !== undefined && (answer.of.equals(last.v4) || answer.of.equals(last.v6));
    }
    return done;
  });
  return found;
}

describe('a routed network', () => {
  it('is one router for all of its addresses, on this host and elsewhere', () => withBench(async (bench) => {
    const { taps: [tap] } = routed(bench);
    assert.ok(tap);
    for (const target of [gateways[0], b.v4, elsewhere.v4]) {
      assert.ok(target?.family === 4);
      assert.deepEqual(await answers(tap, arpProbeFrame(a.mac, target, a.v4), target), [GATEWAY.toString()], `${target}`);
    }
    for (const target of [gateways[1], b.v6, elsewhere.v6]) {
      assert.ok(target?.family === 6);
      assert.deepEqual(await answers(tap, nsProbeFrame(a.mac, target, a.v6), target), [GATEWAY.toString()], `${target}`);
    }
  }));

  it('keeps its guests apart but for IP, and takes nobody\'s own address from him', () => withBench(async (bench) => {
    const { host, taps: [tap, other], bridge } = routed(bench);
    assert.ok(tap && other);
    readAll(other.tap);
    tap.tap.write(frame(b.mac, 7, { source: a.mac }));
    tap.tap.write(gratuitousArpRequestFrame(a.mac, a.v4));
    assert.deepEqual(await answers(tap, arpProbeFrame(a.mac, a.v4), a.v4), []);
    assert.deepEqual(await answers(tap, nsProbeFrame(a.mac, a.v6), a.v6), [GATEWAY.toString()], 'without the rule it is taken');
    await muteProbesForDuplicates(host, [bridge]);
    assert.deepEqual(await answers(tap, nsProbeFrame(a.mac, a.v6), a.v6), []);
    assert.deepEqual(await answers(tap, nsProbeFrame(a.mac, b.v6, a.v6), b.v6), [GATEWAY.toString()], 'only those are dropped');
    assert.deepEqual(numbers(readAll(other.tap)).filter((n) => n === 7), []);
    await muteProbesForDuplicates(host, []);
  }));

  it('has an address here, on its way elsewhere, or not at all; and its neighbours need not be asked for', () => withBench((bench) => {
    const { host, bridge } = routed(bench);
    const routes = (): string[] => host.routes.list().filter(({ to }) => to.equals(a.v4) || to.equals(a.v6)).map(({ metric, device, protocol }) => `${metric} ${device === bridge} ${protocol}`);
    const both = (metric: number): string[] => [`${metric} true 201`, `${metric} true 201`];
    const each = (change: typeof routeHere): void => [a.v4, a.v6].forEach((address) => change(host, { address, mac: a.mac, bridge }));
    assert.deepEqual(routes(), both(METRIC.here));
    assert.deepEqual(host.neighbours.list(bridge).filter(({ state }) => state === 'permanent').length, 4);
    for (const twice of [1, 2]) {
      each(routeLeaving);
      assert.deepEqual(routes(), both(METRIC.leaving), `${twice}`);
    }
    each(routeHere);
    assert.deepEqual(routes(), both(METRIC.here));
    for (const twice of [1, 2]) {
      each(routeNowhere);
      assert.deepEqual(routes(), [], `${twice}`);
    }
    assert.deepEqual(host.neighbours.list(bridge).filter(({ state }) => state === 'permanent').length, 2);
  }));

  it('lets a host that forwards go on to hear of its own router', () => withBench((bench) => {
    const host = bench.host('h1');
    bench.ip(host, 'link', 'add', 'upl', 'type', 'veth', 'peer', 'name', 'far');
    bench.ip(host, 'link', 'add', 'off', 'type', 'veth', 'peer', 'name', 'far2');
    writeSysctl(host, 'ipv6/conf/upl/accept_ra', 1);
    writeSysctl(host, 'ipv6/conf/off/accept_ra', 0);
    assert.ok(forwardPackets(host).includes('net/ipv6/conf/upl/accept_ra = 2'));
    assert.deepEqual(['upl', 'off'].map((name) => readSysctl(host, `ipv6/conf/${name}/accept_ra`)), ['2', '0']);
    assert.deepEqual(['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].map((setting) => readSysctl(host, setting)), ['1', '1']);
    assert.deepEqual(forwardPackets(host), []);
  }));
});

describe('a VXLAN network', () => {
  /** h1, h2, h3 on one underlay, each with the network's bridge; who floods to whom is the caller's. */
  function three(bench: Bench): { hosts: readonly Host[]; made: readonly ReturnType<typeof ensureVxlanNetwork>[] } {
    const sw = bench.host('sw');
    const { index: between } = sw.links.create('br', 'bridge', [], {});
    sw.links.set(between, { up: true });
    const hosts = [1, 2, 3].map((n) => {
      const host = bench.host(`h${n}`);
      sw.links.createVeth({ name: `to${n}`, netns: sw.netns, mtu: 9000 }, { name: 'm', netns: host.netns, mtu: 9000 });
      sw.links.set(sw.links.get(`to${n}`).index, { up: true, master: between });
      host.links.set(host.links.get('m').index, { up: true });
      host.addresses.add(host.links.get('m').index, address(n), 24);
      return host;
    });
    const network = (n: number): VxlanNetwork => ({ name: 'web', bridge: 'br0', mtu: 1500, vni: 5, port: 4789, local: address(n) });
    return { hosts, made: hosts.map((host, i) => ensureVxlanNetwork(host, network(i + 1))) };
  }
  const address = (n: number): IpAddress => parseIpAddress(`10.79.0.${n}`);

  function guest(bench: Bench, host: Host, mac: MacAddress): VmTap {
    const tap = host.createVmTap({ name: 'gt-0', bridge: 'br0', mac, mtu: 1500, mute: false });
    bench.owned(tap.tap);
    return tap;
  }

  it('follows a guest by what it hears, from whatever the server said before; a permanent entry would make the moved one mute', () => withBench(async (bench) => {
    const { hosts: [, h2, h3], made: [, second, third] } = three(bench);
    assert.ok(h2 && h3 && second && third);
    const [moved, peer] = [guest(bench, h2, a.mac), guest(bench, h3, b.mac)];
    h2.vxlan.flood(second.device.index, address(3));
    h3.vxlan.set(third.device.index, { mac: a.mac, remote: address(1) });
    await until('the ports forward', () => {
      moved.tap.write(frame(MacAddress.broadcast, 1, { source: a.mac }));
      return numbers(readAll(peer.tap)).includes(1);
    });
    const known = (): string[] => h3.vxlan.list(third.device.index).filter(({ mac }) => mac.equals(a.mac)).map(({ remote }) => remote.toString());
    assert.deepEqual(known(), ['10.79.0.2']);
    peer.tap.write(frame(a.mac, 2, { source: b.mac }));
    assert.deepEqual(numbers(await take(moved.tap, 1)), [2]);

    execFileSync('bridge', ['-n', bench.namespaceName('h3'), 'fdb', 'replace', a.mac.toString(), 'dev', 'gv-5', 'dst', '10.79.0.1', 'self', 'permanent']);
    moved.tap.write(frame(MacAddress.broadcast, 3, { source: a.mac }));
    // Past the same devices, from a MAC that nobody knows: what came before it has come or never will.
    moved.tap.write(frame(MacAddress.broadcast, 4, { source: MacAddress.parse('52:54:00:00:00:0f') }));
    assert.deepEqual(numbers(await take(peer.tap, 1)), [4]);
  }));

  it('holds a guest at its tap although it is heard elsewhere, so that what still comes is handed on', () => withBench(async (bench) => {
    const { hosts: [h1, h2, h3], made: [first, second, third] } = three(bench);
    assert.ok(h1 && h2 && h3 && first && second && third);
    const [old, moved, peer] = [guest(bench, h1, a.mac), guest(bench, h2, a.mac), guest(bench, h3, b.mac)];
    h1.bridges.learn(old.index, a.mac);
    h2.vxlan.flood(second.device.index, address(1));
    const hears = (n: number): Promise<void> => until('h1 hears the guest at h2', () => {
      moved.tap.write(frame(MacAddress.broadcast, n, { source: a.mac }));
      return numbers(readAll(old.tap)).includes(n);
    });
    h1.bridges.hold(old.index, a.mac);
    await hears(1);
    // h3 has not heard of it.
    h3.vxlan.set(third.device.index, { mac: a.mac, remote: address(1) });
    peer.tap.write(frame(a.mac, 2, { source: b.mac }));
    assert.deepEqual(numbers(await take(old.tap, 1)), [2]);

    h1.bridges.learn(old.index, a.mac);
    await hears(3);
    assert.equal(h1.bridges.forwarding().find(({ mac }) => a.mac.equals(MacAddress.of(mac)))?.port, first.device.index, 'and without, it is believed elsewhere');
  }));
});
