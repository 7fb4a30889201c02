/** The lab's own link emulator: what it is told to do to frames, it does, to no others, and says so truly. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import type { Host } from '../../src/host/host.ts';
import { openEmulatedLink, quietWire } from '../../src/lab/emulated-link.ts';
import { type Faults, type LinkEmulator, delayQuantile } from '../../src/lab/link-emulator.ts';
import { quantile } from '../../src/lab/statistics.ts';
import type { PacketSocket, ReceivedFrame } from '../../src/native/native.ts';
import { EtherType, encodeEthernet } from '../../src/wire/ethernet.ts';
import { CLIENT, GUEST, frame, numberOf, range, until, withBench } from './host-fixture.ts';

const OUTGOING = 4;

interface Wire {
  readonly hosts: readonly [Host, Host];
  readonly emulator: LinkEmulator;
  /** Each host's end: what comes in, with the kernel's stamps. */
  readonly near: PacketSocket;
  readonly far: PacketSocket;
  /** What goes out at `near`: a socket does not see what it sends itself. */
  readonly departures: PacketSocket;
}

async function withWire(test: (wire: Wire) => Promise<void>): Promise<void> {
  await withBench(async (bench) => {
    const [h1, h2, wire] = [bench.host('h1'), bench.host('h2'), bench.host('wire')];
    // What they would say by themselves would be counted, and drawn for.
    for (const host of [h1, h2]) quietWire(host);
    const emulator = bench.owned(await openEmulatedLink(wire, {
      left: { host: h1, name: 'eth', addresses: ['10.95.0.1/24'] }, right: { host: h2, name: 'eth', addresses: ['10.95.0.2/24'] },
    }));
    const socket = (host: typeof h1): PacketSocket =>
      bench.owned(bench.native.packetSocket(host.netns, { ifindex: host.links.get('eth').index, protocol: 3, receiveBuffer: 8 << 20 }));
    await test({ hosts: [h1, h2], emulator, near: socket(h1), far: socket(h2), departures: socket(h1) });
    const { left, right } = await emulator.truth();
    for (const side of [left, right]) assert.deepEqual([side.overflow, side.sendErrors, side.socketDrops], [0, 0, 0], 'nothing was lost but by its faults');
    await emulator.stop();
  });
}

/** Those that came with a number. */
function numbered(socket: PacketSocket, outgoing: boolean): ReceivedFrame[] {
  const found: ReceivedFrame[] = [];
  for (let next = socket.receive(); next; next = socket.receive()) {
    if (numberOf(next.frame) !== undefined && (next.packetType === OUTGOING) === outgoing) found.push(next);
  }
  return found;
}

interface Sent {
  /** Numbers of those that arrived, in that order. */
  readonly arrived: number[];
  /** How long each took, ms, by its number. */
  readonly transit: ReadonlyMap<number, number>;
}

/** `count` frames, `every` ms apart. */
async function send({ emulator, near, far, departures }: Wire, count: number, { every = 0, size = 100 } = {}): Promise<Sent> {
  await emulator.forget();
  numbered(departures, true);
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    await until('its turn', () => performance.now() >= start + i * every, { every: 0 });
    near.send(frame(GUEST, i, { size }));
  }
  const arrived: ReceivedFrame[] = [];
  await until('all to be out again', async () => {
    arrived.push(...numbered(far, false));
    const { left } = await emulator.truth();
    return left.received >= count && left.received === left.forwarded + left.lost + left.tooLong + left.queueFull;
  });
  arrived.push(...numbered(far, false));
  const sent = new Map(numbered(departures, true).map(({ frame: bytes, timestamp }) => [numberOf(bytes), timestamp]));
  const transit = new Map(arrived.map(({ frame: bytes, timestamp }) => [numberOf(bytes) ?? NaN, timestamp - (sent.get(numberOf(bytes)) ?? NaN)]));
  return { arrived: arrived.map(({ frame: bytes }) => numberOf(bytes) ?? NaN), transit };
}

/** A program of its own: Node makes the sockets of its own later than inNetns lasts. */
function inside({ native, netns }: Host, script: string): ChildProcessByStdio<null, Readable, null> {
  return native.inNetns(netns, () => ({ child: spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] }) })).child;
}

