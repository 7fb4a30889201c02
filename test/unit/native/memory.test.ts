import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MemoryNetwork } from '../../../src/native/memory.ts';
import type { PacketSocket } from '../../../src/native/native.ts';
import { MOST_REFUSALS } from '../../../src/native/udp.ts';
import type { UdpSocket, UdpSocketOptions } from '../../../src/native/udp.ts';
import { nativeContract } from '../../contract/native.ts';

function joined(now?: () => number): MemoryNetwork {
  const network = new MemoryNetwork(now);
  for (const name of ['home', 'west', 'east']) network.addNetns(name);
  network.addLinkPair({ netns: 'west', name: 'west' }, { netns: 'east', name: 'east' });
  network.link('west', 'west').up = true;
  network.link('east', 'east').up = true;
  return network;
}

nativeContract('memory', () => {
  const network = joined();
  let pid = 100;
  return {
    native: network.native('home'),
    west: 'west',
    east: 'east',
    ifindex: (netns, link) => network.link(netns, link).ifindex,
    mac: (netns, link) => network.link(netns, link).mac,
    setUp: (netns, link, up) => {
      network.link(netns, link).up = up;
    },
    hasLink: (netns, link) => network.hasLink(netns, link),
    deleteLink: (netns, link) => network.deleteLink(netns, link),
    holdTap: async (tap) => {
      const held = ++pid;
      network.addProcess(held, 3, tap);
      return { pid: held, fd: 3, release: async () => network.endProcess(held) };
    },
    passTime: (ms) => network.advance(ms),
    ipGroups: (netns, link) => network.groups(netns)
      .map((text) => text.split(' '))
      .filter(([ifindex, group]) => Number(ifindex) === network.link(netns, link).ifindex && group?.length === 8)
      .map(([, group = '']) => [...Buffer.from(group, 'hex')].join('.')).sort(),
    addAddress: (netns, link, address, prefixLength) => network.addAddress(netns, link, address, prefixLength),
    remove: async () => assert.equal(network.descriptors.size, 0, 'descriptors left open'),
  };
});

