/** Contract of `Native`: UDP sockets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { NativeMisuseError } from '../../src/native/native.ts';
import type { Netns } from '../../src/native/native.ts';
import { MOST_AT_ONCE } from '../../src/native/udp.ts';
import type { ReceivedDatagram, UdpDestination, UdpSocket, UdpSocketOptions } from '../../src/native/udp.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { system } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

const address = (text: string): Uint8Array => parseIpAddress(text).bytes();

interface Family {
  readonly family: 4 | 6;
  readonly west: Uint8Array;
  readonly east: Uint8Array;
  /** Another one of west's, and of east's. */
  readonly west2: Uint8Array;
  readonly east2: Uint8Array;
  readonly stranger: Uint8Array;
  /** The most that fits into 1500 bytes. */
  readonly full: number;
  readonly unreachable: { readonly type: number; readonly code: number };
}

const families: readonly Family[] = [
  {
    family: 4, west: address('192.0.2.1'), east: address('192.0.2.2'), west2: address('192.0.2.11'), east2: address('192.0.2.12'),
    stranger: address('198.51.100.1'), full: 1472, unreachable: { type: 3, code: 3 },
  },
  {
    family: 6, west: address('2001:db8::1'), east: address('2001:db8::2'), west2: address('2001:db8::11'), east2: address('2001:db8::12'),
    stranger: address('2001:db8:f::1'), full: 1452, unreachable: { type: 1, code: 4 },
  },
];
const LOCAL = { west: address('fe80::1'), east: address('fe80::2') };

const bytes = (number: number, length = 40): Uint8Array => new Uint8Array(length).fill(number);
const marked = ({ data }: ReceivedDatagram): number | undefined => data[0];

function drain(socket: UdpSocket): ReceivedDatagram[] {
  const received = [];
  for (let next = socket.receive(); next !== undefined; next = socket.receive()) received.push(next);
  return received;
}

/** The next `count` datagrams, as they become readable. */
function collect(socket: UdpSocket, count: number): Promise<ReceivedDatagram[]> {
  const received: ReceivedDatagram[] = [];
  return new Promise((resolve) => {
    socket.onReadable(() => {
      received.push(...drain(socket));
      if (received.length < count) return;
      socket.onReadable(undefined);
      resolve(received);
    });
  });
}

/** Something is waiting, and still is. */
const readable = (socket: UdpSocket): Promise<void> => new Promise((resolve) => {
  socket.onReadable(() => {
    socket.onReadable(undefined);
    resolve();
  });
});

/** The listener has been called, and everything was taken in. */
const woken = (socket: UdpSocket): Promise<void> => new Promise((resolve) => {
  socket.onReadable(() => {
    drain(socket);
    socket.onReadable(undefined);
    resolve();
  });
});

