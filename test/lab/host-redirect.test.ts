/** What a redirect does to frames: which it takes, that it loses none, that every counter tells the same. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { readLedger } from '../../src/move/ledger.ts';
import type { Hook } from '../../src/host/traffic-control.ts';
import { HOLD_FRAMES, type VmTap } from '../../src/host/vm-tap.ts';
import type { ReceivedFrame } from '../../src/native/native.ts';
import { decodeEthernet, encodeEthernet } from '../../src/wire/ethernet.ts';
import { internetChecksum, pseudoHeaderSum } from '../../src/wire/internet-checksum.ts';
import { Ipv4Address } from '../../src/wire/ip-address.ts';
import { decodeIpv4, encodeIpv4 } from '../../src/wire/ipv4.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { VnetFlag, VnetGso, decodeVnetHeader, encodeVnetHeader } from '../../src/wire/vnet-header.ts';
import {
  type Bench, CLIENT, GUEST, IPV4_GROUP, NO_VNET_HEADER, type TwoHosts, frame, numbers, range, readAll, take, tunnelTo, twoHosts, until,
  vmTap, withBench,
} from './host-fixture.ts';
import type { SenderData } from './host-sender.ts';

const timeout = { timeout: 60_000 };
const [GROUP, UNICAST] = [1, 2];

interface Moving extends TwoHosts {
  readonly from: VmTap;
  readonly to: VmTap;
  redirectGroup(): void;
  redirectUnicast(): void;
  counted(): { tunnel: number; source: number; destination: number; drops: number };
}

/** A source tap that is open, a destination tap that is mute, the tunnel between them. */
function moving(bench: Bench, migrationMtu = 1500): Moving {
  const t = twoHosts(bench, migrationMtu);
  const [from, to] = [vmTap(bench, t.h1), vmTap(bench, t.h2, { mute: true })];
  const { near, far } = tunnelTo(t, to);
  const uplink = (host: typeof t.h1): number => host.links.get('mig').index;
  const path = (host: typeof t.h1, tap: VmTap, tunnel: typeof near, filters: { index: number; name: string; hook: Hook }) =>
    ({ host, tap: { name: tap.tap.name, index: tap.index }, tunnel, filters, uplink: uplink(host) });
  const paths = [
    path(t.h1, from, near, { index: from.index, name: 'gt-0', hook: 'egress' }),
    path(t.h2, to, far, { index: far.index, name: 'gx-0', hook: 'ingress' }),
  ];
  // Starts the neighbour entry, so that the first redirected frames do not wait for it.
  bench.ip(t.h1, 'neigh', 'add', '10.79.0.2', 'lladdr', MacAddress.of(t.h2.links.get('mig').address).toString(), 'dev', 'mig');
  const packets = (host: typeof t.h1, device: number, hook: Hook): number =>
    host.traffic.counters(device, hook).reduce((sum, f) => sum + f.packets, 0);
  return {
    ...t, from, to,
    redirectGroup: () => t.h1.traffic.redirect(from.index, { hook: 'egress', preference: GROUP, match: 'group', to: near.index }),
    redirectUnicast: () => t.h1.traffic.redirect(from.index, { hook: 'egress', preference: UNICAST, match: 'unicast', to: near.index }),
    counted: () => ({
      tunnel: t.h1.links.get(near.name).counters.txPackets, source: packets(t.h1, from.index, 'egress'),
      destination: packets(t.h2, far.index, 'ingress'), drops: [...readLedger(paths).values()].reduce((sum, e) => sum + e.dropped, 0),
    }),
  };
}

const same = (n: number): ReturnType<Moving['counted']> => ({ tunnel: n, source: n, destination: n, drops: 0 });
const SOURCE_IP = Ipv4Address.parse('10.77.0.100');
const GUEST_IP = Ipv4Address.parse('10.77.0.1');