describe('MemoryNetwork', () => {
  const frame = (number: number): Uint8Array => Uint8Array.of(255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, number);

  function receiveAll(socket: PacketSocket): (number | undefined)[] {
    const numbers = [];
    for (let next = socket.receive(); next !== undefined; next = socket.receive()) numbers.push(next.frame[14]);
    return numbers;
  }

  it('loses, repeats and reorders nothing between the ends of a pair', () => {
    const operations = fc.array(fc.oneof(fc.nat(255), fc.constant('receive' as const)), { maxLength: 200 });
    fc.assert(
      fc.property(operations, (steps) => {
        const native = joined().native('home');
        const sender = native.packetSocket(native.openNetns('west'), { ifindex: 2, protocol: 0 });
        const receiver = native.packetSocket(native.openNetns('east'), { ifindex: 2, protocol: 3, receiveBuffer: 1 << 20 });
        const sent: number[] = [];
        const received: (number | undefined)[] = [];
        for (const step of steps) {
          if (step === 'receive') received.push(...receiveAll(receiver));
          else {
            sender.send(frame(step));
            sent.push(step);
          }
        }
        received.push(...receiveAll(receiver));
        assert.deepEqual(received, sent);
      }),
    );
  });

  it('lets time pass from deadline to deadline, and what comes of one be done before the next', async () => {
    const network = joined();
    const native = network.native('home');
    const log: string[] = [];
    const sender = native.packetSocket(native.openNetns('west'), { ifindex: 2, protocol: 0 });
    const receiver = native.packetSocket(native.openNetns('east'), { ifindex: 2, protocol: 3 });
    receiver.onReadable(() => log.push(`${native.monotonic()} heard ${receiver.receive()?.timestamp}`));
    for (const at of [20, 10.5]) {
      const deadline = native.deadline();
      deadline.onExpired(() => {
        log.push(`${native.monotonic()} expired`);
        sender.send(frame(1));
      });
      deadline.arm(at);
    }
    await network.advance(15);
    assert.deepEqual([native.monotonic(), native.now()], [15, 15]);
    await network.advance(10);
    assert.deepEqual(log, ['10.5 expired', '10.5 heard 10.5', '20 expired', '20 heard 20']);
  });

  it('answers realtime with what a test says', () => {
    const network = joined();
    assert.equal(network.native('home').realtime(50).scheduling, 'ordinary');
    network.realtime = { scheduling: 'realtime', locked: true };
    assert.deepEqual(network.native('home').realtime(50), { scheduling: 'realtime', locked: true });
  });

  it('stamps frames with the time it is given', () => {
    const native = joined(() => 1234.5).native('home');
    const receiver = native.packetSocket(native.openNetns('east'), { ifindex: 2, protocol: 3 });
    native.packetSocket(native.openNetns('west'), { ifindex: 2, protocol: 0 }).send(frame(1));
    assert.equal(receiver.receive()?.timestamp, 1234.5);
  });

  it('hands netlink requests to the responder, with the namespace, and its answers back in order', () => {
    const network = joined();
    network.respond = (request, netns) => [Uint8Array.of(request[0] ?? 0), new TextEncoder().encode(netns)];
    const native = network.native('home');
    const socket = native.netlinkSocket(native.openNetns('east'), { protocol: 0 });
    socket.send(Uint8Array.of(5));
    const answers = [socket.receive(), socket.receive(), socket.receive()];
    assert.deepEqual(answers, [Uint8Array.of(5), new TextEncoder().encode('east'), undefined]);
  });

  it('notifies the netlink sockets of a namespace that joined the group', () => {
    const network = joined();
    const native = network.native('west');
    const [member, other] = [1, 4].map((groups) => native.netlinkSocket(native.openNetns(), { protocol: 0, groups }));
    const elsewhere = native.netlinkSocket(native.openNetns('east'), { protocol: 0, groups: 1 });
    network.notify('west', 1, Uint8Array.of(9));
    assert.deepEqual([member, other, elsewhere].map((socket) => socket?.receive()), [Uint8Array.of(9), undefined, undefined]);
  });

  it('lets a test set the queue and the header size of a tap, and counts what did not fit', () => {
    const network = joined();
    const native = network.native('west');
    const tap = native.createTap(native.openNetns(), { name: 'tap0', vnetHeader: true });
    const device = network.tap('west', 'tap0');
    device.up = true;
    device.queueLength = 2;
    device.vnetHeaderSize = 12;
    const sender = native.packetSocket(native.openNetns(), { ifindex: device.ifindex, protocol: 0 });
    for (const number of [1, 2, 3]) sender.send(frame(number));
    assert.equal(device.drops, 1);
    assert.deepEqual([tap.vnetHeaderSize(), tap.read()?.vnetHeader.length, tap.read()?.frame[14], tap.read()], [12, 12, 2, undefined]);
  });

  describe('UDP', () => {
    const west = Uint8Array.of(10, 0, 0, 1);
    const east = Uint8Array.of(10, 0, 0, 2);
    const addressed = (): MemoryNetwork => {
      const network = joined();
      network.addAddress('west', 'west', west, 24);
      network.addAddress('east', 'east', east, 24);
      return network;
    };
    const open = (network: MemoryNetwork, netns: string, options: Partial<UdpSocketOptions> = {}): UdpSocket => {
      const native = network.native(netns);
      return native.udpSocket(native.openNetns(), { family: 4, ...options });
    };
    const to = { address: east, port: 3784 };

    it('stamps with virtual time', async () => {
      const network = addressed();
      const [sender, receiver] = [open(network, 'west'), open(network, 'east', { port: 3784 })];
      await network.advance(12.5);
      sender.send(Uint8Array.of(1), to);
      await network.advance(1);
      assert.equal(receiver.receive()?.timestamp, 12.5);
    });

    it('is lost, silently, where the other end is down or has no such address', () => {
      const network = addressed();
      const [sender, receiver] = [open(network, 'west'), open(network, 'east', { port: 3784 })];
      network.link('east', 'east').up = false;
      sender.send(Uint8Array.of(1), to);
      sender.send(Uint8Array.of(1), { ...to, port: 9 });
      network.link('east', 'east').up = true;
      sender.send(Uint8Array.of(2), { ...to, address: Uint8Array.of(10, 0, 0, 9) });
      assert.deepEqual([receiver.receive(), sender.refusals()], [undefined, []]);
    });

    it('has no way by a link that is down or gone, takes the longest prefix, and leaves no socket behind', () => {
      const network = addressed();
      network.addLinkPair({ netns: 'west', name: 'west2' }, { netns: 'east', name: 'east2' });
      for (const [netns, name] of [['west', 'west2'], ['east', 'east2']] as const) network.link(netns, name).up = true;
      network.addAddress('west', 'west2', Uint8Array.of(10, 0, 0, 3), 30);
      const [sender, receiver] = [open(network, 'west'), open(network, 'east', { port: 3784 })];
      const way = (): number | undefined => {
        sender.send(Uint8Array.of(1), to);
        return receiver.receive()?.ifindex;
      };
      assert.equal(way(), 3);
      network.link('west', 'west2').up = false;
      assert.equal(way(), 2);
      network.link('west', 'west2').up = true;
      network.deleteLink('west', 'west2');
      assert.equal(way(), 2);
      network.link('west', 'west').up = false;
      assert.throws(way, /ENETUNREACH/);
      for (const socket of [sender, receiver]) socket.close();
      assert.equal(network.descriptors.size, 0);
      assert.equal(open(network, 'east', { port: 3784 }).port, 3784);
    });

    it('keeps the last refusals alone', () => {
      const network = addressed();
      const sender = open(network, 'west');
      for (let port = 1; port <= MOST_REFUSALS + 5; port++) sender.send(Uint8Array.of(1), { ...to, port });
      assert.deepEqual(sender.refusals().map((refusal) => refusal.to.port), Array.from({ length: MOST_REFUSALS }, (_, i) => i + 6));
    });
  });

  it('drops what is sent to an end that is down, and deletes both ends together', () => {
    const network = joined();
    const native = network.native('home');
    const sender = native.packetSocket(native.openNetns('west'), { ifindex: 2, protocol: 0 });
    const receiver = native.packetSocket(native.openNetns('east'), { ifindex: 2, protocol: 3 });
    network.link('east', 'east').up = false;
    assert.throws(() => receiver.receive(), /ENETDOWN/);
    sender.send(frame(1));
    network.link('east', 'east').up = true;
    assert.equal(receiver.receive(), undefined);
    network.deleteLink('east', 'east');
    assert.equal(network.hasLink('west', 'west'), false);
    assert.throws(() => sender.send(frame(2)), /ENXIO/);
  });
});
