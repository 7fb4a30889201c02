/** Contract of `Native`: filters and groups of packet sockets, and membership of IP groups. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { NativeMisuseError } from '../../src/native/native.ts';
import type { FilterInstruction, PacketSocket, Tap } from '../../src/native/native.ts';
import { BROADCAST, ETH_P_ALL, OTHER_TYPE, STRANGER, TYPE, collect, drain, frame, numberOf, system } from './native-bench.ts';
import type { Bench } from './native-bench.ts';

const op = (code: number, k: number, jt = 0, jf = 0): FilterInstruction => ({ code, jt, jf, k });
const RET = 0x06;
const byType = (type: number, bytes = 0xffffffff): FilterInstruction[] => [op(0x28, 12), op(0x15, type, 0, 1), op(RET, bytes), op(RET, 0)];

export function filterContract(bench: () => Bench): void {
  describe('filter of a packet socket', () => {
    const socketWith = (t: TestContext, tap: Tap, filter: FilterInstruction[]): PacketSocket =>
      bench().onTap(t, tap, { protocol: ETH_P_ALL, filter });

    it('lets through what its program says, whole or cut', (t) => {
      const tap = bench().makeTap(t);
      const [some, cut, none, nothingOfIt] = [byType(TYPE), byType(TYPE, 20), byType(0x1234), [op(RET, 0)]]
        .map((filter) => socketWith(t, tap, filter));
      tap.write(frame(1, BROADCAST, OTHER_TYPE));
      tap.write(frame(2));
      assert.ok(some && cut && none && nothingOfIt);
      assert.deepEqual(drain(some).map((f) => [numberOf(f), f.frame.length]), [[2, 60]]);
      assert.deepEqual(drain(cut).map((f) => [numberOf(f), f.frame.length]), [[2, 20]]);
      assert.deepEqual([...drain(none), ...drain(nothingOfIt)], []);
    });

    it('wakes nobody for what it drops', async (t) => {
      const tap = bench().makeTap(t);
      const socket = socketWith(t, tap, byType(TYPE));
      let calls = 0;
      socket.onReadable(() => calls++);
      tap.write(frame(1, BROADCAST, OTHER_TYPE));
      const loud = bench().onTap(t, tap, { protocol: ETH_P_ALL });
      tap.write(frame(2, BROADCAST, OTHER_TYPE));
      await collect(loud, 1);
      assert.equal(calls, 0);
    });

    it('begins at the Ethernet header, also where there are vnet headers', async (t) => {
      const receiver = bench().onEast(t, { protocol: ETH_P_ALL, vnetHeader: true, filter: byType(TYPE) });
      const sender = bench().onWest(t, { protocol: 0 });
      for (const type of [OTHER_TYPE, TYPE]) sender.send(frame(type, BROADCAST, type));
      const [received] = await collect(receiver, 1);
      assert.deepEqual([received && numberOf(received), received?.frame.length, received?.vnetHeader.length], [TYPE, 60, 10]);
    });

    it('knows to whom a frame was addressed', (t) => {
      const tap = bench().makeTap(t);
      const socket = socketWith(t, tap, [op(0x20, 0xfffff004), op(0x25, 2, 0, 1), op(RET, 0), op(RET, 0xffff)]);
      const own = bench().fixture.mac(bench().fixture.west, tap.name);
      for (const [i, to] of [own, BROADCAST, STRANGER, Uint8Array.of(1, 0, 0x5e, 0, 0, 18)].entries()) tap.write(frame(i, to));
      assert.deepEqual(drain(socket).map(numberOf), [0, 1, 3]);
    });

    const ends = { pass: op(RET, 1), drop: op(RET, 0) };
    for (const [why, program] of [
      ['it is empty', []],
      ['it does not end', [op(0x28, 12)]],
      ['it jumps behind its end', [op(0x15, 0, 1, 0), ends.drop]],
      ['it jumps far behind its end', [op(0x05, 1), ends.drop]],
      ['of an unknown instruction', [op(0xfff, 0), ends.drop]],
      ['it shifts too far', [op(0x74, 32), ends.drop]],
      ['it is too long', Array.from({ length: 4097 }, () => ends.drop)],
    ] as const) {
      it(`is refused because ${why}`, (t) => {
        const tap = bench().makeTap(t);
        assert.throws(() => socketWith(t, tap, [...program]), system('EINVAL', 'SO_ATTACH_FILTER packet socket on link'));
      });
    }

    it('random programs on random frames: what the words of the manual say', (t) => {
      const tap = bench().makeTap(t);
      fc.assert(fc.property(randomProgram, fc.array(randomFrame, { minLength: 1, maxLength: 8 }), (program, frames) => {
        const socket = bench().native.packetSocket(bench().west, {
          ifindex: bench().fixture.ifindex(bench().fixture.west, tap.name), protocol: ETH_P_ALL, filter: program,
        });
        try {
          for (const bytes of frames) tap.write(bytes);
          const expected = frames.map((bytes) => bytes.slice(0, meaning(program, bytes))).filter(({ length }) => length > 0);
          assert.deepEqual(drain(socket).map(({ frame: bytes }) => [...bytes]), expected.map((bytes) => [...bytes]));
        } finally {
          socket.close();
        }
      }), { numRuns: 300 });
    });
  });

  describe('groups', () => {
    it('a socket may ask for the MACs of groups, and for nothing else', (t) => {
      const groups = [Uint8Array.of(1, 0, 0x5e, 0, 0, 18), Uint8Array.of(0x33, 0x33, 0, 0, 0, 18)];
      const socket = bench().onWest(t, { protocol: 0, groups });
      socket.close();
      for (const mac of [STRANGER, Uint8Array.of(1, 0, 0x5e)]) {
        assert.throws(() => bench().onWest(t, { protocol: 0, groups: [mac] }), NativeMisuseError);
      }
    });

    it('a member of an IP group until it is closed', () => {
      const { native, west, fixture } = bench();
      const ifindex = fixture.ifindex(fixture.west, 'west');
      const vrrp = Uint8Array.of(224, 0, 0, 18);
      const before = fixture.ipGroups(fixture.west, 'west');
      const [one, two] = [native.joinGroup(west, ifindex, vrrp), native.joinGroup(west, ifindex, vrrp)];
      assert.deepEqual(fixture.ipGroups(fixture.west, 'west'), [...before, '224.0.0.18'].sort());
      one.close();
      one.close();
      assert.deepEqual(fixture.ipGroups(fixture.west, 'west'), [...before, '224.0.0.18'].sort());
      two.close();
      assert.deepEqual(fixture.ipGroups(fixture.west, 'west'), before);
      assert.throws(() => native.joinGroup(west, 9999, vrrp), system('ENODEV', 'MCAST_JOIN_GROUP'));
      assert.throws(() => native.joinGroup(west, ifindex, Uint8Array.of(10, 0, 0, 1)), NativeMisuseError);
    });
  });
}

const byte = fc.nat(255);
const randomFrame = fc.uint8Array({ minLength: 14, maxLength: 60 }).map((bytes) => {
  // Nobody's: neither a VLAN's, of which the kernel takes the tag, nor a protocol that a stack would answer.
  const whole = bytes.slice();
  whole.set(STRANGER, 0);
  whole.set([0x88, 0xb5], 12);
  return whole;
});
/** Loads, arithmetic and comparisons that jump at most 3 on, then two ends. */
const randomProgram = fc.array(fc.oneof(
  fc.tuple(fc.constantFrom(0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1), fc.nat(70)),
  fc.tuple(fc.constantFrom(0x00, 0x04, 0x54, 0x07, 0x87), fc.oneof(byte, fc.constant(0xffffffff), fc.nat(0xffff))),
  fc.tuple(fc.constant(0x74), fc.nat(31)),
  fc.tuple(fc.constantFrom(0x15, 0x25, 0x35, 0x45, 0x05), fc.oneof(byte, fc.nat(0xffff)), fc.nat(2), fc.nat(2)),
), { minLength: 1, maxLength: 12 }).map((lines): FilterInstruction[] => [
  // X is defined before it is used: the kernel clears it, and says so nowhere.
  op(0x00, 0), op(0x07, 0),
  ...lines.map(([code, k, jt = 0, jf = 0]) => op(code, code === 0x05 ? k % 3 : k, jt, jf)),
  // The low bits of A are how many bytes pass: whatever was computed shows.
  op(0x54, 0x3f), op(0x16, 0), op(RET, 30), op(RET, 0),
]);