/** To be run last: with IPv6, the kernel sends on west and east by itself. */
export function udpContract(bench: () => Bench): void {
  describe('UDP socket', () => {
    let prepared: Bench | undefined;
    const addressed = (): Bench => {
      if (prepared !== undefined) return prepared;
      prepared = bench();
      const { fixture } = prepared;
      for (const { family, west, west2, east, east2 } of families) {
        // By itself the kernel sends from the first one of IPv4, the last one of IPv6.
        const ordered = (pair: Uint8Array[]): Uint8Array[] => (family === 4 ? pair : pair.toReversed());
        for (const each of ordered([west, west2])) fixture.addAddress(fixture.west, 'west', each, family === 4 ? 24 : 64);
        for (const each of ordered([east, east2])) fixture.addAddress(fixture.east, 'east', each, family === 4 ? 24 : 64);
      }
      fixture.addAddress(fixture.west, 'west', LOCAL.west, 64);
      fixture.addAddress(fixture.east, 'east', LOCAL.east, 64);
      return prepared;
    };
    const link = (side: 'west' | 'east'): number => addressed().fixture.ifindex(addressed().fixture[side], side);
    const open = (t: TestContext, netns: Netns, options: UdpSocketOptions): UdpSocket =>
      addressed().closing(t, addressed().native.udpSocket(netns, options));
    const west = (t: TestContext, options: UdpSocketOptions): UdpSocket => open(t, addressed().west, options);
    const east = (t: TestContext, options: UdpSocketOptions): UdpSocket => open(t, addressed().east, options);

    for (const each of families) {
      const { family } = each;
      describe(`of IPv${family}`, () => {
        it('tells all about a datagram', async (t) => {
          const sender = west(t, { family, ttl: 255, dscp: 48 });
          const receiver = east(t, { family, port: 3784 });
          const before = bench().native.now();
          for (const [i, to] of [each.east, each.east2].entries()) sender.send(bytes(i), { address: to, port: 3784 });
          const received = await collect(receiver, 2);
          const after = bench().native.now();
          const same = { from: { address: each.west, port: sender.port }, ifindex: link('east'), ttl: 255, dscp: 48, ecn: 0 };
          const [first = 0, second = 0] = received.map(({ timestamp }) => timestamp);
          assert.deepEqual(received, [
            { data: bytes(0), to: each.east, timestamp: first, ...same },
            { data: bytes(1), to: each.east2, timestamp: second, ...same },
          ]);
          for (const timestamp of [first, second]) assert.ok(before <= timestamp && timestamp <= after, `${before} ${timestamp} ${after}`);
        });

        it('sends with what a destination says instead of its options, for this once', async (t) => {
          const sender = west(t, { family, ttl: 255, dscp: 48 });
          const receiver = east(t, { family, port: 3784 });
          const to: UdpDestination = { address: each.east, port: 3784 };
          const variants: UdpDestination[] = [
            { ...to, ttl: 3 }, { ...to, dscp: 10 }, { ...to, from: each.west2 }, { ...to, ifindex: link('west') },
            { ...to, ttl: 1, dscp: 63, from: each.west2, ifindex: link('west') }, { ...to, dscp: 0 }, to,
          ];
          for (const [i, variant] of variants.entries()) sender.send(bytes(i), variant);
          const received = await collect(receiver, variants.length);
          assert.deepEqual(received.map(({ ttl, dscp, from }) => [ttl, dscp, from.address]), [
            [3, 48, each.west], [255, 10, each.west], [255, 48, each.west2], [255, 48, each.west], [1, 63, each.west2], [255, 0, each.west],
            [255, 48, each.west],
          ]);
        });

        it('sends with TTL 64 and DSCP 0 when nothing is said', async (t) => {
          const receiver = east(t, { family, port: 3784 });
          west(t, { family }).send(bytes(1), { address: each.east, port: 3784 });
          assert.deepEqual((await collect(receiver, 1)).map(({ ttl, dscp }) => [ttl, dscp]), [[64, 0]]);
        });

        it('hands out datagrams whole, in order, in buffers that nobody else writes to', async (t) => {
          const sender = west(t, { family });
          const receiver = east(t, { family, port: 862, receiveBuffer: 1 << 20 });
          const sent = [0, 1, each.full, each.full + 1, 9000, 65507].map((length, i) => bytes(i + 1, length));
          for (const data of sent) {
            const handed = data.slice();
            sender.send(handed, { address: each.east, port: 862 });
            handed.fill(0xee);
          }
          const received = await collect(receiver, sent.length);
          const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
          assert.deepEqual(received.map(({ data }) => hex(data)), sent.map(hex));
          assert.equal(receiver.receive(), undefined);
        });

        it('hands out many at once: all that wait, oldest first, and tells as much about each', async (t) => {
          const sender = west(t, { family, ttl: 255, dscp: 48 });
          const receiver = east(t, { family, port: 862, receiveBuffer: 1 << 20 });
          const before = bench().native.now();
          const lengths = [0, 1, each.full, 65507, 52];
          for (const [i, length] of lengths.entries()) {
            sender.send(bytes(i + 1, length), { address: i % 2 === 0 ? each.east : each.east2, port: 862, dscp: i });
          }
          await readable(receiver);
          const received = receiver.receiveMany(MOST_AT_ONCE);
          const after = bench().native.now();
          assert.deepEqual(received, lengths.map((length, i) => ({
            data: bytes(i + 1, length), from: { address: each.west, port: sender.port }, to: i % 2 === 0 ? each.east : each.east2,
            ifindex: link('east'), ttl: 255, dscp: i, ecn: 0, timestamp: received[i]?.timestamp,
          })));
          for (const { timestamp } of received) assert.ok(before <= timestamp && timestamp <= after, `${before} ${timestamp} ${after}`);
          // What was handed out stays what it is.
          for (let i = 0; i < 3; i++) sender.send(bytes(0xee, 65507), { address: each.east, port: 862 });
          await readable(receiver);
          assert.equal(receiver.receiveMany(3).length, 3);
          assert.deepEqual(received.map(({ data }) => data), lengths.map((length, i) => bytes(i + 1, length)));
          assert.deepEqual(receiver.receiveMany(1), []);
        });

        it('leaves what was not asked for, and says that it is there', async (t) => {
          const sender = west(t, { family });
          const receiver = east(t, { family, port: 862, receiveBuffer: 1 << 20 });
          const count = MOST_AT_ONCE + 7;
          for (let i = 0; i < count; i++) sender.send(bytes(i), { address: each.east, port: 862 });
          await readable(receiver);
          const received = [...receiver.receiveMany(2)];
          await readable(receiver);
          for (const one of [receiver.receive()]) if (one) received.push(one);
          await readable(receiver);
          assert.equal(received.push(...receiver.receiveMany(1e6)), 3 + MOST_AT_ONCE);
          await readable(receiver);
          received.push(...receiver.receiveMany(1e6));
          assert.deepEqual(received.map(marked), Array.from({ length: count }, (_, i) => i));
          let calls = 0;
          receiver.onReadable(() => calls++);
          for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
          assert.equal(calls, 0);
        });

        it('takes in refusals with many at once, and wakes nobody twice for them', async (t) => {
          const sender = west(t, { family });
          const receiver = east(t, { family, port: 3784 });
          sender.send(bytes(1), { address: each.east, port: 9 });
          sender.send(bytes(2), { address: each.east, port: 3784 });
          assert.deepEqual((await collect(receiver, 1)).map(marked), [2]);
          receiver.send(bytes(3), { address: each.west, port: sender.port });
          const heard: (number | undefined)[] = [];
          let calls = 0;
          await new Promise<void>((resolve) => {
            sender.onReadable(() => {
              calls++;
              heard.push(...sender.receiveMany(MOST_AT_ONCE).map(marked));
              if (heard.length > 0) resolve();
            });
          });
          const before = calls;
          for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
          assert.equal(calls, before);
          assert.deepEqual(heard, [3]);
          assert.deepEqual(sender.refusals().map(({ errnoName }) => errnoName), ['ECONNREFUSED']);
        });

        it('answers from where it was asked', async (t) => {
          const reflector = east(t, { family, port: 862 });
          const sender = west(t, { family, port: { first: 49152, last: 65535 } });
          assert.ok(sender.port >= 49152);
          sender.send(bytes(7), { address: each.east2, port: 862 });
          const [asked] = await collect(reflector, 1);
          assert.ok(asked !== undefined);
          reflector.send(asked.data, { ...asked.from, from: asked.to, ifindex: asked.ifindex });
          const [answer] = await collect(sender, 1);
          assert.deepEqual([answer?.from, answer?.to, answer?.data], [{ address: each.east2, port: 862 }, each.west, bytes(7)]);
        });

        it('gives a datagram to the socket that asked for most of it', async (t) => {
          const any = east(t, { family, port: 3784 });
          const sender = west(t, { family });
          const send = (number: number, to: Uint8Array): void => sender.send(bytes(number), { address: to, port: 3784 });
          send(1, each.east2);
          assert.deepEqual((await collect(any, 1)).map(marked), [1]);
          any.close();
          const sharing = { family, port: 3785, reusePort: true };
          const [shared, special] = [east(t, sharing), east(t, { ...sharing, address: each.east2 })];
          for (const [i, to] of [each.east, each.east2].entries()) sender.send(bytes(i), { address: to, port: 3785 });
          assert.deepEqual([await collect(shared, 1), await collect(special, 1)].map((received) => received.map(marked)), [[0], [1]]);
          const one = east(t, { family, port: 3784, address: each.east });
          const onLink = east(t, { family, port: 3784, address: each.east2, ifindex: link('east') });
          send(2, each.east);
          send(3, each.east2);
          assert.deepEqual([await collect(one, 1), await collect(onLink, 1)].map((received) => received.map(marked)), [[2], [3]]);
          const bound = west(t, { family, address: each.west2 });
          bound.send(bytes(4), { address: each.east, port: 3784 });
          assert.deepEqual((await collect(one, 1)).map(({ from }) => from), [{ address: each.west2, port: bound.port }]);
        });

        it('gives a datagram to no socket of another link', async (t) => {
          const tap = addressed().makeTap(t);
          const other = addressed().fixture.ifindex(addressed().fixture.west, tap.name);
          const elsewhere = west(t, { family, port: 3784, ifindex: other });
          const here = west(t, { family, port: 3784, ifindex: link('west') });
          const sender = east(t, { family });
          sender.send(bytes(1), { address: each.west, port: 3784 });
          assert.deepEqual((await collect(here, 1)).map(marked), [1]);
          here.close();
          sender.send(bytes(2), { address: each.west, port: 3784 });
          await woken(sender);
          assert.equal(sender.refusals().length, 1);
          assert.equal(elsewhere.receive(), undefined);
        });

        it('has a port to itself, unless both share it', (t) => {
          const first = east(t, { family, port: { first: 50000, last: 50001 } });
          const second = east(t, { family, port: { first: 50000, last: 50001 } });
          assert.deepEqual([first.port, second.port].toSorted((a, b) => a - b), [50000, 50001]);
          const what = new RegExp(`bind UDP socket of IPv${family} on port 50000`);
          assert.throws(() => east(t, { family, port: { first: 50000, last: 50001 } }), system('EADDRINUSE', what));
          assert.throws(() => east(t, { family, port: 50000 }), system('EADDRINUSE', what));
          west(t, { family, port: 50000 });
          east(t, { family: family === 4 ? 6 : 4, port: 50000 });
          for (const socket of [first, second]) socket.close();
          for (const address of [each.east, each.east2]) east(t, { family, port: 50000, address });
          for (let i = 0; i < 2; i++) east(t, { family, port: 50001, reusePort: true });
          assert.throws(() => east(t, { family, port: 50001 }), system('EADDRINUSE', 'bind'));
          east(t, { family, port: 50002, ifindex: link('east') });
          assert.throws(() => east(t, { family, port: 50002 }), system('EADDRINUSE', 'bind'));
        });

        it('tells what is refused as a value, and sends and receives on', async (t) => {
          const sender = west(t, { family });
          const to = { address: each.east, port: 9 };
          sender.send(bytes(1), to);
          await woken(sender);
          const refusal = { errnoName: 'ECONNREFUSED', to, by: each.east, ...each.unreachable, mtu: undefined };
          assert.deepEqual(sender.refusals(), [refusal]);
          assert.deepEqual(sender.refusals(), []);

          const receiver = east(t, { family, port: 3784 });
          // The refusal waits, untold, when the next ones are sent and received.
          sender.send(bytes(2), to);
          for (let i = 3; i < 6; i++) sender.send(bytes(i), { address: each.east, port: 3784 });
          const received = await collect(receiver, 3);
          assert.deepEqual(received.map(marked), [3, 4, 5]);
          receiver.send(bytes(6), { address: each.west, port: sender.port });
          assert.deepEqual((await collect(sender, 1)).map(marked), [6]);
          assert.deepEqual(sender.refusals(), [refusal]);
        });

        it('calls its listener once for a refusal that nobody asks about', async (t) => {
          const sender = west(t, { family });
          let calls = 0;
          const called = new Promise<void>((resolve) => {
            sender.onReadable(() => {
              calls++;
              drain(sender);
              resolve();
            });
          });
          sender.send(bytes(1), { address: each.east2, port: 9 });
          await called;
          for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
          assert.equal(calls, 1);
        });

        it('says why it cannot send', (t) => {
          const exact = west(t, { family, dontFragment: true });
          const to = { address: each.east, port: 3784 };
          east(t, { family, port: 3784 });
          exact.send(bytes(1, each.full), to);
          const text = `${family === 4 ? '192.0.2.2' : '2001:db8::2'} port 3784 UDP socket of IPv${family}`;
          assert.throws(() => exact.send(bytes(1, each.full + 1), to), system('EMSGSIZE', `sendmsg ${each.full + 1} bytes to ${text}`));
          assert.throws(() => exact.send(bytes(1, 65528), to), system('EMSGSIZE', text));
          exact.send(bytes(1, each.full), to);
          assert.deepEqual(exact.refusals(), []);
          assert.throws(() => exact.send(bytes(1), { ...to, address: each.stranger }), system('ENETUNREACH', 'sendmsg'));
          // EINVAL; ENETUNREACH of IPv4 in newer kernels.
          assert.throws(() => exact.send(bytes(1), { ...to, from: each.stranger }), /sendmsg .*\((EINVAL|ENETUNREACH)\)/);
          assert.throws(() => exact.send(bytes(1), { ...to, ifindex: 9999 }), system('ENODEV', 'sendmsg'));
          assert.throws(() => west(t, { family, address: each.stranger }), system('EADDRNOTAVAIL', 'bind'));
          assert.throws(() => west(t, { family, ifindex: 9999 }), system('ENODEV', 'of link 9999'));
          exact.close();
          exact.close();
          assert.throws(() => exact.send(bytes(1), to), system('EBADF', 'UDP'));
          assert.throws(() => exact.receive(), system('EBADF', 'UDP'));
          assert.throws(() => exact.receiveMany(1), system('EBADF', 'UDP'));
          assert.throws(() => exact.refusals(), system('EBADF', 'UDP'));
          assert.throws(() => exact.port, system('EBADF', 'UDP'));
          assert.throws(() => exact.onReadable(() => {}), system('EBADF', 'UDP'));
        });

        it('keeps the oldest where there is no room', (t) => {
          const sender = west(t, { family });
          const receiver = east(t, { family, port: 3784, receiveBuffer: 4096 });
          for (let i = 0; i < 100; i++) sender.send(bytes(i), { address: each.east, port: 3784 });
          const kept = drain(receiver).map(marked);
          assert.ok(kept.length > 0 && kept.length < 100, String(kept.length));
          assert.deepEqual(kept, Array.from(kept, (_, i) => i));
        });
      });
    }

    it('speaks by link-local addresses, on the link that is said', async (t) => {
      const receiver = east(t, { family: 6, port: 3784, address: LOCAL.east, ifindex: link('east') });
      const [loose, bound] = [west(t, { family: 6 }), west(t, { family: 6, address: LOCAL.west, ifindex: link('west') })];
      loose.send(bytes(1), { address: LOCAL.east, port: 3784, ifindex: link('west') });
      bound.send(bytes(2), { address: LOCAL.east, port: 3784 });
      const received = await collect(receiver, 2);
      assert.deepEqual(received.map(({ from, to, ifindex }) => [from.address, to, ifindex]), [
        [LOCAL.west, LOCAL.east, link('east')], [LOCAL.west, LOCAL.east, link('east')],
      ]);
      receiver.send(bytes(3), { address: LOCAL.west, port: bound.port });
      assert.deepEqual((await collect(bound, 1)).map(marked), [3]);
      assert.throws(() => loose.send(bytes(1), { address: LOCAL.east, port: 3784 }), NativeMisuseError);
      assert.throws(() => west(t, { family: 6, address: LOCAL.west }), NativeMisuseError);
    });

    it('refuses what means nothing, before it does anything', (t) => {
      const four = address('192.0.2.2');
      const options: Partial<UdpSocketOptions>[] = [
        { ttl: 0 }, { ttl: 256 }, { ttl: 1.5 }, { dscp: -1 }, { dscp: 64 }, { port: 0 }, { port: 65536 }, { port: { first: 5, last: 4 } },
        { port: { first: 0, last: 4 } }, { port: { first: 1, last: 65536 } }, { ifindex: 0 }, { address: LOCAL.east },
        { address: new Uint8Array(3) }, { receiveBuffer: -1 },
      ];
      for (const option of options) assert.throws(() => west(t, { family: 4, ...option }), NativeMisuseError, JSON.stringify(option));
      const socket = west(t, { family: 4, ifindex: link('west') });
      for (const most of [0, -1, 1.5, NaN]) assert.throws(() => socket.receiveMany(most), NativeMisuseError, String(most));
      const destinations: Partial<UdpDestination>[] = [
        { port: 0 }, { port: 65536 }, { port: NaN }, { ttl: 0 }, { ttl: 256 }, { dscp: 64 }, { address: LOCAL.east }, { from: LOCAL.east },
        { ifindex: link('west') + 1 },
      ];
      for (const to of destinations) {
        assert.throws(() => socket.send(bytes(1), { address: four, port: 1, ...to }), NativeMisuseError, JSON.stringify(to));
      }
    });
  });
}
