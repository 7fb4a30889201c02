import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import type { BfdAuthentication, BfdAuthKind } from '../../../src/wire/bfd-auth.ts';
import { type BfdDropReason, bfdDropReasons } from '../../../src/wire/bfd-drop.ts';
import { type BfdControl, type BfdDatagram, type BfdExpected, bfdDiagnostics, decodeBfd, encodeBfd } from '../../../src/wire/bfd.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { EncodeError } from '../../../src/wire/wire.ts';
import { hex, toHex, u8 } from './arbitraries.ts';
import { bird, birdMd5, control, datagram, expected, frr, sha1, tailwind } from './bfd-vectors.ts';

const decode = (payload: Uint8Array, change: Partial<BfdExpected> = {}, way: Partial<BfdDatagram> = {}): ReturnType<typeof decodeBfd> =>
  decodeBfd(datagram(payload, way), () => ({ ...expected, ...change }), sha1);
const heard = (...args: Parameters<typeof decode>): BfdControl | BfdDropReason => {
  const decoded = decode(...args);
  return decoded.kind === 'drop' ? decoded.reason : decoded.control;
};
const reasons = new Set<BfdDropReason>();
const refused = (reason: BfdDropReason, ...args: Parameters<typeof decode>): void => {
  reasons.add(reason);
  assert.equal(heard(...args), reason);
};

// RFC 5880 §4.1, bit by bit: version 1 and Diag 3: 001 00011; Up, P, C, D: 11 101 0 1 0; mult 5; length 24; 1; 2; 100 ms, 200 ms, 300 ms in µs.
const figure = hex('23 ea 05 18 00000001 00000002 000186a0 00030d40 000493e0');
const says = control({
  diagnostic: 'neighbor-down', poll: true, controlPlaneIndependent: true, demand: true, detectMult: 5,
  myDiscriminator: 1, yourDiscriminator: 2, desiredMinTx: ms(100), requiredMinRx: ms(200), requiredMinEchoRx: ms(300),
});

test('the figure of RFC 5880 §4.1', () => {
  assert.equal(toHex(encodeBfd(says)), toHex(figure));
  assert.deepEqual(heard(figure), says);
});

test('what bfdd and BIRD send reads as they mean it, and is encoded to the same bytes', () => {
  for (const [bytes, control] of frr) {
    assert.deepEqual(heard(hex(bytes)), control, bytes);
    assert.equal(toHex(encodeBfd(control)), toHex(hex(bytes)));
  }
  for (const [kind, bytes, sequence, control] of bird) {
    const by = tailwind(kind);
    assert.deepEqual(decode(hex(bytes), { authentication: by }), {
      kind: 'control', session: { ...expected, authentication: by }, control, sequence: kind === 'simple' ? undefined : sequence,
    }, bytes);
    assert.equal(toHex(encodeBfd(control, { by, sequence, sha1 })), toHex(hex(bytes)));
  }
});