/** The same again, word for word from Documentation/networking/filter.rst: how many bytes pass. */
function meaning(program: readonly FilterInstruction[], bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [a, x] = [0, 0];
  try {
    for (let pc = 0; ; pc++) {
      const { code, k, jt, jf } = program[pc] ?? assert.fail('ran off its end');
      const jumps = (holds: boolean): void => void (pc += holds ? jt : jf);
      if (code === 0x20) a = view.getUint32(k);
      else if (code === 0x28) a = view.getUint16(k);
      else if (code === 0x30) a = view.getUint8(k);
      else if (code === 0x40) a = view.getUint32((x + k) >>> 0);
      else if (code === 0x48) a = view.getUint16((x + k) >>> 0);
      else if (code === 0x50) a = view.getUint8((x + k) >>> 0);
      else if (code === 0xb1) x = (view.getUint8(k) & 15) * 4;
      else if (code === 0x00) a = k;
      else if (code === 0x04) a = (a + k) % 2 ** 32;
      else if (code === 0x54) a = Number(BigInt(a) & BigInt(k));
      else if (code === 0x74) a = Math.floor(a / 2 ** k);
      else if (code === 0x07) x = a;
      else if (code === 0x87) a = x;
      else if (code === 0x15) jumps(a === k);
      else if (code === 0x25) jumps(a > k);
      else if (code === 0x35) jumps(a >= k);
      else if (code === 0x45) jumps((BigInt(a) & BigInt(k)) !== 0n);
      else if (code === 0x05) pc += k;
      else return Math.min(code === 0x16 ? a : k, bytes.length);
    }
  } catch (error) {
    if (error instanceof RangeError) return 0;
    throw error;
  }
}