/** A TCP segment over IPv4 as a sender with offloads hands it down: the pseudo-header's sum for a checksum, any length. */
function tcpFrame(payload: Uint8Array): Uint8Array {
  const tcp = new Uint8Array(20 + payload.length);
  const view = new DataView(tcp.buffer);
  view.setUint16(0, 4000);
  view.setUint16(2, 80);
  view.setUint32(4, 1000);
  view.setUint16(12, 0x5010); // 20 bytes of header, ACK
  view.setUint16(14, 0xffff);
  view.setUint16(16, 0xffff - internetChecksum(new Uint8Array(), pseudoHeaderSum(SOURCE_IP, GUEST_IP, 6, tcp.length)));
  tcp.set(payload, 20);
  const packet = encodeIpv4({
    dscp: 0, ecn: 0, identification: 1, dontFragment: true, moreFragments: false, fragmentOffset: 0, ttl: 64, protocol: 6,
    source: SOURCE_IP, destination: GUEST_IP, options: new Uint8Array(), payload: tcp,
  });
  return encodeEthernet({ destination: GUEST, source: CLIENT, etherType: 0x0800, payload: packet });
}

function offload(size: number, segment: number, long = false): Uint8Array {
  return encodeVnetHeader({
    flags: VnetFlag.needsChecksum, headerLength: 54,
    ...(size > segment ? { gsoType: VnetGso.tcpv4, gsoSize: segment } : { gsoType: VnetGso.none, gsoSize: 0 }),
    checksumStart: 34, checksumOffset: 16, numBuffers: long ? 0 : undefined,
  });
}

/** The payload of a TCP frame as a guest would take it: its checksum fits, or the vnet header says that it is still to be made. */
function tcpPayload({ frame, vnetHeader }: ReceivedFrame): Uint8Array {
  const { source, destination, payload } = decodeIpv4(decodeEthernet(frame).payload);
  const { flags, checksumStart, checksumOffset } = decodeVnetHeader(vnetHeader);
  if (flags & VnetFlag.needsChecksum) assert.deepEqual([checksumStart, checksumOffset], [34, 16]);
  else assert.equal(internetChecksum(payload, pseudoHeaderSum(source, destination, 6, payload.length)), 0, 'TCP checksum');
  return payload.subarray(20);
}

describe('mute tap', () => {
  test('nothing leaves, nothing enters, what the tunnel brings does; opening lets pass', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    const other = vmTap(bench, t.h2, { name: 'gt-other', mac: MacAddress.parse('52:54:00:00:00:0e') });
    const broadcast = (number: number): Uint8Array => frame(MacAddress.broadcast, number, { source: GUEST });
    t.to.tap.write(broadcast(1));
    other.tap.write(broadcast(2)); // whatever the mute tap let out would be ahead of it
    assert.deepEqual(numbers(await take(t.e2, 1)), [2]);
    for (const [i, to] of [MacAddress.broadcast, IPV4_GROUP, GUEST].entries()) t.e2.send(frame(to, 10 + i), NO_VNET_HEADER);
    assert.deepEqual(numbers(await take(other.tap, 3)), [10, 11, 12]);
    assert.deepEqual(readAll(t.to.tap), []);

    t.redirectUnicast();
    for (const i of range(10)) t.e1.send(frame(GUEST, i), NO_VNET_HEADER);
    assert.deepEqual(numbers(await take(t.to.tap, 10)), range(10));
    assert.deepEqual(t.counted(), same(10));

    t.h2.bridges.setPortState(t.to.index, 'forwarding');
    t.to.tap.write(broadcast(3));
    assert.deepEqual(numbers(await take(t.e2, 1)), [3]);
    t.e2.send(frame(GUEST, 20), NO_VNET_HEADER);
    assert.deepEqual(numbers(await take(t.to.tap, 1)), [20]);
  }));

  test('after learn a frame for the guest goes to its tap, though it was heard elsewhere', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    const other = vmTap(bench, t.h2, { name: 'gt-other', mac: MacAddress.parse('52:54:00:00:00:0e') });
    t.e2.send(frame(MacAddress.broadcast, 1, { source: GUEST }), NO_VNET_HEADER); // the bridge hears the guest outside
    await take(other.tap, 1);
    t.h2.bridges.setPortState(t.to.index, 'forwarding');
    other.tap.write(frame(GUEST, 2));
    assert.deepEqual(numbers(await take(t.e2, 1)), [2]);
    t.h2.bridges.learn(t.to.index, GUEST);
    other.tap.write(frame(GUEST, 3));
    assert.deepEqual(numbers(await take(t.to.tap, 1)), [3]);
    assert.deepEqual(readAll(t.e2), []);
  }));
});

