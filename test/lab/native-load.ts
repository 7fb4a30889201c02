/**
 * A program that native-leak.test.ts forks: `node --expose-gc native-load.ts NETNS ROUNDS`. It makes a tap `load` in NETNS,
 * sends a message, and waits for one that tells the tap's ifindex once it is up. Then it opens, receives and closes ROUNDS
 * times in each of four quarters, and sends how many descriptors were open and how many bytes resident after each.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { memoryUsage } from 'node:process';
import { kernelNative } from '../../src/native/kernel.ts';

const [, , name = '', rounds = '0'] = process.argv;
const ROUNDS = Number(rounds);
const native = kernelNative();
const netns = native.openNetns(name);
const frame = new Uint8Array(1500).fill(0xff);
const tap = native.createTap(netns, { name: 'load', vnetHeader: true });
const ifindex = await new Promise<number>((resolve) => {
  process.once('message', (message) => resolve(Number(message)));
  process.send?.('tap made');
});

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/** Each call of the interface, each way out of it. */
async function round(i: number): Promise<void> {
  const [one, other] = native.fdPair();
  for (let k = 0; k < 50; k++) {
    one.onReadable(() => {});
    one.onReadable(undefined);
  }
  one.send(frame, [tap.fd, netns.fd]);
  for (const fd of other.receive()?.fds ?? []) native.closeFd(fd);
  one.send(frame, [tap.fd]); // never received
  const readable = new Promise<void>((done) => other.onReadable(done));
  await readable;
  other.close();
  assert.throws(() => one.send(frame, []), { errnoName: 'ECONNRESET' });
  one.close();

  const netlink = native.netlinkSocket(netns, { protocol: 0 });
  netlink.onReadable(() => {}); // closed while it listens
  netlink.send(Uint8Array.of(16, 0, 0, 0, 0xf0, 0x3f, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0));
  assert.equal(netlink.receive()?.length, 36);
  netlink.close();
  assert.throws(() => native.takeTap(process.pid, netns.fd), { errnoName: 'ENOTTY' });
  assert.throws(() => native.takeTap(process.pid, 99_999), { errnoName: 'EBADF' });
  native.takeTap(process.pid, tap.fd).close();
  assert.throws(() => native.createTap(netns, { name: 'load' }), { errnoName: 'EBUSY' });
  native.inNetns(netns, () => native.openNetns().close());

  const loopback = Uint8Array.of(127, 0, 0, 1);
  const [sender, receiver] = [{}, { address: loopback, ttl: 9, dscp: 3, receiveBuffer: 1 << 20 }]
    .map((options) => native.udpSocket(netns, { family: 4, ...options }));
  assert.ok(sender && receiver);
  sender.onReadable(() => {}); // closed while it listens
  const to = { address: loopback, port: receiver.port };
  assert.throws(() => native.udpSocket(netns, { family: 4, port: to.port }), { errnoName: 'EADDRINUSE' });
  for (const more of [{}, { ttl: 7, dscp: 9, from: loopback, ifindex: 1 }]) sender.send(frame, { ...to, ...more });
  assert.deepEqual([receiver.receive(), receiver.receive(), receiver.receive()].map((datagram) => datagram?.ttl), [64, 7, undefined]);
  for (let k = 0; k < 40; k++) sender.send(frame, to);
  assert.deepEqual([5, 100, 100].map((most) => receiver.receiveMany(most).length), [5, 32, 3]);
  assert.deepEqual(receiver.receiveMany(100), []);
  assert.ok(native.clockError().error >= 0);
  sender.send(frame, to); // never received
  receiver.close();
  sender.send(frame, to);
  assert.equal(sender.receive(), undefined);
  if (i % 2 === 0) sender.refusals(); // the kernel tells of so many in a second, and no more
  assert.throws(() => sender.send(frame, { ...to, address: Uint8Array.of(192, 0, 2, 1) }), { errnoName: 'ENETUNREACH' });
  sender.close();

  if (i % 20 === 0) {
    const socket = native.packetSocket(netns, { ifindex, protocol: 3, vnetHeader: true });
    await new Promise<void>((done) => {
      let received = 0;
      socket.onReadable(() => {
        assert.equal(socket.receive()?.frame.length, frame.length);
        if (++received === 50) {
          socket.close();
          done();
        }
      });
      for (let k = 0; k < 50; k++) tap.write(frame);
    });
  }
}

const fds = (): number => readdirSync('/proc/self/fd').length;
const before = fds();
const quarters: { fds: number; rss: number }[] = [];
for (let quarter = 0; quarter < 4; quarter++) {
  for (let i = 0; i < ROUNDS; i++) await round(i);
  await turn(); // handles are freed by the loop
  await turn();
  globalThis.gc?.();
  globalThis.gc?.();
  quarters.push({ fds: fds(), rss: memoryUsage().rss });
}
tap.close();
netns.close();
process.send?.({ before, quarters });
process.disconnect?.();
