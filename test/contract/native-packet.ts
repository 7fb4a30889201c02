/** Contract of `Native`: packet sockets, and listeners shown on them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NativeMisuseError, SystemError } from '../../src/native/native.ts';
import { ETH_P_ALL, TYPE, OTHER_TYPE, BROADCAST, STRANGER, frame, numberOf, drain, drainTap, collect, system } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

export function packetSocketContract(bench: () => Bench): void {
  describe('packet socket', () => {
    it('hands out frames whole and in order', (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const sent = Array.from({ length: 50 }, (_, i) => frame(i, BROADCAST, TYPE, 60 + i * 20));
      for (const bytes of sent) tap.write(bytes);
      assert.deepEqual(drain(socket).map((received) => [...received.frame]), sent.map((bytes) => [...bytes]));
      assert.equal(socket.receive(), undefined);
    });

    it('hands out buffers that nobody else writes to', (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      tap.write(frame(1));
      const first = socket.receive();
      tap.write(frame(2));
      const second = socket.receive();
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual([numberOf(first), numberOf(second)], [1, 2]);
      assert.equal(first.vnetHeader.length, 0);
    });

    it('tells to whom a frame was addressed', (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const multicast = Uint8Array.of(0x01, 0, 0x5e, 0, 0, 18);
      for (const to of [bench().fixture.mac(bench().fixture.west, tap.name), BROADCAST, multicast, STRANGER]) tap.write(frame(0, to));
      assert.deepEqual(drain(socket).map(({ packetType }) => packetType), [0, 1, 2, 3]);
    });

    it('receives only frames of its protocol and its link', (t) => {
      const tap = bench().makeTap(t);
      const one = bench().onTap(t, tap, { protocol: TYPE });
      const all = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const none = bench().onTap(t, tap, { protocol: 0 });
      const elsewhere = bench().onTap(t, bench().makeTap(t), { protocol: ETH_P_ALL });
      tap.write(frame(1, BROADCAST, OTHER_TYPE));
      tap.write(frame(2, BROADCAST, TYPE));
      assert.deepEqual([one, all, none, elsewhere].map((socket) => drain(socket).map(numberOf)), [[2], [1, 2], [], []]);
    });

    it('shows what others send on the link as outgoing, except what bypasses the qdisc', async (t) => {
      const sender = bench().onWest(t, { protocol: ETH_P_ALL });
      const bypasser = bench().onWest(t, { protocol: 0, bypassQdisc: true });
      const witness = bench().onWest(t, { protocol: ETH_P_ALL });
      const typed = bench().onWest(t, { protocol: TYPE });
      const receiver = bench().onEast(t, { protocol: TYPE });
      bypasser.send(frame(1));
      sender.send(frame(2));
      const received = await collect(receiver, 2);
      assert.deepEqual(received.map(numberOf).toSorted((a, b) => a - b), [1, 2]);
      assert.deepEqual(received.map(({ packetType }) => packetType), [1, 1]);
      assert.deepEqual(drain(witness).map((seen) => [numberOf(seen), seen.packetType]), [[2, 4]]);
      assert.deepEqual(drain(sender), []);
      assert.deepEqual(drain(typed), []);
    });

    it('carries the vnet header both ways', async (t) => {
      // "Checksum from byte 34 on, to be put at 6 behind it": struct virtio_net_hdr of linux/virtio_net.h.
      const header = Uint8Array.of(1, 0, 0, 0, 0, 0, 34, 0, 6, 0);
      const sender = bench().onWest(t, { protocol: 0, vnetHeader: true });
      const receiver = bench().onEast(t, { protocol: ETH_P_ALL, vnetHeader: true });
      sender.send(frame(1), header);
      sender.send(frame(2));
      const received = (await collect(receiver, 2)).sort((a, b) => numberOf(a) - numberOf(b));
      const [offloaded, plain] = received;
      assert.ok(offloaded !== undefined && plain !== undefined);
      assert.deepEqual([offloaded.vnetHeader[0], offloaded.vnetHeader[6], offloaded.vnetHeader[8]], [1, 34, 6]);
      assert.deepEqual([...offloaded.frame], [...frame(1)]);
      assert.equal((plain.vnetHeader[0] ?? -1) & 1, 0);
      assert.equal(plain.vnetHeader.length, 10);
      assert.throws(() => sender.send(frame(3), header.subarray(1)), NativeMisuseError);
      assert.throws(() => bench().onWest(t, { protocol: 0 }).send(frame(3), header), NativeMisuseError);
    });

    it('says why a frame cannot be sent', (t) => {
      const tap = bench().makeTap(t);
      const ifindex = bench().fixture.ifindex(bench().fixture.west, tap.name);
      const socket = bench().onTap(t, tap, { protocol: 0 });
      assert.throws(() => socket.send(frame(1, BROADCAST, TYPE, 1515)), system('EMSGSIZE', `link ${ifindex}`));
      socket.send(frame(1, BROADCAST, TYPE, 1514));
      assert.throws(() => socket.send(frame(1).subarray(0, 13)), system('EINVAL', `link ${ifindex}`));
      bench().fixture.setUp(bench().fixture.west, tap.name, false);
      assert.throws(() => socket.send(frame(1)), system('ENETDOWN', `link ${ifindex}`));
      tap.close();
      assert.throws(() => socket.send(frame(1)), system('ENXIO', `link ${ifindex}`));
      assert.throws(() => bench().native.packetSocket(bench().west, { ifindex, protocol: 0 }), system('ENODEV', `link ${ifindex}`));
      socket.close();
      assert.throws(() => socket.send(frame(1)), system('EBADF', `link ${ifindex}`));
      assert.throws(() => socket.receive(), system('EBADF', `link ${ifindex}`));
      assert.throws(() => socket.onReadable(() => {}), system('EBADF', `link ${ifindex}`));
    });

    it('tells a full queue only with bypassQdisc; the tap keeps the oldest 1000', (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: 0, bypassQdisc: true });
      for (let i = 0; i < 1000; i++) socket.send(frame(i));
      assert.throws(() => socket.send(frame(1000)), system('ENOBUFS', /send/));
      const polite = bench().onTap(t, tap, { protocol: 0 });
      polite.send(frame(1001));
      assert.deepEqual(drainTap(tap).map(numberOf), Array.from({ length: 1000 }, (_, i) => i));
      socket.send(frame(1002));
      assert.deepEqual(drainTap(tap).map(numberOf), [1002]);
    });

    it('wakes its listener when the link goes down, says so once, and listens on', async (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const events: unknown[] = [];
      let happened = (): void => {};
      const next = (): Promise<void> => new Promise((resolve) => { happened = resolve; });
      socket.onReadable(() => {
        try {
          events.push(...drain(socket).map(numberOf));
        } catch (error) {
          events.push(error instanceof SystemError ? error.errnoName : error);
        }
        happened();
      });
      const down = next();
      bench().fixture.setUp(bench().fixture.west, tap.name, false);
      await down;
      bench().fixture.setUp(bench().fixture.west, tap.name, true);
      const arrived = next();
      tap.write(frame(7));
      await arrived;
      socket.onReadable(undefined);
      assert.deepEqual(events, ['ENETDOWN', 7]);
    });

    it('counts what it had no room for', (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL, receiveBuffer: 4096 });
      assert.equal(socket.drops(), 0);
      for (let i = 0; i < 100; i++) tap.write(frame(i));
      const kept = drain(socket).map(numberOf);
      assert.ok(kept.length > 0 && kept.length < 100);
      assert.deepEqual(kept, Array.from(kept, (_, i) => i));
      assert.equal(socket.drops(), 100 - kept.length);
      assert.equal(socket.drops(), 0);
    });
  });
}

export function listenerContract(bench: () => Bench): void {
  describe('onReadable', () => {
    it('calls again as long as something is left', async (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      tap.write(frame(1));
      tap.write(frame(2));
      const seen: (number | undefined)[] = [];
      await new Promise<void>((resolve) => {
        let calls = 0;
        socket.onReadable(() => {
          calls++;
          if (calls <= 3) return; // nothing taken: it has to call again
          const next = socket.receive();
          seen.push(next && numberOf(next));
          if (seen.length < 2) return;
          socket.onReadable(undefined);
          resolve();
        });
      });
      assert.deepEqual(seen, [1, 2]);
    });

    it('stops with undefined, and takes another listener', async (t) => {
      const tap = bench().makeTap(t);
      const quiet = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const loud = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      let wrong = 0;
      quiet.onReadable(() => wrong++);
      quiet.onReadable(undefined);
      tap.write(frame(1));
      await collect(loud, 1);
      tap.write(frame(2));
      await collect(loud, 1);
      assert.equal(wrong, 0);
      quiet.onReadable(() => wrong++);
      assert.deepEqual((await collect(quiet, 2)).map(numberOf), [1, 2]);
      assert.equal(wrong, 0);
    });

    it('ends with close, also inside the listener', async (t) => {
      const tap = bench().makeTap(t);
      const closed = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const loud = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      let calls = 0;
      const once = new Promise<void>((resolve) => {
        closed.onReadable(() => {
          calls++;
          closed.close();
          closed.close();
          resolve();
        });
      });
      tap.write(frame(1));
      await once;
      await collect(loud, 1);
      tap.write(frame(2));
      await collect(loud, 1);
      assert.equal(calls, 1);
      closed.close();
    });

    it('lets a listener close another one', async (t) => {
      const tap = bench().makeTap(t);
      const sockets = [0, 1].map(() => bench().onTap(t, tap, { protocol: ETH_P_ALL }));
      let calls = 0;
      const first = new Promise<void>((resolve) => {
        for (const socket of sockets) {
          socket.onReadable(() => {
            calls++;
            for (const each of sockets) each.close();
            resolve();
          });
        }
      });
      tap.write(frame(1));
      await first;
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(calls, 1);
    });

    it('turns an error of the listener into an uncaught exception, and goes on', async (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      const thrown = new Error('from the listener');
      t.after(() => process.setUncaughtExceptionCaptureCallback(null));
      const caught = new Promise((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
      const second = new Promise<void>((resolve) => {
        let calls = 0;
        socket.onReadable(() => {
          if (calls++ === 0) throw thrown;
          socket.onReadable(undefined);
          resolve();
        });
      });
      tap.write(frame(1));
      assert.equal(await caught, thrown);
      await second;
    });
  });
}