describe('redirect', () => {
  const groups = [MacAddress.broadcast, IPV4_GROUP, MacAddress.parse('33:33:00:00:00:01'), MacAddress.parse('03:00:00:00:00:07')];
  // The group bit is the lowest of the first byte, and no other bit or byte matters.
  const unicasts = [GUEST, MacAddress.parse('00:01:01:01:01:01'), MacAddress.parse('fe:ff:ff:ff:ff:fe')];

  for (const tagged of [false, true]) {
    test(`tells unicast from group${tagged ? ', with a VLAN tag' : ''}`, timeout, () => withBench(async (bench) => {
      const t = moving(bench);
      const send = (to: MacAddress, number: number): void => {
        const plain = frame(to, number);
        const tag = Uint8Array.of(0x81, 0x00, 0x00, 0x05);
        t.e1.send(tagged ? Uint8Array.of(...plain.subarray(0, 12), ...tag, ...plain.subarray(12)) : plain, NO_VNET_HEADER);
      };
      const seen = (frames: readonly ReceivedFrame[]): string[] => frames.map(({ frame }) => MacAddress.of(frame.slice(0, 6)).toString());
      const texts = (macs: readonly MacAddress[]): string[] => macs.map(String);
      const sendAll = (): void => [...groups, ...unicasts].forEach(send);

      t.redirectGroup();
      sendAll();
      assert.deepEqual(seen(await take(t.from.tap, unicasts.length)), texts(unicasts));
      assert.deepEqual(seen(await take(t.to.tap, groups.length)), texts(groups));
      t.redirectUnicast();
      sendAll();
      assert.deepEqual(seen(await take(t.to.tap, groups.length + unicasts.length)), texts([...groups, ...unicasts]));
      t.h1.traffic.remove(t.from.index, 'egress', GROUP);
      sendAll();
      assert.deepEqual(seen(await take(t.to.tap, unicasts.length)), texts(unicasts));
      assert.deepEqual(seen(await take(t.from.tap, groups.length)), texts(groups));
      assert.deepEqual([readAll(t.from.tap), readAll(t.to.tap), t.counted().drops], [[], [], 0]);
    }));
  }

  test('is in force when it returns, and gone when its removal returns', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    for (let i = 0; i < 50; i++) {
      t.redirectUnicast();
      t.e1.send(frame(GUEST, 2 * i), NO_VNET_HEADER);
      await until('the redirected frame', () => t.to.tap.readable());
      t.h1.traffic.remove(t.from.index, 'egress', UNICAST);
      t.e1.send(frame(GUEST, 2 * i + 1), NO_VNET_HEADER);
      await until('the direct frame', () => t.from.tap.readable());
      assert.deepEqual([numbers(readAll(t.to.tap)), numbers(readAll(t.from.tap))], [[2 * i], [2 * i + 1]]);
    }
  }));

  test('full-size frames over a network as narrow arrive in order, and all counters agree', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    t.redirectUnicast();
    const count = 2000;
    const got: ReceivedFrame[] = [];
    for (let i = 0; i < count; i += 50) {
      for (const n of range(50, i)) t.e1.send(frame(GUEST, n, { size: 1514 }), NO_VNET_HEADER);
      got.push(...(await take(t.to.tap, 50)));
    }
    assert.deepEqual(numbers(got), range(count));
    assert.ok(got.every(({ frame }) => frame.length === 1514));
    assert.deepEqual(t.counted(), same(count));
    assert.deepEqual(readAll(t.from.tap), []);
    // The control: the outer packets were fragments.
    assert.equal(t.h2.links.get('mig').counters.rxPackets, 2 * count);
  }));

  // From the network; and from another guest of the host, where the kernel does not know the number of segments.
  const sizes = [[65_000, 1448], [3000, 1448], [800, 400], [700, 536], [20_000, 350]] as const;
  for (const [origin, cases] of [['the network', [...sizes, [150, 50]]], ['a neighbouring guest', sizes]] as const) {
    for (const [size = 0, segment = 0] of cases) {
      test(`GSO: ${size} bytes from ${origin} are counted as segments of ${segment}`, timeout, () => withBench(async (bench) => {
        const t = moving(bench);
        const neighbour = vmTap(bench, t.h1, { name: 'gt-other', mac: CLIENT });
        t.redirectUnicast();
        const payload = Uint8Array.from(range(size), (n) => n % 251);
        const segments = Math.ceil(size / segment);
        if (origin === 'the network') t.e1.send(tcpFrame(payload), offload(size, segment));
        else neighbour.tap.write(tcpFrame(payload), offload(size, segment, neighbour.tap.vnetHeaderSize() === 12));
        const got = await take(t.to.tap, segments);
        assert.deepEqual(Buffer.concat(got.map(tcpPayload)), Buffer.from(payload));
        assert.equal(got.length, segments);
        const { tunnel, destination, drops } = t.counted();
        assert.deepEqual([tunnel, destination, drops], [segments, segments, 0]);
      }));
    }
  }

  test('a checksum left to the device is right, or still marked as left', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    t.redirectUnicast();
    const payloads = [1, 99, 1460].map((size) => Uint8Array.from(range(size), (n) => n % 251));
    for (const payload of payloads) t.e1.send(tcpFrame(payload), offload(payload.length, 9999));
    assert.deepEqual((await take(t.to.tap, 3)).map(tcpPayload), payloads);
    assert.deepEqual(t.counted(), same(3));
  }));

  test('filters come and go under 2000 frames a second: none lost, none twice, order kept', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    const count = 4000;
    const data: SenderData = {
      namespace: bench.namespaceName('client'), ifindex: t.client.links.get('e1').index, count, perSecond: 2000,
      destination: GUEST.toString(),
    };
    const sender = new Worker(new URL('host-sender.ts', import.meta.url), { workerData: data });
    // It has no message for us: it is done when it has ended.
    const ended = once(sender, 'exit');
    let changes = 0;
    while (sender.threadId > 0) {
      t.redirectUnicast();
      t.redirectGroup();
      await pause(3);
      t.h1.traffic.remove(t.from.index, 'egress', GROUP);
      t.h1.traffic.remove(t.from.index, 'egress', UNICAST);
      await pause(3);
      changes++;
    }
    assert.deepEqual(await ended, [0]);
    const [direct, moved]: [ReceivedFrame[], ReceivedFrame[]] = [[], []];
    await until('all frames', () => {
      direct.push(...readAll(t.from.tap));
      moved.push(...readAll(t.to.tap));
      return direct.length + moved.length >= count;
    });
    const [here, there] = [numbers(direct), numbers(moved)];
    // Each way keeps its order, and together they have everything once.
    for (const way of [here, there]) assert.deepEqual(way, way.toSorted((a = 0, b = 0) => a - b));
    assert.deepEqual([...here, ...there].sort((a = 0, b = 0) => a - b), range(count));
    const mixed = changes > 50 && here.length > 100 && there.length > 100;
    assert.ok(mixed, `${changes} changes, ${here.length} direct, ${there.length} redirected`);
    assert.equal(t.counted().drops, 0);
  }));
});

describe('held frames', () => {
  test('an unread tap keeps HOLD_FRAMES in order; the ledger counts those dropped after', timeout, () => withBench(async (bench) => {
    const t = moving(bench);
    t.redirectUnicast();
    for (let i = 0; i < HOLD_FRAMES; i += 50) {
      for (const n of range(50, i)) t.e1.send(frame(GUEST, n), NO_VNET_HEADER);
      await until('the frames sent', () => t.counted().destination >= i + 50);
    }
    assert.deepEqual(t.counted(), same(HOLD_FRAMES));
    for (const n of range(3, HOLD_FRAMES)) t.e1.send(frame(GUEST, n), NO_VNET_HEADER);
    await until('three drops', () => t.counted().drops >= 3);
    assert.equal(t.counted().drops, 3);
    assert.deepEqual(numbers(readAll(t.to.tap)), range(HOLD_FRAMES));
  }));
});
