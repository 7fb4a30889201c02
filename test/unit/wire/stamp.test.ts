/** STAMP packets as RFC 8762 §4 and RFC 8972 §3-4 draw them, TWAMP-Light's of RFC 5357, and whatever else arrives. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type StampAnswer, type StampProbe, decodeStampAnswer, decodeStampProbe, encodeStampAnswer, encodeStampProbe, stampBase,
} from '../../../src/wire/stamp.ts';
import {
  type NtpTimestamp, type StampTimestamp, type TimestampFormat, clockError, errorOf, timestampFromBits, timestampOf, unixNanoseconds, unixOf,
} from '../../../src/wire/stamp-time.ts';
import { type ReflectFacts, type StampDigest, type StampTlv, decodeTlvs, encodeTlvs, isTlvList, reflectTlvs } from '../../../src/wire/stamp-tlv.ts';
import { EncodeError } from '../../../src/wire/wire.ts';
import { ms } from '../../../src/base/units.ts';
import { hex, toHex } from './arbitraries.ts';

const digest: StampDigest = (text) => createHmac('sha256', 'a key').update(text).digest();
const stamp = (bits: bigint, format: TimestampFormat = 'ntp'): StampTimestamp => {
  const made = timestampFromBits(bits, format);
  assert.ok(made);
  return made;
};

// 2021-01-01T00:00:00.5Z: 1609459200 + 2208988800 = 3818448000 = e398e480, half a second is 80000000.
const halfPast = stamp(0xe398e480_80000000n);
const probe: StampProbe = { sequence: 7, timestamp: halfPast, clock: { synchronized: true, scale: 5, multiplier: 3 }, ssid: 0x1234 };
const probeBytes = `00000007 e398e48080000000 8503 1234 ${'00'.repeat(28)}`;
const answer: StampAnswer = {
  sequence: 2, timestamp: stamp(0x600eb380_00000005n, 'ptp'), clock: { synchronized: false, scale: 63, multiplier: 255 }, ssid: 0x1234,
  received: stamp(0x600eb380_00000001n, 'ptp'), probe: { sequence: 7, timestamp: halfPast, clock: probe.clock }, probeTtl: 254,
};
const answerBytes = '00000002 600eb38000000005 7fff 1234 600eb38000000001 00000007 e398e48080000000 8503 0000 fe 000000';

test('the open packets of RFC 8762 §4.2.1 and §4.3.1, with the SSID of RFC 8972 §3', () => {
  assert.equal(toHex(encodeStampProbe(probe)), toHex(hex(probeBytes)));
  assert.equal(toHex(encodeStampAnswer(answer)), toHex(hex(answerBytes)));
  assert.deepEqual(decodeStampProbe(hex(probeBytes)), { kind: 'probe', probe, extension: new Uint8Array() });
  assert.deepEqual(decodeStampAnswer(hex(answerBytes)), { kind: 'answer', answer, extension: new Uint8Array() });
});

test('the authenticated packets of RFC 8762 §4.2.2 and §4.3.2: 96 bytes and a digest over them', () => {
  const probeBody = hex(`00000007 ${'00'.repeat(12)} e398e48080000000 8503 1234 ${'00'.repeat(68)}`);
  const answerBody = hex(`00000002 ${'00'.repeat(12)} 600eb38000000005 7fff 1234 00000000 600eb38000000001 ${'00'.repeat(8)} 00000007 ${'00'.repeat(12)} e398e48080000000 8503 ${'00'.repeat(6)} fe ${'00'.repeat(15)}`);
  for (const [body, packet] of [[probeBody, encodeStampProbe(probe, undefined, digest)], [answerBody, encodeStampAnswer(answer, undefined, digest)]] as const) {
    assert.equal(body.length, 96);
    assert.equal(toHex(packet), toHex(body) + toHex(digest(body).subarray(0, 16)));
  }
  assert.deepEqual(decodeStampProbe(encodeStampProbe(probe, undefined, digest), digest), { kind: 'probe', probe, extension: new Uint8Array() });
  assert.deepEqual(decodeStampAnswer(encodeStampAnswer(answer, undefined, digest), digest), { kind: 'answer', answer, extension: new Uint8Array() });
});

test('any one changed bit of the 112 bytes is refused', () => {
  for (const [packet, decode] of [[encodeStampProbe(probe, undefined, digest), decodeStampProbe], [encodeStampAnswer(answer, undefined, digest), decodeStampAnswer]] as const) {
    for (let bit = 0; bit < 112 * 8; bit++) {
      const damaged = packet.with(bit >> 3, (packet[bit >> 3] ?? 0) ^ 1 << (bit & 7));
      const decoded = decode(damaged, digest);
      assert.equal(decoded.kind === 'drop' && decoded.reason, 'hmac', `bit ${bit}`);
    }
  }
});

test('TWAMP-Light: probes from 14 bytes, answers from 41, and the field that is an SSID here is none', () => {
  const short = hex('00000007 e398e48080000000 8503 ffffff');
  const decoded = decodeStampProbe(short);
  assert.deepEqual(decoded.kind === 'probe' && decoded.probe, { ...probe, ssid: 0 });
  for (let length = 0; length < 14; length++) assert.equal(decodeStampProbe(short.subarray(0, length)).kind, 'drop');
  const bytes = hex(answerBytes);
  assert.deepEqual(decodeStampAnswer(bytes.subarray(0, 41)), { kind: 'answer', answer, extension: new Uint8Array() });
  for (let length = 0; length < 41; length++) assert.equal(decodeStampAnswer(bytes.subarray(0, length)).kind, 'drop');
});

test('zeros of the RFC are not looked at, and a PTP timestamp of a thousand million nanoseconds is none', () => {
  const noisy = hex(`00000007 e398e48080000000 8503 1234 ${'ff'.repeat(28)}`);
  assert.deepEqual(decodeStampProbe(noisy), decodeStampProbe(hex(probeBytes)));
  const most = hex(`00000007 600eb380 3b9ac9ff 4001 0000 ${'00'.repeat(28)}`);
  const tooMany = hex(`00000007 600eb380 3b9aca00 4001 0000 ${'00'.repeat(28)}`);
  assert.equal(decodeStampProbe(most).kind, 'probe');
  assert.deepEqual(decodeStampProbe(tooMany), { kind: 'drop', reason: 'timestamp', found: 'the probe\'s' });
});

test('timestamps: known instants', () => {
  const at = (iso: string, extra = 0n): ReturnType<typeof unixNanoseconds> => unixNanoseconds(BigInt(Date.parse(iso)) * 1_000_000n + extra);
  assert.equal(timestampOf(at('2021-01-01T00:00:00.500Z'), 'ntp').bits, 0xe398e480_80000000n);
  assert.equal(timestampOf(at('1970-01-01T00:00:00Z'), 'ntp').bits, 0x83aa7e80_00000000n, 'RFC 5905 §A: 2208988800');
  assert.equal(timestampOf(at('2021-01-01T00:00:00Z', 1n), 'ptp').bits, 0x5fee6600_00000001n);
  assert.equal(timestampOf(at('1970-01-01T00:00:00Z', 2n), 'ntp').bits & 0xffff_ffffn, 9n, '8.59 of 2^-32 s');
  // The first second of NTP's era 1, and of truncated PTP's second round.
  assert.equal(timestampOf(at('2036-02-07T06:28:16Z'), 'ntp').bits, 0n);
  assert.equal(timestampOf(at('2106-02-07T06:28:16Z'), 'ptp').bits, 0n);
  assert.equal(unixOf(stamp(0n), at('2036-02-07T06:28:15Z')), at('2036-02-07T06:28:16Z'));
  assert.equal(unixOf(stamp(0xffffffff_00000000n), at('2036-02-07T06:28:20Z')), at('2036-02-07T06:28:15Z'));
  // The last fraction is nearer to the next second than to a nanosecond before it.
  assert.equal(unixOf(stamp(0xe398e480_ffffffffn), at('2021-01-01T00:00:00Z')), at('2021-01-01T00:00:01Z'));
});

const instant = fc.bigInt({ min: 0n, max: 8_000_000_000_000_000_000n }).map(unixNanoseconds);
const format = fc.constantFrom<TimestampFormat>('ntp', 'ptp');

test('an instant survives both formats to the nanosecond, as long as one within 68 years is known', () => {
  fc.assert(fc.property(instant, format, fc.bigInt({ min: -2_140_000_000_000_000_000n, max: 2_140_000_000_000_000_000n }), (at, format, away) => {
    assert.equal(unixOf(timestampOf(at, format), unixNanoseconds(at + away)), at);
  }), { numRuns: 5000 });
});

test('NTP timestamps of the same second keep their order', () => {
  fc.assert(fc.property(instant, fc.bigInt({ min: 1n, max: 1_000_000n }), (at, later) => {
    const [a, b] = [timestampOf(at, 'ntp').bits as NtpTimestamp, timestampOf(unixNanoseconds(at + later), 'ntp').bits as NtpTimestamp];
    assert.ok(BigInt.asUintN(64, b - a) >= 4n * later && BigInt.asUintN(64, b - a) <= 5n * later, '2^32 / 10^9 is 4.29');
  }));
});

test('an error estimate never says less than it should, nor twice as much', () => {
  assert.deepEqual(clockError(true, ms(0)), { synchronized: true, scale: 0, multiplier: 1 });
  assert.equal(errorOf({ synchronized: true, scale: 32, multiplier: 2 }), 2000, 'RFC 4656 §4.1.2');
  assert.equal(errorOf({ synchronized: true, scale: 32, multiplier: 0 }), undefined);
  for (const bad of [-1, Number.NaN]) assert.throws(() => clockError(true, ms(bad)), EncodeError);
  fc.assert(fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (error) => {
    const said = errorOf(clockError(false, ms(error))) ?? 0;
    assert.ok(said >= error && said <= error * 1.01 + 1e-6, `${error}: ${said}`);
  }));
});

const facts: ReflectFacts = {
  sequence: 7, answerSequence: 2, dscp: 10, ecn: 1, permits: () => true, source: 'ntp', methodIn: 'software', methodOut: 'software',
};
const cos: StampTlv = { type: 'class-of-service', wanted: 46, received: 0, ecn: 0, refused: false };
const asks: StampTlv = { type: 'timestamp-information', sourceIn: undefined, methodIn: undefined, sourceOut: undefined, methodOut: undefined };

test('TLVs of RFC 8972 §4, to and from the reflector', () => {
  const sent = encodeTlvs([{ type: 'padding', length: 3 }, cos, asks], 7);
  // DSCP1 46 is 101110, then DSCP2, ECN, RP and 16 reserved bits; padding goes last.
  assert.equal(toHex(sent), toHex(hex('8004 0004 b8000000 8003 0004 00000000 8001 0003 000000')));
  const { extension, dscp } = reflectTlvs(sent, facts, undefined, false);
  // 101110 001010 01 00.
  assert.equal(toHex(extension), toHex(hex('0004 0004 b8a40000 0003 0004 01020102 0001 0003 000000')));
  assert.equal(dscp, 46);
  assert.deepEqual(decodeTlvs(extension, 2, undefined, false), {
    tlvs: [
      { type: 'class-of-service', wanted: 46, received: 10, ecn: 1, refused: false },
      { type: 'timestamp-information', sourceIn: 'ntp', methodIn: 'software', sourceOut: 'ntp', methodOut: 'software' },
      { type: 'padding', length: 3 },
    ],
    unknown: [], malformed: false, forged: false,
  });
});

test('a mark that is not permitted: the probe\'s own, and RP says so (§4.4)', () => {
  const { extension, dscp } = reflectTlvs(encodeTlvs([cos], 7), { ...facts, permits: (dscp) => dscp !== 46 }, undefined, false);
  assert.equal(dscp, 10);
  assert.equal(toHex(extension), toHex(hex('0004 0004 b8a50000')));
});

test('every value of a class of service survives', () => {
  const six = fc.nat(63);
  fc.assert(fc.property(six, six, fc.nat(3), fc.boolean(), (wanted, received, ecn, refused) => {
    const tlv: StampTlv = { type: 'class-of-service', wanted, received, ecn, refused };
    assert.deepEqual(decodeTlvs(encodeTlvs([tlv], 1).with(0, 0), 1, undefined, false).tlvs, [tlv]);
  }));
});

test('a type nobody knows is skipped, comes back with U set and as it was, and does not stop the others', () => {
  const list = hex('a0c8 0002 beef 80ff 0000 8004 0004 b8000000');
  // Flags of a sender are its own affair: they are set anew.
  const { extension } = reflectTlvs(list.with(0, 0x80), facts, undefined, false);
  assert.equal(toHex(extension), toHex(hex('80c8 0002 beef 80ff 0000 0004 0004 b8a40000')));
  const decoded = decodeTlvs(extension, 2, undefined, false);
  assert.deepEqual([decoded.unknown, decoded.tlvs.length], [[0xc8, 0xff], 1]);
});

test('a malformed TLV gets M, and what follows is copied and not acted on (§4)', () => {
  for (const [list, want] of [
    ['8004 0005 b800000000 8004 0004 b8000000', '4004 0005 b800000000 8004 0004 b8000000'],
    ['8004 0004 b8000000 8001 0009 0000', '0004 0004 b8a40000 4001 0009 0000'],
    ['8004 0004 b8000000 8001 00', '0004 0004 b8a40000 4001 00'],
    ['80', '40'],
  ] as const) {
    const { extension } = reflectTlvs(hex(list), facts, undefined, false);
    assert.equal(toHex(extension), toHex(hex(want)));
    assert.equal(decodeTlvs(extension, 2, undefined, false).malformed, true);
  }
});

test('what begins without U is a TWAMP-Light peer\'s padding: copied', () => {
  const padding = hex('0004 0004 b8000000 00');
  assert.equal(isTlvList(padding), false);
  assert.deepEqual(reflectTlvs(padding, facts, undefined, false), { extension: padding, dscp: 10 });
});

test('the digest over TLVs (§4.8): sequence number and all before it, padding behind it', () => {
  const sent = encodeTlvs([cos, { type: 'padding', length: 2 }], 7, digest);
  const tlv = hex('8004 0004 b8000000');
  assert.equal(toHex(sent), toHex(tlv) + '80080010' + toHex(digest(Uint8Array.of(0, 0, 0, 7, ...tlv)).subarray(0, 16)) + '800100020000');
  const { extension, dscp } = reflectTlvs(sent, facts, digest, true);
  assert.equal(dscp, 46);
  const back = hex('0004 0004 b8a40000');
  assert.equal(toHex(extension), toHex(back) + '00080010' + toHex(digest(Uint8Array.of(0, 0, 0, 2, ...back)).subarray(0, 16)) + '000100020000');
  assert.equal(decodeTlvs(extension, 2, digest, true).forged, false);
  assert.equal(decodeTlvs(extension, 3, digest, true).forged, true, 'of another packet');
  assert.equal(toHex(encodeTlvs([{ type: 'padding', length: 1 }], 7, digest)), '8001000100', 'padding alone needs none');
});

test('where the digest does not fit, is missing, or stands elsewhere, every TLV gets I, nothing is acted on and nothing is believed', () => {
  const good = encodeTlvs([cos], 7, digest);
  const bad: [string, Uint8Array, StampDigest | undefined, boolean][] = [
    ['damaged', good.with(4, 0), digest, true], ['nobody has the key', good, undefined, false], ['missing', encodeTlvs([cos], 7), digest, true],
    ['not last', Uint8Array.of(...good, ...encodeTlvs([cos], 7)), digest, true], ['of another packet', encodeTlvs([cos], 8, digest), digest, true],
  ];
  for (const [why, list, key, authenticated] of bad) {
    const { extension, dscp } = reflectTlvs(list, facts, key, authenticated);
    assert.equal(dscp, 10, why);
    assert.equal(extension[0], 0x20, why);
    assert.equal(toHex(extension.subarray(1, 8)), toHex(list.subarray(1, 8)), why);
    assert.deepEqual(decodeTlvs(extension, 2, key, authenticated), { tlvs: [], unknown: [], malformed: false, forged: true }, why);
  }
  assert.equal(reflectTlvs(encodeTlvs([{ type: 'padding', length: 9 }], 7), facts, digest, true).extension[0], 0, 'padding alone needs none');
});

test('what does not fit its field is refused, not cut', () => {
  for (const bad of [{ sequence: -1 }, { sequence: 2 ** 32 }, { ssid: 65_536 }, { clock: { synchronized: true, scale: 64, multiplier: 1 } }, { clock: { synchronized: true, scale: 1, multiplier: 256 } }]) {
    assert.throws(() => encodeStampProbe({ ...probe, ...bad }), EncodeError, Object.keys(bad).join());
  }
  for (const bad of [{ probeTtl: 256 }, { received: halfPast }, { sequence: 1.5 }]) assert.throws(() => encodeStampAnswer({ ...answer, ...bad }), EncodeError, Object.keys(bad).join());
  assert.throws(() => encodeTlvs([{ ...cos, wanted: 64 }], 1), EncodeError);
  assert.throws(() => encodeTlvs([{ type: 'padding', length: 65_536 }], 1), EncodeError);
  assert.throws(() => encodeStampProbe(probe, undefined, () => new Uint8Array(15)), EncodeError);
});

const bits = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const timestamp = (format: TimestampFormat): fc.Arbitrary<StampTimestamp> =>
  bits.map((b) => stamp(format === 'ntp' ? b : b >> 32n << 32n | (b & 0xffff_ffffn) % 1_000_000_000n, format));
const clock = fc.record({ synchronized: fc.boolean(), scale: fc.nat(63), multiplier: fc.nat(255) }, { noNullPrototype: true });
const u32 = fc.nat(2 ** 32 - 1);
const anyProbe: fc.Arbitrary<StampProbe> = format.chain((format) => fc.record({ sequence: u32, timestamp: timestamp(format), clock, ssid: fc.nat(65_535) }, { noNullPrototype: true }));
const anyAnswer: fc.Arbitrary<StampAnswer> = fc.tuple(format, anyProbe).chain(([format, { sequence, timestamp: sentAt, clock: senders }]) => fc.record({
  sequence: u32, timestamp: timestamp(format), clock, ssid: fc.nat(65_535), received: timestamp(format),
  probe: fc.constant({ sequence, timestamp: sentAt, clock: senders }), probeTtl: fc.nat(255),
}, { noNullPrototype: true }));
const anyDigest = fc.constantFrom(undefined, digest);

test('decode after encode is identity', () => {
  const extension = fc.uint8Array({ maxLength: 40 });
  fc.assert(fc.property(anyProbe, anyAnswer, extension, anyDigest, (probe, answer, extension, digest) => {
    assert.deepEqual(decodeStampProbe(encodeStampProbe(probe, extension, digest), digest), { kind: 'probe', probe, extension });
    assert.deepEqual(decodeStampAnswer(encodeStampAnswer(answer, extension, digest), digest), { kind: 'answer', answer, extension });
  }), { numRuns: 1000 });
});

/** Bytes, or a good packet with a few of them overwritten, perhaps cut. */
const mutated = (valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> => fc.oneof(
  fc.uint8Array({ maxLength: 160 }),
  fc.tuple(valid, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat(), fc.boolean()).map(([bytes, writes, at, cut]) => {
    const out = bytes.slice();
    for (const [where, byte] of writes) if (out.length > 0) out[where % out.length] = byte;
    return cut ? out.subarray(0, at % (out.length + 1)) : out;
  }),
);

test('arbitrary packets never throw, and what is taken encodes to the same again, but for zeros that were none', () => {
  fc.assert(fc.property(mutated(anyProbe.map((p) => encodeStampProbe(p))), mutated(anyAnswer.map((a) => encodeStampAnswer(a))), anyDigest, (one, other, digest) => {
    const probe = decodeStampProbe(one, digest);
    if (probe.kind === 'probe') assert.deepEqual(decodeStampProbe(encodeStampProbe(probe.probe, probe.extension, digest), digest), probe);
    const answer = decodeStampAnswer(other, digest);
    if (answer.kind === 'answer') assert.deepEqual(decodeStampAnswer(encodeStampAnswer(answer.answer, answer.extension, digest), digest), answer);
  }), { numRuns: 5000 });
});

test('arbitrary TLVs never throw at either end, keep their length, and only flags and the reflector\'s own fields change', () => {
  const tlv = fc.oneof(fc.constant(cos), fc.constant(asks), fc.nat(20).map((length): StampTlv => ({ type: 'padding', length })));
  const list = fc.tuple(fc.array(tlv, { maxLength: 5 }), anyDigest).map(([tlvs, key]) => encodeTlvs(tlvs, 7, key));
  let [good, marked] = [0, 0];
  fc.assert(fc.property(mutated(list), anyDigest, fc.boolean(), (received, key, authenticated) => {
    const { extension, dscp } = reflectTlvs(received, facts, key, authenticated);
    assert.equal(extension.length, received.length);
    assert.ok(dscp >= 0 && dscp <= 63);
    const decoded = decodeTlvs(extension, 2, key, authenticated);
    if (isTlvList(received) && !decoded.malformed && !decoded.forged) {
      good++;
      if (dscp !== 10) marked++;
      // All TLVs are accounted for: those known, those not, and at most one digest.
      let count = 0;
      for (let at = 0; at < received.length; at += 4 + ((received[at + 2] ?? 0) << 8 | (received[at + 3] ?? 0))) if (received[at + 1] !== 8) count++;
      assert.equal(decoded.tlvs.length + decoded.unknown.length, count);
    }
  }), { numRuns: 5000 });
  assert.ok(good > 100 && marked > 20, `${good}, ${marked}`);
});

test('the base is 44 bytes, or 112', () => {
  assert.deepEqual([stampBase(), stampBase(digest)], [44, 112]);
});
