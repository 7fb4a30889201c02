import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { GodwitError } from '../../../src/base/error.ts';
import {
  type Attribute, NLM_F_ACK, NLM_F_MULTI, NLM_F_REQUEST, NetlinkDecodeError, acknowledgement, concat, decodeAttributes, decodeMessages,
  encodeAttributes, encodeMessage, readNumber, readText, text, u16, u16be, u32, u32be, u8,
} from '../../../src/host/netlink-message.ts';

const hex = (words: string): Uint8Array => Uint8Array.from(Buffer.from(words.replaceAll(/\s/g, ''), 'hex'));
const numRuns = 2000;

// iproute2 6.1 on Linux 6.18, as strace shows it: `ip link set ve0 master br0`, and the kernel's answer.
const SET_MASTER = hex(`
  28000000 1000 0500 eff2026b 00000000
  00000000 04000000 00000000 00000000
  0800 0a00 02000000`);
const ACKNOWLEDGED = hex(`
  24000000 0200 0001 eff2026b 88090000
  00000000 28000000 1000 0500 eff2026b 00000000`);
// `ip link add vx1 type vxlan id 7 …` where VNI 7 is taken; the request comes back whole (NETLINK_CAP_ACK is off in iproute2).
const VNI_TAKEN = hex(`
  ac000000 0200 0002 eff2026b 91090000
  efffffff 5c000000 10000506 eff2026b 00000000 00000000 00000000 00000000 00000000
  0800 0300 76783100 3400 1200 0900 0100 76786c61 6e000000 2400 0200 0800 0100 07000000 0800 0200 0a000003
  0500 0700 01000000 0600 0f00 12b60000
  3900 0100 41205658 4c414e20 64657669 63652077 69746820 74686520 73706563
  69666965 6420564e 4920616c 72656164 79206578 69737473 00000000`);
const VNI_WORDS = 'A VXLAN device with the specified VNI already exists';

describe('golden bytes', () => {
  test('a request as iproute2 writes it', () => {
    const header = concat(u8(0), u8(0), u16(0), u32(4), u32(0), u32(0));
    const request = encodeMessage(16, NLM_F_REQUEST | NLM_F_ACK, 0x6b02f2ef, concat(header, encodeAttributes([[10, u32(2)]])));
    assert.deepEqual(request, SET_MASTER);
  });

  test('an acknowledgement is success', () => {
    const [message, ...rest] = decodeMessages(ACKNOWLEDGED);
    assert.deepEqual(rest, []);
    assert.ok(message);
    assert.equal(message.sequence, 0x6b02f2ef);
    assert.deepEqual(acknowledgement(message), { errno: 0, words: '' });
  });

  test('a refusal with the whole request in it carries the kernel\'s words', () => {
    const [message] = decodeMessages(VNI_TAKEN);
    assert.ok(message);
    assert.deepEqual(acknowledgement(message), { errno: 17, words: VNI_WORDS });
  });

  test('a refusal with only the header of the request in it (NETLINK_CAP_ACK) carries them too', () => {
    // The header still says how long the request was.
    const body = concat(VNI_TAKEN.subarray(16, 36), VNI_TAKEN.subarray(112));
    const [message] = decodeMessages(encodeMessage(2, 0x300, 1, body));
    assert.ok(message);
    assert.deepEqual(acknowledgement(message), { errno: 17, words: VNI_WORDS });
  });

  test('the end of a list is an acknowledgement, with words if there are any, with or without a code', () => {
    const done = (flags: number, body: Uint8Array) => acknowledgement({ type: 3, flags, sequence: 1, body });
    assert.deepEqual(done(NLM_F_MULTI, u32(0)), { errno: 0, words: '' });
    assert.deepEqual(done(NLM_F_MULTI, new Uint8Array()), { errno: 0, words: '' });
    assert.deepEqual(done(0x200, concat(u32(-95 >>> 0), encodeAttributes([[1, text('no')]]))), { errno: 95, words: 'no' });
    assert.equal(acknowledgement({ type: 16, flags: 0, sequence: 1, body: u32(0) }), undefined);
  });

  test('the flag bits NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of a type; the last of a type wins', () => {
    const bytes = concat(hex('0800 0980 01000000 0800 0940 02000000'), hex('0500 0a00 07'));
    assert.deepEqual([...decodeAttributes(bytes)], [[9, u32(2)], [10, u8(7)]]);
  });

  test('numbers in both orders', () => {
    assert.deepEqual([u16be(4790), u32be(0x01020304), u32(0xfffffff1)], [hex('12b6'), hex('01020304'), hex('f1ffffff')]);
  });

  test('an error message that claims more of the request than there is', () => {
    for (const length of [57, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc]) {
      const body = concat(u32(-17 >>> 0), u32(length), new Uint8Array(12), encodeAttributes([[1, text('no')]]));
      assert.throws(() => acknowledgement({ type: 2, flags: 0x200, sequence: 1, body }), NetlinkDecodeError);
    }
  });
});

