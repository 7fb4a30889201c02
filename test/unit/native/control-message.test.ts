import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  intOf, millisecondsOf, readControl, readSocketAddress, writeControl, writeSocketAddress,
} from '../../../src/native/control-message.ts';
import type { ControlMessage } from '../../../src/native/control-message.ts';

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const plain = ({ level, type, data }: ControlMessage): unknown =>
  [level, type, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')];

const message = fc.record({
  level: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  type: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  data: fc.uint8Array({ maxLength: 40, size: 'max' }).map(view),
});

describe('control messages', () => {
  // As gcc lays out CMSG_DATA on x86_64: IP_TTL 254 (an int), IP_TOS 0xbb (a byte), SO_TIMESTAMPNS 1 s 500 ns.
  const golden = hex(`14000000 00000000 00000000 02000000 fe000000 00000000
    11000000 00000000 00000000 01000000 bb000000 00000000
    20000000 00000000 01000000 23000000 01000000 00000000 f4010000 00000000`);

  it('are read as the kernel writes them', () => {
    const [ttl, tos, stamp, more] = readControl(golden);
    assert.ok(ttl && tos && stamp && more === undefined);
    assert.deepEqual([ttl, tos, stamp].map(({ level, type }) => [level, type]), [[0, 2], [0, 1], [1, 35]]);
    assert.deepEqual([intOf(ttl.data), intOf(tos.data), millisecondsOf(stamp.data)], [254, 0xbb, 1000.0005]);
    assert.deepEqual(writeControl([ttl, tos, stamp]), golden);
  });

  it('with a length of 4 GiB and more ends the reading', () => {
    const bytes = golden.slice();
    bytes[28] = 1;
    assert.equal(readControl(bytes).length, 1);
  });

  it('come back as they were written', () => {
    fc.assert(fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const written = writeControl(messages);
      assert.equal(written.length % 8, 0);
      assert.deepEqual(readControl(written).map(plain), messages.map(plain));
    }));
  });

  it('cut anywhere, are those that are whole', () => {
    fc.assert(fc.property(fc.array(message, { maxLength: 5 }), fc.nat(300), (messages, length) => {
      const written = writeControl(messages);
      const cut = readControl(written.slice(0, length)).map(plain);
      assert.deepEqual(cut, messages.map(plain).slice(0, cut.length));
      if (length >= written.length) assert.equal(cut.length, messages.length);
    }));
  });

  it('of any bytes at all end, within the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100, size: 'max' }), fc.nat(20), (bytes, offset) => {
      // Lengths that are small are the interesting ones.
      for (let i = 1; i < bytes.length; i++) if (i % 24 < 8 && i % 24 > 0) bytes[i] = 0;
      const whole = new Uint8Array([...new Uint8Array(offset), ...bytes, 1, 2, 3]);
      const part = whole.subarray(offset, offset + bytes.length);
      for (const { data } of readControl(part)) {
        assert.ok(data.byteOffset >= offset + 16 && data.byteOffset + data.byteLength <= offset + bytes.length);
        intOf(data);
        millisecondsOf(data);
        readSocketAddress(data);
      }
    }), { numRuns: 1000 });
  });

  it('have no value where they are too short', () => {
    for (const length of [0, 2, 3]) assert.equal(intOf(view(new Uint8Array(length))), undefined);
    assert.equal(millisecondsOf(view(new Uint8Array(15))), undefined);
  });
});

describe('addresses of sockets', () => {
  it('are laid out as the kernel has them', () => {
    const four = { address: Uint8Array.of(192, 0, 2, 1), port: 3784 };
    const six = { address: hex('fe80 0000 0000 0000 0000 0000 0000 0002'), port: 862 };
    assert.deepEqual(writeSocketAddress(four), hex('0200 0ec8 c0000201 0000000000000000'));
    assert.deepEqual(writeSocketAddress(six, 7), hex('0a00 035e 00000000 fe800000000000000000000000000002 07000000'));
    assert.deepEqual(readSocketAddress(view(writeSocketAddress(four))), four);
    assert.deepEqual(readSocketAddress(view(writeSocketAddress(six, 7))), six);
  });

  it('cut, or of another family, are none', () => {
    for (const [size, least] of [[4, 8], [16, 24]] as const) {
      const bytes = writeSocketAddress({ address: new Uint8Array(size), port: 1 });
      for (let length = 0; length <= bytes.length; length++) {
        assert.equal(readSocketAddress(view(bytes.slice(0, length))) === undefined, length < least, `${length}`);
      }
    }
    assert.equal(readSocketAddress(view(hex('0100 0000 00000000 00000000 00000000'))), undefined);
  });
});
