/** Contract of `Native`: taps. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NativeMisuseError } from '../../src/native/native.ts';
import { ETH_P_ALL, TYPE, BROADCAST, frame, numberOf, drain, drainTap, system } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

const NO_PROCESS = 4194303; // above the largest pid_max

export function tapContract(bench: () => Bench): void {
  describe('tap', () => {
    it('is made once, and gone with its last descriptor', (t) => {
      const tap = bench().makeTap(t);
      assert.equal(bench().hasLink(tap.name), true);
      assert.throws(() => bench().native.createTap(bench().west, { name: tap.name }), system('EBUSY', `TUNSETIFF ${tap.name}`));
      tap.close();
      tap.close();
      assert.equal(tap.fd, -1);
      assert.equal(bench().hasLink(tap.name), false);
      assert.throws(() => tap.read(), system('EBADF', tap.name));
      for (const bad of ['', 'sixteen-letters-', 'a/b', 'tap%d', 'a b', '..']) {
        assert.throws(() => bench().native.createTap(bench().west, { name: bad }), NativeMisuseError);
      }
    });

    it('gives what the link sends, and the link receives what is written', async (t) => {
      const tap = bench().makeTap(t);
      const socket = bench().onTap(t, tap, { protocol: TYPE });
      assert.equal(tap.readable(), false);
      assert.equal(tap.read(), undefined);
      const readable = new Promise<void>((resolve) => tap.onReadable(resolve));
      socket.send(frame(1));
      assert.equal(tap.readable(), true);
      await readable;
      tap.onReadable(undefined);
      socket.send(frame(2, BROADCAST, TYPE, 1514));
      const read = drainTap(tap);
      assert.deepEqual(read.map(numberOf), [1, 2]);
      assert.deepEqual(read.map(({ frame: bytes }) => bytes.length), [60, 1514]);
      const facts = read.map(({ packetType, timestamp, vnetHeader }) => [packetType, timestamp, vnetHeader.length]);
      assert.deepEqual(facts, [[0, 0, 0], [0, 0, 0]]);
      assert.equal(tap.readable(), false);
      tap.write(frame(3));
      assert.deepEqual(drain(socket).map(numberOf), [3]);
      bench().fixture.setUp(bench().fixture.west, tap.name, false);
      assert.throws(() => tap.write(frame(4)), system('EIO', tap.name));
    });

    it('carries vnet headers of the size it names', (t) => {
      const plain = bench().makeTap(t);
      assert.equal(plain.vnetHeaderSize(), 0);
      assert.throws(() => plain.write(frame(1), new Uint8Array(10)), NativeMisuseError);
      const tap = bench().makeTap(t, { vnetHeader: true });
      const socket = bench().onTap(t, tap, { protocol: ETH_P_ALL, vnetHeader: true });
      assert.equal(tap.vnetHeaderSize(), 10);
      tap.write(frame(1), Uint8Array.of(1, 0, 0, 0, 0, 0, 34, 0, 6, 0));
      tap.write(frame(2));
      const [offloaded, bare] = drain(socket);
      assert.ok(offloaded !== undefined && bare !== undefined);
      assert.deepEqual([offloaded.vnetHeader[0], offloaded.vnetHeader[6], offloaded.vnetHeader[8]], [1, 34, 6]);
      assert.equal((bare.vnetHeader[0] ?? -1) & 1, 0);
      assert.deepEqual([...offloaded.frame], [...frame(1)]);
      socket.send(frame(3));
      const read = tap.read();
      assert.ok(read !== undefined);
      assert.deepEqual([read.vnetHeader.length, read.frame.length, numberOf(read)], [10, 60, 3]);
      assert.throws(() => tap.write(frame(4), new Uint8Array(12)), NativeMisuseError);
    });

    it('says so when its device was deleted', async (t) => {
      const tap = bench().makeTap(t);
      const woken = new Promise<void>((resolve) => {
        tap.onReadable(() => {
          tap.onReadable(undefined);
          resolve();
        });
      });
      bench().fixture.deleteLink(bench().fixture.west, tap.name);
      await woken;
      assert.throws(() => tap.read(), system('EBADFD', tap.name));
      assert.throws(() => tap.write(frame(1)), system('EBADFD', tap.name));
    });

    it('is taken from another process, and lives as long as any copy', async (t) => {
      const tap = bench().makeTap(t, { vnetHeader: true });
      const socket = bench().onTap(t, tap, { protocol: TYPE });
      const holder = await bench().fixture.holdTap(tap);
      t.after(() => holder.release());
      socket.send(frame(1));
      tap.close();
      assert.equal(bench().hasLink(tap.name), true);
      const taken = bench().closing(t, bench().native.takeTap(holder.pid, holder.fd));
      assert.deepEqual([taken.name, taken.vnetHeaderSize()], [tap.name, 10]);
      assert.equal(taken.readable(), true);
      assert.deepEqual(drainTap(taken).map(numberOf), [1]);
      const again = bench().closing(t, bench().native.takeTap(holder.pid, holder.fd));
      socket.send(frame(2));
      assert.deepEqual([again.readable(), taken.readable()], [true, true]);
      assert.deepEqual([drainTap(again).map(numberOf), drainTap(taken)], [[2], []]); // one queue for all
      taken.write(frame(3));
      assert.deepEqual(drain(socket).map(numberOf), [3]);
      assert.throws(() => bench().native.takeTap(holder.pid, 99), system('EBADF', `99 of process ${holder.pid}`));
      await holder.release();
      assert.throws(() => bench().native.takeTap(holder.pid, holder.fd), system('ESRCH', `${holder.pid}`));
      taken.close();
      assert.equal(bench().hasLink(tap.name), true);
      again.close();
      assert.equal(bench().hasLink(tap.name), false);
    });

    it('is not taken from a process that is not', () => {
      assert.throws(() => bench().native.takeTap(NO_PROCESS, 3), system('ESRCH', `${NO_PROCESS}`));
    });
  });
}