const flat = fc.tuple(fc.nat(0x3fff), fc.uint8Array({ maxLength: 40 }));
const { attributes } = fc.letrec<{ attribute: Attribute; attributes: Attribute[] }>((tie) => ({
  attribute: fc.oneof({ depthSize: 'small' }, flat, fc.tuple(fc.nat(0x3fff), tie('attributes'))),
  attributes: fc.uniqueArray(tie('attribute'), { maxLength: 5, selector: ([type]) => type }),
}));
const messages = fc.array(
  fc.record(
    { type: fc.nat(0xffff), flags: fc.nat(0xffff), sequence: fc.nat(0xffffffff), body: fc.uint8Array({ maxLength: 60 }) },
    { noNullPrototype: true },
  ),
  { maxLength: 5 },
);

/** A datagram pads each message to 4 bytes. */
function datagramOf(list: readonly { type: number; flags: number; sequence: number; body: Uint8Array }[]): Uint8Array {
  return concat(...list.map((m) => concat(encodeMessage(m.type, m.flags, m.sequence, m.body), new Uint8Array(-m.body.length & 3))));
}

function checkAttributes(expected: readonly Attribute[], bytes: Uint8Array): void {
  const found = decodeAttributes(bytes);
  assert.deepEqual([...found.keys()], expected.map(([type]) => type));
  for (const [type, value] of expected) {
    const decoded = found.get(type) ?? assert.fail();
    if (value instanceof Uint8Array) assert.deepEqual(decoded, value);
    else checkAttributes(value, decoded);
  }
}

describe('properties', () => {
  test('attributes come back, nested ones too', () => {
    fc.assert(fc.property(attributes, (list) => {
      const bytes = encodeAttributes(list);
      assert.equal(bytes.length % 4, 0);
      checkAttributes(list, bytes);
    }), { numRuns });
  });

  test('messages come back', () => {
    fc.assert(fc.property(messages, (list) => assert.deepEqual(decodeMessages(datagramOf(list)), list)), { numRuns });
  });

  test('numbers come back', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), (n) => {
      assert.equal(readNumber(u32(n)), n);
      assert.equal(readNumber(u32be(n).toReversed()), n);
      assert.equal(readNumber(u16(n & 0xffff)), n & 0xffff);
      assert.equal(readNumber(u8(n & 0xff)), n & 0xff);
    }));
    fc.assert(fc.property(fc.maxSafeNat(), (n) => assert.equal(readNumber(concat(u32(n >>> 0), u32(Math.floor(n / 2 ** 32)))), n)));
  });

  test('text comes back', () => {
    const letters = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((s) => !s.includes('\0') && !s.startsWith('\ufeff'));
    fc.assert(fc.property(letters, (s) => assert.equal(readText(text(s)), s)));
  });
});

/** Fails unless `decode` ends, with a value or a NetlinkDecodeError. */
function survives(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    assert.ok(error instanceof NetlinkDecodeError && error instanceof GodwitError, String(error));
  }
}

describe('fuzz: nothing but NetlinkDecodeError', () => {
  const mutated = (valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
    fc.tuple(valid, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.option(fc.nat())).map(([bytes, writes, cut]) => {
      const out = bytes.slice();
      for (const [at, byte] of writes) if (out.length > 0) out[at % out.length] = byte;
      return cut === null ? out : out.subarray(0, cut % (out.length + 1));
    });
  const everything = (bytes: Uint8Array): void => {
    survives(() => decodeAttributes(bytes));
    survives(() => {
      for (const message of decodeMessages(bytes)) {
        survives(() => acknowledgement(message));
        survives(() => decodeAttributes(message.body));
      }
    });
    for (const type of [2, 3]) {
      for (const flags of [0, 0x100, 0x200, 0x300]) survives(() => acknowledgement({ type, flags, sequence: 1, body: bytes }));
    }
  };
  const inputs: [string, fc.Arbitrary<Uint8Array>][] = [
    ['arbitrary bytes', fc.uint8Array({ maxLength: 80 })],
    ['mutated messages', mutated(messages.map(datagramOf))],
    ['mutated attributes', mutated(attributes.map(encodeAttributes))],
    ['mutated refusals', mutated(fc.constantFrom(VNI_TAKEN, ACKNOWLEDGED, VNI_TAKEN.subarray(16)))],
  ];
  for (const [name, bytes] of inputs) test(name, () => fc.assert(fc.property(bytes, everything), { numRuns }));

  test('a length below its own header is refused, not read for ever', () => {
    assert.throws(() => decodeAttributes(hex('0300 0100 00000000')), NetlinkDecodeError);
    assert.throws(() => decodeMessages(concat(u32(0), new Uint8Array(12))), NetlinkDecodeError);
    assert.throws(() => decodeMessages(concat(u32(17), new Uint8Array(12))), NetlinkDecodeError);
  });
});