test('every reason to drop a control packet', () => {
  const at = (index: number, byte: number): Uint8Array => figure.with(index, byte);
  for (let length = 0; length < 24; length++) refused('truncated', figure.subarray(0, length));
  refused('version', at(0, 0x03));
  refused('version', at(0, 0x43));
  refused('length', at(3, 23));
  refused('length', Uint8Array.of(...figure, 0, 0).with(1, 0xee).with(3, 25));
  refused('truncated', at(3, 25));
  refused('detect-mult', at(2, 0));
  refused('multipoint', at(1, 0xeb));
  refused('my-discriminator', at(7, 0));
  for (const flags of [0x80, 0xc0]) refused('your-discriminator', at(11, 0).with(1, flags));
  for (const flags of [0x00, 0x40]) assert.equal(typeof heard(at(11, 0).with(1, flags)), 'object', 'while Down or AdminDown it may not know');
  assert.deepEqual(decodeBfd(datagram(figure), () => undefined, sha1), { kind: 'drop', reason: 'no-session', found: 'discriminator 2' });
  reasons.add('no-session');
  const multi = { hops: 'multi', peer: expected.path.peer, local: parseIpAddress('192.0.2.1'), minTtl: 250 } as const;
  refused('port', figure, {}, { port: 4784 });
  refused('port', figure, { path: multi });
  refused('source', figure, {}, { source: parseIpAddress('192.0.2.3') });
  refused('source', figure, {}, { source: parseIpAddress('fe80::2') });
  refused('interface', figure, {}, { interface: 'e1' });
  refused('ttl', figure, {}, { ttl: 254 });
  refused('ttl', figure, { path: multi }, { port: 4784, ttl: 249 });
  assert.deepEqual(heard(figure, { path: multi }, { port: 4784, ttl: 250, interface: 'e9' }), says);

  const [simple, , hashed, , meticulous] = bird.map(([, bytes]) => hex(bytes));
  assert.ok(simple && hashed && meticulous);
  refused('auth-unexpected', hashed);
  refused('auth-missing', figure, { authentication: tailwind('sha1') });
  refused('auth-type', simple, { authentication: tailwind('sha1') });
  refused('auth-type', hashed, { authentication: tailwind('meticulous-sha1') });
  refused('auth-type', hex(birdMd5), { authentication: tailwind('sha1') });
  refused('auth-length', hashed.with(25, 27), { authentication: tailwind('sha1') });
  refused('auth-length', Uint8Array.of(...hashed, 0).with(3, 53).with(25, 29), { authentication: tailwind('sha1') });
  refused('auth-length', simple.with(25, 12), { authentication: tailwind('simple') });
  refused('auth-length', simple.slice(0, 27).with(3, 27).with(25, 3), { authentication: tailwind('simple') });
  for (const [kind, packet] of [['simple', simple], ['sha1', hashed]] as const) {
    refused('auth-key-id', packet.with(26, 8), { authentication: tailwind(kind) });
    refused('auth-digest', packet.with(34, packet[34]! ^ 1), { authentication: tailwind(kind) });
  }
  refused('auth-sequence', hashed, { authentication: tailwind('sha1'), lastSequence: 0xa14bfe55 });
  assert.deepEqual([...reasons].sort(), Object.keys(bfdDropReasons).filter((reason) => !reason.startsWith('echo')).sort());
});

test('bytes behind the length it says are no part of it', () => {
  assert.deepEqual(heard(Uint8Array.of(...figure, 1, 2, 3)), says);
  const [, bytes, sequence, control] = bird[2]!;
  assert.deepEqual(decode(Uint8Array.of(...hex(bytes), 9), { authentication: tailwind('sha1') }), {
    kind: 'control', session: { ...expected, authentication: tailwind('sha1') }, control, sequence,
  });
});

test('sequence numbers: the same or up to 3 × Detect Mult ahead, round the end of 32 bits; meticulous never the same (§6.7.3, §6.7.4)', () => {
  const takes = (kind: BfdAuthKind, sequence: number, lastSequence: number): boolean => {
    const by = tailwind(kind);
    return typeof heard(encodeBfd(control(), { by, sequence, sha1 }), { authentication: by, lastSequence }) === 'object';
  };
  for (const last of [0, 100, 2 ** 32 - 5, 2 ** 32 - 1]) {
    for (const ahead of [-1, 0, 1, 9, 10, 2 ** 31]) {
      const sequence = (last + ahead) >>> 0;
      assert.equal(takes('sha1', sequence, last), ahead >= 0 && ahead <= 9, `sha1 ${last} + ${ahead}`);
      assert.equal(takes('meticulous-sha1', sequence, last), ahead > 0 && ahead <= 9, `meticulous ${last} + ${ahead}`);
    }
  }
});

test('of several keys it sends with the first and takes all', () => {
  const [old, fresh] = [{ id: 1, secret: Uint8Array.of(1) }, { id: 2, secret: Uint8Array.of(2) }];
  const both: BfdAuthentication = { kind: 'sha1', keys: [fresh, old] };
  const sent = encodeBfd(control(), { by: both, sequence: 1, sha1 });
  assert.equal(sent[26], 2);
  for (const by of [{ kind: 'sha1', keys: [old] }, { kind: 'sha1', keys: [fresh] }] as const) {
    assert.equal(typeof heard(encodeBfd(control(), { by, sequence: 1, sha1 }), { authentication: both }), 'object');
  }
});

test('a part of the password is none, nor is more than it', () => {
  const signedWith = (password: string): Uint8Array => {
    const by: BfdAuthentication = { kind: 'simple', keys: [{ id: 7, secret: new TextEncoder().encode(password) }] };
    return encodeBfd(control(), { by, sequence: 0, sha1 });
  };
  assert.equal(typeof heard(signedWith('tailwind'), { authentication: tailwind('simple') }), 'object');
  for (const password of ['t', 'tailwin', 'tailwind\0', 'tailwindy', 'Tailwind']) {
    assert.equal(heard(signedWith(password), { authentication: tailwind('simple') }), 'auth-digest', password);
  }
});

