import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ControlReader, ControlWriter, readSocketAddress, writeSocketAddress } from '../../../src/native/control-message.ts';

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
interface Message {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

function read(bytes: Uint8Array, filled = bytes.length): Message[] {
  const reader = new ControlReader(bytes);
  const found: Message[] = [];
  for (reader.begin(filled); reader.next();) {
    const { buffer, byteOffset, byteLength } = reader.data();
    found.push({ level: reader.level, type: reader.type, data: new Uint8Array(buffer, byteOffset, byteLength) });
  }
  return found;
}

function write(messages: readonly Message[], writer = new ControlWriter(512)): Uint8Array {
  writer.begin();
  for (const { level, type, data } of messages) writer.bytes(level, type, data);
  return writer.finish().slice();
}

const plain = ({ level, type, data }: Message): unknown => [level, type, Buffer.from(data).toString('hex')];

const message = fc.record({
  level: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  type: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  data: fc.uint8Array({ maxLength: 40, size: 'max' }),
});

describe('control messages', () => {
  // As gcc lays out CMSG_DATA on x86_64: IP_TTL 254 (an int), IP_TOS 0xbb (a byte), SO_TIMESTAMPNS 1 s 500 ns.
  const golden = hex(`14000000 00000000 00000000 02000000 fe000000 00000000
    11000000 00000000 00000000 01000000 bb000000 00000000
    20000000 00000000 01000000 23000000 01000000 00000000 f4010000 00000000`);

  it('are read as the kernel writes them', () => {
    const reader = new ControlReader(golden);
    const found: unknown[] = [];
    for (reader.begin(golden.length); reader.next();) found.push([reader.level, reader.type, reader.int(), reader.milliseconds()]);
    assert.deepEqual(found, [[0, 2, 254, undefined], [0, 1, 0xbb, undefined], [1, 35, 1, 1000.0005]]);
    assert.deepEqual(write(read(golden)), golden);
  });

  it('written as ints are what the kernel takes', () => {
    const writer = new ControlWriter(64);
    writer.begin();
    writer.int(0, 2, 254);
    writer.int(41, 67, -1);
    assert.deepEqual(writer.finish(), hex(`14000000 00000000 00000000 02000000 fe000000 00000000
      14000000 00000000 29000000 43000000 ffffffff 00000000`));
  });

  it('written into a used buffer have nothing of what was there', () => {
    const writer = new ControlWriter(512);
    fc.assert(fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      assert.deepEqual(write(messages, writer), write(messages));
    }));
  });

  it('are read as far as the buffer was filled', () => {
    assert.equal(read(golden, golden.length - 1).length, 2);
  });

  it('with a length of 4 GiB and more ends the reading', () => {
    const bytes = golden.slice();
    bytes[28] = 1;
    assert.equal(read(bytes).length, 1);
  });

  it('come back as they were written', () => {
    fc.assert(fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const written = write(messages);
      assert.equal(written.length % 8, 0);
      assert.deepEqual(read(written).map(plain), messages.map(plain));
    }));
  });

  it('cut anywhere, are those that are whole', () => {
    fc.assert(fc.property(fc.array(message, { maxLength: 5 }), fc.nat(300), (messages, length) => {
      const written = write(messages);
      const cut = read(written.slice(0, length)).map(plain);
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
      const reader = new ControlReader(part);
      for (reader.begin(part.length + 9); reader.next();) {
        const data = reader.data();
        assert.ok(data.byteOffset >= offset + 16 && data.byteOffset + data.byteLength <= offset + bytes.length);
        reader.int();
        reader.milliseconds();
        reader.bytes(3, 4);
        readSocketAddress(data);
      }
    }), { numRuns: 1000 });
  });

  it('have no value where they are too short', () => {
    for (const length of [0, 2, 3, 15]) {
      const bytes = write([{ level: 1, type: 35, data: new Uint8Array(length) }]);
      const reader = new ControlReader(bytes);
      reader.begin(bytes.length);
      assert.ok(reader.next());
      if (length < 4) assert.equal(reader.int(), undefined);
      assert.equal(reader.milliseconds(), undefined);
      assert.equal(reader.bytes(0, length + 1), undefined);
    }
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
