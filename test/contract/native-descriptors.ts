/** Contract of `Native`: netlink sockets, descriptor pairs, namespaces. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { NativeMisuseError } from '../../src/native/native.ts';
import { system } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

export function netlinkContract(bench: () => Bench): void {
  describe('netlink socket', () => {
    const request = (type: number, sequence: number): Uint8Array => {
      const view = new DataView(new ArrayBuffer(16));
      view.setUint32(0, 16, true);
      view.setUint16(4, type, true);
      view.setUint16(6, 1 | 4, true); // NLM_F_REQUEST | NLM_F_ACK
      view.setUint32(8, sequence, true);
      return new Uint8Array(view.buffer);
    };
    const UNKNOWN = 0x3ff0;

    it('is answered before send returns: NLMSG_ERROR with the sequence number of the request', (t) => {
      const socket = bench().closing(t, bench().native.netlinkSocket(bench().west, { protocol: 0 }));
      assert.equal(socket.receive(), undefined);
      for (const sequence of [7, 0x12345678]) {
        socket.send(request(UNKNOWN, sequence));
        const answer = socket.receive();
        assert.ok(answer !== undefined);
        const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
        assert.equal(view.getUint32(0, true), answer.length);
        assert.equal(view.getUint16(4, true), 2);
        assert.equal(view.getUint32(8, true), sequence);
        assert.equal(view.getInt32(16, true), -95); // EOPNOTSUPP
        assert.equal(view.getUint16(24, true), UNKNOWN); // the header of the request
        assert.equal(answer.length, 36); // and nothing else of it: NETLINK_CAP_ACK
        assert.equal(socket.receive(), undefined);
      }
    });

    it('has a port of its own, and tells when something is readable', async (t) => {
      const one = bench().closing(t, bench().native.netlinkSocket(bench().west, { protocol: 0 }));
      const other = bench().closing(t, bench().native.netlinkSocket(bench().west, { protocol: 0, receiveBuffer: 1 << 20 }));
      assert.ok(one.portId > 0 && other.portId > 0);
      assert.notEqual(one.portId, other.portId);
      const readable = new Promise<void>((resolve) => one.onReadable(resolve));
      one.send(request(UNKNOWN, 1));
      await readable;
      one.close();
      assert.throws(() => one.receive(), system('EBADF', /netlink/));
    });
  });
}

export function fdPairContract(bench: () => Bench): void {
  describe('descriptor pair', () => {
    it('carries data with its bounds, and descriptors that keep a device alive', (t) => {
      const [one, other] = bench().native.fdPair().map((end) => bench().closing(t, end));
      assert.ok(one !== undefined && other !== undefined);
      const tap = bench().makeTap(t);
      assert.equal(other.receive(), undefined);
      one.send(Uint8Array.of(1, 2), []);
      one.send(Uint8Array.of(3), [tap.fd, tap.fd]);
      tap.close();
      assert.deepEqual(other.receive(), { data: Uint8Array.of(1, 2), fds: [] });
      assert.equal(bench().hasLink(tap.name), true); // in flight
      const received = other.receive();
      assert.ok(received !== undefined);
      assert.deepEqual([...received.data], [3]);
      const [first, second] = received.fds;
      assert.ok(first !== undefined && second !== undefined && received.fds.length === 2 && first !== second);
      bench().native.closeFd(first);
      assert.equal(bench().hasLink(tap.name), true);
      bench().native.closeFd(second);
      assert.equal(bench().hasLink(tap.name), false);
      assert.throws(() => bench().native.closeFd(second), system('EBADF', `${second}`));
      other.send(Uint8Array.of(4), []);
      assert.deepEqual(one.receive(), { data: Uint8Array.of(4), fds: [] });
    });

    it('releases descriptors that nobody received', (t) => {
      const [one, other] = bench().native.fdPair();
      const tap = bench().makeTap(t);
      one.send(Uint8Array.of(1), [tap.fd]);
      tap.close();
      assert.equal(bench().hasLink(tap.name), true);
      other.close();
      assert.equal(bench().hasLink(tap.name), false);
      assert.throws(() => one.receive(), system('ECONNRESET', /./)); // it was closed with something unread
      assert.deepEqual(one.receive(), { data: new Uint8Array(0), fds: [] });
      one.close();
    });

    it('tells its end by empty data, and refuses to send any', async (t) => {
      const [one, other] = bench().native.fdPair();
      bench().closing(t, other);
      assert.throws(() => one.send(new Uint8Array(0), []), NativeMisuseError);
      assert.throws(() => one.send(Uint8Array.of(1), [987654]), system('EBADF', /./));
      one.send(Uint8Array.of(9), []);
      const readable = new Promise<void>((resolve) => other.onReadable(resolve));
      one.close();
      await readable;
      assert.deepEqual(other.receive(), { data: Uint8Array.of(9), fds: [] });
      assert.deepEqual(other.receive(), { data: new Uint8Array(0), fds: [] });
      assert.throws(() => other.send(Uint8Array.of(1), []), system('EPIPE', /./));
      other.onReadable(undefined);
    });
  });
}

export function netnsContract(bench: () => Bench): void {
  describe('namespace', () => {
    /** What is made without naming a namespace is made in that of the thread. */
    const madeHere = (t: TestContext, name: string): void => {
      const here = bench().native.openNetns();
      try {
        bench().closing(t, bench().native.createTap(here, { name }));
      } finally {
        here.close();
      }
    };

    it('is where the function runs, and nests', (t) => {
      const returned = bench().native.inNetns(bench().west, () => {
        bench().native.inNetns(bench().east, () => madeHere(t, 'inner'));
        madeHere(t, 'outer');
        return 42;
      });
      assert.equal(returned, 42);
      assert.equal(bench().fixture.hasLink(bench().fixture.east, 'inner'), true);
      assert.equal(bench().hasLink('outer'), true);
    });

    it('is left again when the function throws or returns a promise', (t) => {
      const thrown = new Error('inside');
      bench().native.inNetns(bench().west, () => {
        assert.throws(() => bench().native.inNetns(bench().east, () => { throw thrown; }), (error) => error === thrown);
        madeHere(t, 'after-throw');
        assert.throws(() => bench().native.inNetns(bench().east, async () => {}), NativeMisuseError);
        madeHere(t, 'after-promise');
      });
      assert.equal(bench().hasLink('after-throw'), true);
      assert.equal(bench().hasLink('after-promise'), true);
    });

    it('has to exist and be open', () => {
      assert.throws(() => bench().native.openNetns(`${bench().fixture.west}-not`), system('ENOENT', `${bench().fixture.west}-not`));
      for (const bad of ['', '..', '../west', 'a/b']) assert.throws(() => bench().native.openNetns(bad), NativeMisuseError);
      const closed = bench().native.openNetns(bench().fixture.west);
      assert.equal(closed.name, bench().fixture.west);
      closed.close();
      closed.close();
      assert.throws(() => bench().native.inNetns(closed, () => {}), system('EBADF', bench().fixture.west));
      assert.throws(() => bench().native.netlinkSocket(closed, { protocol: 0 }), system('EBADF', bench().fixture.west));
    });
  });
}