test('what cannot be said is refused, not cut', () => {
  for (const bad of [
    { poll: true, final: true }, { diagnostic: 'reserved' as const }, { detectMult: 0 }, { detectMult: 256 }, { myDiscriminator: 0 },
    { yourDiscriminator: 2 ** 32 }, { desiredMinTx: ms(0.0005) }, { desiredMinTx: ms(4_294_967.296) }, { requiredMinRx: ms(-1) }, { requiredMinRx: ms(Number.NaN) },
  ]) assert.throws(() => encodeBfd(control(bad)), EncodeError, JSON.stringify(bad));
});

const interval = fc.nat(0xffff_ffff).map((n) => ms(n / 1000));
const anyControl: fc.Arbitrary<BfdControl> = fc.record({
  diagnostic: fc.constantFrom(...Object.keys(bfdDiagnostics).filter((d): d is BfdControl['diagnostic'] => d !== 'reserved')),
  state: fc.constantFrom('admin-down', 'down', 'init', 'up'), poll: fc.boolean(), final: fc.boolean(), controlPlaneIndependent: fc.boolean(), demand: fc.boolean(),
  detectMult: fc.integer({ min: 1, max: 255 }), myDiscriminator: fc.integer({ min: 1, max: 0xffff_ffff }), yourDiscriminator: fc.nat(0xffff_ffff),
  desiredMinTx: interval, requiredMinRx: interval, requiredMinEchoRx: interval,
}, { noNullPrototype: true }).map((c) => ({
  ...c, final: c.final && !c.poll, yourDiscriminator: c.state === 'init' || c.state === 'up' ? Math.max(1, c.yourDiscriminator) : c.yourDiscriminator,
}));
const anyAuth: fc.Arbitrary<BfdAuthentication> = fc.record({
  kind: fc.constantFrom('simple', 'sha1', 'meticulous-sha1'),
  keys: fc.tuple(fc.record({ id: u8, secret: fc.uint8Array({ minLength: 1, maxLength: 16 }) })),
});
const u32 = fc.nat(0xffff_ffff);

test('decode after encode is identity, authenticated or not', () => {
  fc.assert(fc.property(anyControl, fc.option(anyAuth, { nil: undefined }), u32, (control, by, sequence) => {
    const payload = encodeBfd(control, by && { by, sequence, sha1 });
    const session = { ...expected, authentication: by };
    assert.deepEqual(decode(payload, session), {
      kind: 'control', session, control, sequence: by && by.kind !== 'simple' ? sequence : undefined,
    });
  }), { numRuns: 2000 });
});

test('any one changed bit of what SHA-1 signs is refused; of a simple one, any of the section', () => {
  fc.assert(fc.property(anyControl, anyAuth, u32, (control, by, sequence) => {
    const payload = encodeBfd(control, { by, sequence, sha1 });
    // A password protects itself and nothing else.
    const from = by.kind === 'simple' ? 8 * 24 : 0;
    for (let bit = from; bit < payload.length * 8; bit++) {
      const damaged = payload.with(bit >> 3, payload[bit >> 3]! ^ 1 << (bit & 7));
      assert.equal(typeof heard(damaged, { authentication: by }), 'string', `bit ${bit}`);
    }
  }));
});

test('arbitrary bytes never throw, and what is taken encodes again', () => {
  const mended = fc.tuple(anyControl, fc.option(anyAuth, { nil: undefined }), u32, fc.array(fc.tuple(fc.nat(), u8), { maxLength: 2 }), fc.nat())
    .map(([control, by, sequence, writes, cut]) => {
      const out = encodeBfd(control, by && { by, sequence, sha1 });
      for (const [at, byte] of writes) out[at % out.length] = byte;
      return { payload: cut % 3 === 0 ? out.slice(0, cut % (out.length + 1)) : out, authentication: by };
    });
  const alien = fc.record({ payload: fc.uint8Array({ maxLength: 70 }), authentication: fc.option(anyAuth, { nil: undefined }) });
  let taken = 0;
  fc.assert(fc.property(fc.oneof(alien, mended), fc.option(u32, { nil: undefined, freq: 1 }), ({ payload, authentication }, lastSequence) => {
    const decoded = decode(payload, { authentication, lastSequence });
    if (decoded.kind === 'drop') return;
    taken++;
    const { diagnostic } = decoded.control;
    const again = { ...decoded.control, diagnostic: diagnostic === 'reserved' ? 'none' as const : diagnostic };
    if (again.poll && again.final) return;
    assert.deepEqual(heard(encodeBfd(again)), again);
  }), { numRuns: 5000 });
  assert.ok(taken > 200, `${taken}`);
});
