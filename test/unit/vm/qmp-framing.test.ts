import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { QmpProtocolError } from '../../../src/vm/qmp-errors.ts';
import { encodeQmp, parseQmp, QmpDecoder } from '../../../src/vm/qmp-framing.ts';
import { readQmpMessage } from '../../../src/vm/qmp-message.ts';

/** The greeting and an event, as QEMU 10.0.2 writes them, carriage returns included. */
const recorded = Buffer.from(
  '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian"}, "capabilities": ["oob"]}}\r\n' +
    '{"timestamp": {"seconds": 1795354117, "microseconds": 615727}, "event": "STOP"}\r\n',
);

/** Cuts `bytes` at arbitrary places. */
function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...cuts.map((cut) => cut % (bytes.length + 1)), 0, bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.slice(at[index], end));
}

const message = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue());

test('recorded bytes, one at a time', () => {
  const decoder = new QmpDecoder();
  const messages = [...recorded].flatMap((byte) => decoder.push(Uint8Array.of(byte))).map(readQmpMessage);
  assert.deepEqual(messages, [
    { kind: 'greeting', version: { major: 10, minor: 0, micro: 2 }, capabilities: ['oob'] },
    { kind: 'event', name: 'STOP', data: {}, at: 1795354117615.727 },
  ]);
});

test('however the bytes are cut, the messages are the same', () => {
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat()), (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(encodeQmp));
      const decoder = new QmpDecoder();
      const decoded = pieces(bytes, cuts).flatMap((piece) => {
        const complete = decoder.push(piece);
        // The transport may reuse its buffer.
        piece.fill(0x0a);
        return complete;
      });
      assert.deepEqual(decoded, messages.map((value) => parseQmp(encodeQmp(value).toString())));
    }),
  );
});

test('integers of 64 bits come as number where that is exact and as bigint where it is not', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
      const { v } = Object(parseQmp(encodeQmp({ v: value }).toString()));
      assert.equal(BigInt(v), value);
      assert.equal(typeof v, Number.isSafeInteger(Number(value)) ? 'number' : 'bigint');
    }),
  );
  assert.deepEqual(parseQmp('{"a": 9007199254740993, "b": "9007199254740993", "c": 0.1234567890123456, "d": 1e300}'), {
    a: 9007199254740993n,
    b: '9007199254740993',
    c: 0.1234567890123456,
    d: 1e300,
  });
});

test('a message may be as long as the bound and not a byte longer', () => {
  const line = `{"a":"${'x'.repeat(100 - 8)}"}`;
  assert.equal(line.length, 100);
  assert.equal(new QmpDecoder(100).push(Buffer.from(`${line}\n${line}\n`)).length, 2);
  assert.throws(() => new QmpDecoder(99).push(Buffer.from(`${line}\n`)), QmpProtocolError);
  const decoder = new QmpDecoder(99);
  decoder.push(Buffer.from(line.slice(0, 99)));
  assert.throws(() => decoder.push(Buffer.from('"')), QmpProtocolError);
});

test('what is not JSON or not UTF-8 is refused', () => {
  for (const bytes of [Buffer.from('HTTP/1.1 400 Bad Request\r\n'), Buffer.from('{"a":"\xff"}\n', 'latin1'), Buffer.from('{"a":\n')]) {
    assert.throws(() => new QmpDecoder().push(bytes), QmpProtocolError);
  }
});

test('fuzz: bytes are read or refused, never anything else', () => {
  const garbled = fc.tuple(fc.nat(recorded.length - 1), fc.nat(255)).map(([at, byte]) => {
    const copy = Uint8Array.from(recorded);
    copy[at] = byte;
    return copy;
  });
  const json = fc.json().map((text) => Buffer.from(`${text}\n`));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), garbled, json), (bytes) => {
      try {
        for (const value of new QmpDecoder(1024).push(bytes)) readQmpMessage(value);
      } catch (error) {
        assert.ok(error instanceof QmpProtocolError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