describe('the link emulator', () => {
  it('is a wire: frames come out as they went in, both ways, and real traffic passes', () => withWire(async ({ hosts: [h1Host, h2Host], emulator, near, far }) => {
    const bytes = frame(GUEST, 1, { size: 1514 });
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.send(bytes);
      let found: ReceivedFrame[] = [];
      await until('the frame', () => (found = numbered(to, false)).length > 0);
      assert.deepEqual(found.map((one) => Buffer.from(one.frame)), [Buffer.from(bytes)], 'one frame, the same');
    }
    // By TCP of the kernel: checksums that are left to the card, and segments larger than a frame.
    const server = inside(h2Host, `require('net').createServer((c) => c.end(Buffer.alloc(1 << 20))).listen(7000, '10.95.0.2', () => console.log('ready'))`);
    try {
      await once(server.stdout, 'data');
      const client = inside(h1Host, `let n = 0; require('net').connect(7000, '10.95.0.2').on('data', (d) => (n += d.length)).on('end', () => console.log(n))`);
      const [text] = await once(client.stdout, 'data');
      assert.equal(Number(text), 1 << 20);
      await once(client, 'close');
    } finally {
      server.kill('SIGKILL');
      await once(server, 'close');
    }
    const { right } = await emulator.truth();
    assert.ok(right.forwarded >= 700, 'each segment a frame of its own');
  }));

  it('delays by so much, never less, and tells the truth of it; the order stays', () => withWire(async (wire) => {
    const cases: readonly { readonly faults: Faults; readonly least: number }[] = [
      { faults: { delay: 3 }, least: 3 }, { faults: { delay: 4, jitter: 2, seed: 5 }, least: 2 },
      { faults: { delay: 4, jitter: 1, distribution: 'normal', seed: 5 }, least: 0 },
      { faults: { delay: 2, jitter: 1, distribution: 'exponential' }, least: 2 },
    ];
    for (const { faults, least } of cases) {
      await wire.emulator.set('left', faults);
      const { arrived, transit } = await send(wire, 150, { every: 2 });
      const told = JSON.stringify(faults);
      assert.deepEqual(arrived, range(150), `${told}: all, in order`);
      const times = [...transit.values()];
      assert.ok(Math.min(...times) >= least - 0.001, `${told}: none took less than ${least}: ${Math.min(...times)}`);
      const { left } = await wire.emulator.truth();
      for (const share of [0.1, 0.5, 0.9]) {
        const [measured, truth] = [quantile(times, share), delayQuantile(left, share)];
        assert.ok(Math.abs(measured - truth) < 0.1, `${told}: quantile ${share}: by the kernel's stamps ${measured} ms, by the emulator ${truth}`);
      }
    }
  }));

  it('draws from the distribution it is told', () => withWire(async (wire) => {
    // Its quartiles at a rate at which none has to wait for the one before.
    const quartiles = async (faults: Faults): Promise<number[]> => {
      await wire.emulator.set('left', { ...faults, seed: 11 });
      await send(wire, 400, { every: 2.5 });
      const { left } = await wire.emulator.truth();
      return [0.25, 0.5, 0.75].map((share) => delayQuantile(left, share));
    };
    const near = (found: readonly number[], wanted: readonly number[]): void =>
      assert.ok(found.every((value, i) => Math.abs(value - (wanted[i] ?? NaN)) < 0.3), `wanted ${wanted.join(', ')}, found ${found.join(', ')}`);
    near(await quartiles({ delay: 3, jitter: 1 }), [2.5, 3, 3.5]);
    near(await quartiles({ delay: 3, jitter: 0.5, distribution: 'normal' }), [2.66, 3, 3.34]);
    near(await quartiles({ delay: 1, jitter: 0.6, distribution: 'exponential' }), [1.17, 1.42, 1.83]);
  }));

  it('loses each nth, or at random by its seed, one way only, and counts them', () => withWire(async (wire) => {
    await wire.emulator.set('left', { every: 4 });
    assert.deepEqual((await send(wire, 40)).arrived, range(40).filter((n) => n % 4 !== 3));
    const random = async (seed: number): Promise<number[]> => {
      await wire.emulator.set('left', { loss: 0.2, seed });
      const { arrived } = await send(wire, 500);
      assert.equal((await wire.emulator.truth()).left.lost, 500 - arrived.length, 'what is missing was counted');
      return arrived;
    };
    const first = await random(7);
    assert.ok(first.length > 350 && first.length < 450, `about four of five: ${first.length}`);
    assert.deepEqual(await random(7), first, 'the same seed loses the same');
    assert.notDeepEqual(await random(8), first, 'another loses others');
    wire.far.send(frame(CLIENT, 1, { source: GUEST }));
    await until('a frame the other way', () => numbered(wire.near, false).length === 1);
  }));

  it('delays a share by more, which are overtaken, and no others', () => withWire(async (wire) => {
    await wire.emulator.set('left', { delay: 1, reorder: 0.1, reorderBy: 5, seed: 3 });
    const { arrived, transit } = await send(wire, 200, { every: 1 });
    const { left } = await wire.emulator.truth();
    const slow = range(200).filter((n) => (transit.get(n) ?? 0) >= 6 - 0.001);
    const others = arrived.filter((n) => !slow.includes(n));
    assert.equal(arrived.length, 200);
    assert.equal(slow.length, left.reordered);
    assert.ok(slow.length > 5 && slow.length < 40, `about one of ten: ${slow.length}`);
    assert.deepEqual(others, others.toSorted((a, b) => a - b), 'those that were not picked keep their order');
    assert.ok(slow.some((n) => arrived.indexOf(n) > arrived.indexOf(n + 1)), 'one that was is overtaken');
  }));

  it('has a rate, a queue that fills, and drops the rest', () => withWire(async (wire) => {
    await wire.emulator.set('left', { rate: 100_000, queue: 10_000 });
    const { arrived, transit } = await send(wire, 30, { size: 1000 });
    assert.deepEqual(arrived, range(10), 'ten of 1000 bytes fit in a queue of 10000');
    for (const n of arrived) assert.ok((transit.get(n) ?? 0) >= 10 * (n + 1) - 10, `frame ${n} has waited for those before it: ${transit.get(n)}`);
    assert.equal((await wire.emulator.truth()).left.queueFull, 20);
  }));

  it('leaves longer packets out of the delays where it is told to, and nowhere else', () => withWire(async (wire) => {
    const sized = (length: number): Uint8Array => {
      const packet = new Uint8Array(length);
      packet.set([0x45, 0, length >> 8, length & 0xff]);
      return encodeEthernet({ destination: GUEST, source: CLIENT, etherType: EtherType.ipv4, payload: packet });
    };
    await wire.emulator.set('left', { countedTo: 200 });
    for (const length of [100, 200, 201, 1500]) wire.near.send(sized(length));
    await until('all four', async () => (await wire.emulator.truth()).left.forwarded === 4);
    const { left } = await wire.emulator.truth();
    assert.equal(left.delays.reduce((n, [, count]) => n + count, 0), 2);
  }));

  it('swallows IP packets over its MTU, whatever carries them', () => withWire(async (wire) => {
    await wire.emulator.set('left', { mtu: 1400 });
    const ipv4 = (length: number): Uint8Array => {
      const packet = new Uint8Array(length);
      packet.set([0x45, 0, length >> 8, length & 0xff, 0, 0, 0x40, 0, 9, 253]);
      return packet;
    };
    const ipv6 = (length: number): Uint8Array => {
      const packet = new Uint8Array(length);
      packet.set([0x60, 0, 0, 0, (length - 40) >> 8, (length - 40) & 0xff, 59, 9]);
      return packet;
    };
    const lengths: number[] = [];
    await wire.emulator.forget();
    for (const length of [1400, 1401, 1500]) {
      wire.near.send(encodeEthernet({ destination: GUEST, source: CLIENT, etherType: EtherType.ipv4, payload: ipv4(length) }));
      wire.near.send(encodeEthernet({ destination: GUEST, source: CLIENT, etherType: EtherType.ipv6, payload: ipv6(length) }));
    }
    wire.near.send(frame(GUEST, 99));
    await until('the last frame', () => {
      for (let next = wire.far.receive(); next; next = wire.far.receive()) {
        if (numberOf(next.frame) === 99) return true;
        if (Buffer.from(next.frame.subarray(6, 12)).equals(Buffer.from(CLIENT.bytes()))) lengths.push(next.frame.length - 14);
        assert.ok(next.frame[22] !== 8, 'the TTL is as it was');
      }
      return false;
    });
    assert.deepEqual(lengths, [1400, 1400]);
    assert.equal((await wire.emulator.truth()).left.tooLong, 4);
  }));

  it('refuses what it does not know, and goes on as before', () => withWire(async ({ emulator }) => {
    await assert.rejects(emulator.set('left', { loss: 2 }), { code: 'LAB_EMULATOR', message: /out of its range/ });
    await assert.rejects(emulator.set('middle' as never, {}), { code: 'LAB_EMULATOR', message: /left or right/ }); // wrong on purpose
    await emulator.set('right', {});
  }));
});
