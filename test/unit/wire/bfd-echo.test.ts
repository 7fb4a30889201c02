import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { BfdEchoCodec } from '../../../src/wire/bfd-echo.ts';
import { EncodeError } from '../../../src/wire/wire.ts';
import { toHex } from './arbitraries.ts';
import { sha1 } from './bfd-vectors.ts';

const key = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
const codec = new BfdEchoCodec(key, sha1);
const echo = { discriminator: 0x01020304, sequence: 5, sent: ms(1234.567) };

test('the form in the header, with the tag that HMAC-SHA-1 gives', () => {
  const signed = '47774531 01020304 00000005 000000000012d687'.replaceAll(' ', '');
  const tag = createHmac('sha1', key).update(Buffer.from(signed, 'hex')).digest('hex').slice(0, 32);
  assert.equal(toHex(codec.encode(echo)), signed + tag);
});

test('decode after encode is identity up to 2^53 µs; with another key it is refused', () => {
  const other = new BfdEchoCodec(key.with(0, 99), sha1);
  fc.assert(fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), fc.maxSafeNat(), (discriminator, sequence, µs) => {
    // 2^53 µs have no exact number of ms.
    const sent = ms(Math.floor(µs / 8) / 1000);
    const bytes = codec.encode({ discriminator, sequence, sent });
    assert.deepEqual(codec.decode(bytes), { kind: 'echo', discriminator, sequence, sent });
    const refused = other.decode(bytes);
    assert.equal(refused.kind === 'drop' && refused.reason, 'echo-digest');
  }), { numRuns: 1000 });
});

test('any one changed bit is refused, as are other lengths, whatever the bytes', () => {
  const bytes = codec.encode(echo);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const decoded = codec.decode(bytes.with(bit >> 3, bytes[bit >> 3]! ^ 1 << (bit & 7)));
    assert.equal(decoded.kind === 'drop' && decoded.reason, bit < 32 ? 'echo-form' : 'echo-digest', `bit ${bit}`);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (payload) => assert.equal(codec.decode(payload).kind, 'drop')), { numRuns: 2000 });
  assert.equal(codec.decode(Uint8Array.of(...bytes, 0)).kind, 'drop');
});

test('keys that protect nothing, and times that have no form, are refused', () => {
  for (const length of [0, 15, 65]) assert.throws(() => new BfdEchoCodec(new Uint8Array(length), sha1), EncodeError);
  assert.throws(() => codec.encode({ ...echo, sent: ms(Infinity) }), EncodeError);
  assert.throws(() => codec.encode({ ...echo, sent: ms(-1) }), EncodeError);
});
