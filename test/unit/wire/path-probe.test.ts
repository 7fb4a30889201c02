import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type PathProbe, decodePathProbe, encodePathProbe, shortestProbe } from '../../../src/wire/path-probe.ts';
import { DecodeError } from '../../../src/wire/wire.ts';

const probe = fc.record<PathProbe>(
  { kind: fc.constantFrom('probe', 'answer'), nonce: fc.nat(0xffff_ffff), length: fc.integer({ min: shortestProbe, max: 0xffff }) },
  { noNullPrototype: true },
);

describe('path probe', () => {
  test('bytes: magic, kind, length, nonce, padding', () => {
    assert.deepEqual(encodePathProbe({ kind: 'probe', nonce: 0x01020304, length: 14 }),
      Uint8Array.of(0x47, 0x64, 0x77, 0x50, 0, 1, 0, 14, 1, 2, 3, 4, 0, 0));
    assert.deepEqual(encodePathProbe({ kind: 'answer', nonce: 0xffff_ffff, length: 1472 }),
      Uint8Array.of(0x47, 0x64, 0x77, 0x50, 0, 2, 0x05, 0xc0, 0xff, 0xff, 0xff, 0xff));
  });

  test('what is encoded is decoded, whatever Ethernet pads it with', () => {
    fc.assert(fc.property(probe, fc.uint8Array({ maxLength: 50 }), (value, padding) => {
      const bytes = encodePathProbe(value);
      assert.equal(bytes.length, value.kind === 'probe' ? value.length : shortestProbe);
      assert.deepEqual(decodePathProbe(Uint8Array.of(...bytes, ...padding)), value);
    }), { numRuns: 200 });
  });

  test('a probe that lost a byte of its padding is no probe of its length', () => {
    const bytes = encodePathProbe({ kind: 'probe', nonce: 7, length: 1400 });
    assert.throws(() => decodePathProbe(bytes.subarray(0, 1399)), { code: 'WIRE_TRUNCATED' });
  });

  test('a length shorter than the message itself, another kind, another magic', () => {
    const bytes = (at: number, value: number): Uint8Array => encodePathProbe({ kind: 'probe', nonce: 7, length: 20 }).with(at, value);
    assert.throws(() => decodePathProbe(bytes(7, 11)), { code: 'WIRE_MALFORMED' });
    assert.throws(() => decodePathProbe(bytes(5, 3)), { code: 'WIRE_UNSUPPORTED' });
    assert.throws(() => decodePathProbe(bytes(0, 0)), { code: 'WIRE_UNSUPPORTED' });
  });

  test('lengths that have no form', () => {
    for (const length of [11, 0x1_0000, Number.NaN, 13.5]) {
      assert.throws(() => encodePathProbe({ kind: 'probe', nonce: 7, length }), { code: 'WIRE_UNENCODABLE' }, String(length));
    }
  });

  test('whatever arrives, it is a value or a DecodeError', () => {
    const writes = fc.array(fc.tuple(fc.nat(15), fc.nat(255)), { maxLength: 3 });
    const touched = fc.tuple(probe, writes, fc.nat(80)).map(([value, writes, cut]) => {
      const bytes = encodePathProbe({ ...value, length: Math.min(value.length, 80) });
      for (const [at, byte] of writes) bytes[at] = byte;
      return bytes.subarray(0, cut);
    });
    fc.assert(fc.property(fc.oneof(touched, fc.uint8Array()), (bytes) => {
      let value;
      try {
        value = decodePathProbe(bytes);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
        return;
      }
      assert.deepEqual(decodePathProbe(encodePathProbe(value)), value);
    }), { numRuns: 2000 });
  });
});
