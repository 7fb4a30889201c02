/** Adverts as RFC 9568 and RFC 3768 draw them, and as keepalived and FRR send them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms, seconds } from '../../../src/base/units.ts';
import { wordSum } from '../../../src/wire/internet-checksum.ts';
import { type IpAddress, Ipv4Address, Ipv6Address, parseIpAddress } from '../../../src/wire/ip-address.ts';
import {
  type VrrpAdvert, type VrrpDialect, type VrrpExpected, type VrrpMessage, type VrrpPacket, decodeVrrp, encodeVrrp, isLinkLocal, virtualRouterMac, vrrpGroup,
} from '../../../src/wire/vrrp.ts';
import type { VrrpDropReason } from '../../../src/wire/vrrp-drop.ts';
import { EncodeError } from '../../../src/wire/wire.ts';
import { hex, ipv4, ipv6, toHex } from './arbitraries.ts';

const ip = parseIpAddress;
const expected: VrrpExpected = { version: 3, minTtl: 255, checksum: 'pseudo-header', peers: [] };
const decode = (packet: VrrpPacket, change: Partial<VrrpExpected> = {}): ReturnType<typeof decodeVrrp> => decodeVrrp(packet, () => ({ ...expected, ...change }));
const from = (source: string, payload: Uint8Array): VrrpPacket => ({ source: ip(source), destination: vrrpGroup[ip(source).family], ttl: 255, payload });
const reasonOf = (packet: VrrpPacket, change?: Partial<VrrpExpected>): VrrpDropReason | undefined => {
  const decoded = decode(packet, change);
  return decoded.kind === 'drop' ? decoded.reason : undefined;
};

// Added up by hand, RFC 1071: 3101 + 6401 + 0064 + c000 + 0201 = 15767, folded 5768, inverted a897; the pseudo-header adds
// c000 + 0202 + e000 + 0012 + 0070 + 000c = 1a290: 2f9f7, folded f9f9, inverted 0606.
const message: VrrpMessage = { version: 3, vrid: 1, priority: 100, interval: seconds(1), addresses: [ip('192.0.2.1')] };
const plain = hex('31 01 64 01 0064 a897 c0000201');
const withPseudoHeader = hex('31 01 64 01 0064 0606 c0000201');
// 2101 + 6401 + 0001 + c000 + 0201 = 14704, folded 4705, inverted b8fa.
const versionTwo = hex('21 01 64 01 00 01 b8fa c0000201 0000000000000000');

test('the figure of RFC 9568 §5.2, in both ways to sum it', () => {
  const path = { source: ip('192.0.2.2'), destination: vrrpGroup[4] };
  assert.equal(toHex(encodeVrrp(message, path, 'rfc9568')), toHex(plain));
  assert.equal(toHex(encodeVrrp(message, path, 'pseudo-header')), toHex(withPseudoHeader));
  for (const checksum of ['pseudo-header', 'rfc9568'] as const) {
    assert.deepEqual(decode(from('192.0.2.2', plain), { checksum }), { kind: 'advert', advert: { ...message, checksum: 'rfc9568' } });
    assert.deepEqual(decode(from('192.0.2.2', withPseudoHeader), { checksum }), { kind: 'advert', advert: { ...message, checksum: 'pseudo-header' } });
  }
});

test('the figure of RFC 3768 §5.1: whole seconds, no pseudo-header, 8 zeros at the end', () => {
  const two: VrrpMessage = { ...message, version: 2 };
  assert.equal(toHex(encodeVrrp(two, { source: ip('192.0.2.2'), destination: vrrpGroup[4] }, 'pseudo-header')), toHex(versionTwo));
  assert.deepEqual(decode(from('192.0.2.2', versionTwo), { version: 2 }), { kind: 'advert', advert: { ...two, checksum: 'version-2' } });
});

test('where both sums fit, the one that is configured is told', () => {
  // ~0 for a source that makes the pseudo-header add up to ffff: e000 + 0012 + 0070 + 000c + 1f71 + 0000 = ffff.
  const source = '31.113.0.0';
  for (const checksum of ['pseudo-header', 'rfc9568'] as const) {
    const decoded = decode(from(source, plain), { checksum });
    assert.equal(decoded.kind === 'advert' && decoded.advert.checksum, checksum);
  }
});

test('reserved bits of version 3 are ignored, as is what priority and addresses mean', () => {
  const reserved = hex('31 01 00 01 f064 1c97 c0000201');
  assert.deepEqual(decode(from('192.0.2.2', reserved)), { kind: 'advert', advert: { ...message, priority: 0, checksum: 'rfc9568' } });
});

test('every reason to drop an advert', () => {
  const good = from('192.0.2.2', withPseudoHeader);
  const two = from('192.0.2.2', versionTwo);
  const patched = (bytes: Uint8Array, at: number, byte: number): Uint8Array => bytes.with(at, byte);
  for (let length = 0; length < 8; length++) assert.equal(reasonOf({ ...good, payload: plain.subarray(0, length) }), 'truncated', String(length));
  assert.deepEqual(decodeVrrp(good, () => undefined), { kind: 'drop', reason: 'vrid', vrid: 1, found: 'VRID 1' });
  assert.equal(reasonOf({ ...good, payload: patched(plain, 1, 0) }), 'vrid', 'VRID 0 is nobody\'s');
  assert.equal(reasonOf({ ...good, source: ip('224.0.0.5') }), 'source');
  assert.equal(reasonOf({ ...good, source: Ipv4Address.unspecified }), 'source');
  assert.equal(reasonOf({ ...good, destination: ip('192.0.2.3') }), 'destination');
  assert.equal(reasonOf({ ...good, ttl: 254 }), 'ttl');
  assert.equal(reasonOf(good, { version: 2 }), 'version');
  assert.equal(reasonOf({ ...good, payload: patched(withPseudoHeader, 0, 0x32) }), 'type');
  assert.equal(reasonOf({ ...two, payload: patched(versionTwo, 4, 1) }, { version: 2 }), 'authentication');
  assert.equal(reasonOf({ ...good, payload: patched(plain, 3, 0) }), 'count');
  for (let length = 8; length < plain.length; length++) assert.equal(reasonOf({ ...good, payload: plain.subarray(0, length) }), 'length', String(length));
  assert.equal(reasonOf({ ...good, payload: Uint8Array.of(...withPseudoHeader, 0, 0) }), 'length', 'padding is no part of it');
  assert.equal(reasonOf({ ...two, payload: versionTwo.subarray(0, 12) }, { version: 2 }), 'length', 'without authentication data');
  assert.equal(reasonOf({ ...good, payload: patched(plain, 2, 101) }), 'checksum');
  assert.equal(reasonOf({ ...good, payload: hex('31 01 64 01 0000 a8fb c0000201') }), 'interval');
  assert.equal(reasonOf({ ...two, payload: hex('21 01 64 01 00 00 b8fb c0000201 0000000000000000') }, { version: 2 }), 'interval');
});

test("OpenBSD's CARP, which begins as version 2 does, is not taken for it", () => {
  const carp = Uint8Array.of(0x21, 1, 100, 7, 0, 1, 0, 0, ...new Uint8Array(28));
  assert.equal(reasonOf(from('192.0.2.2', carp), { version: 2 }), 'length');
});

test('IPv6 adverts come from a link-local address, and are summed with the pseudo-header alone', () => {
  const six: VrrpMessage = { ...message, addresses: [ip('fe80::1'), ip('2001:db8::1')] };
  const path = { source: ip('fe80::2'), destination: vrrpGroup[6] };
  const payload = encodeVrrp(six, path, 'rfc9568');
  assert.equal(toHex(payload), toHex(encodeVrrp(six, path, 'pseudo-header')));
  assert.deepEqual(decode({ ...path, ttl: 255, payload }, { checksum: 'rfc9568' }), { kind: 'advert', advert: { ...six, checksum: 'pseudo-header' } });
  assert.equal(reasonOf(from('2001:db8::2', payload)), 'source');
  const unsummed = payload.slice();
  unsummed.set([0, 0], 6);
  unsummed.set(hex((0xffff - wordSum(unsummed) % 0xffff).toString(16).padStart(4, '0')), 6);
  assert.equal(reasonOf({ ...path, ttl: 255, payload: unsummed }), 'checksum');
});

test('unicast: from peers alone, to an address alone, from as far as allowed', () => {
  const peers = [ip('192.0.2.2'), ip('2001:db8::2')];
  const path = { source: ip('192.0.2.2'), destination: ip('198.51.100.1'), ttl: 253 };
  const packet = { ...path, payload: encodeVrrp(message, path, 'pseudo-header') };
  assert.equal(reasonOf(packet, { peers, minTtl: 253 }), undefined);
  assert.equal(reasonOf(packet, { peers, minTtl: 254 }), 'ttl');
  assert.equal(reasonOf(packet, { peers: [ip('192.0.2.3')], minTtl: 1 }), 'source');
  assert.equal(reasonOf({ ...packet, destination: vrrpGroup[4] }, { peers, minTtl: 1 }), 'destination');
  const six = { source: ip('2001:db8::2'), destination: ip('2001:db8::1') };
  assert.equal(reasonOf({ ...six, ttl: 255, payload: encodeVrrp({ ...message, addresses: [ip('fe80::1')] }, six, 'pseudo-header') }, { peers }), undefined);
});

test('the virtual MAC of RFC 9568 §7.3', () => {
  assert.equal(virtualRouterMac(4, 51).toString(), '00:00:5e:00:01:33');
  assert.equal(virtualRouterMac(6, 255).toString(), '00:00:5e:00:02:ff');
  for (const vrid of [0, 256, 1.5]) assert.throws(() => virtualRouterMac(4, vrid), EncodeError);
});

test('link-local is fe80::/10', () => {
  for (const text of ['fe80::', 'febf:ffff::1']) assert.ok(isLinkLocal(ip(text)), text);
  for (const text of ['fe7f::1', 'fec0::1', '2001:db8::1', '254.128.0.1']) assert.ok(!isLinkLocal(ip(text)), text);
});

test('what version or field cannot say is refused, not cut', () => {
  const path = { source: ip('192.0.2.2'), destination: vrrpGroup[4] };
  const two = { ...message, version: 2 as const };
  const saysWhatFits = (words: RegExp) => (error: unknown): boolean => error instanceof EncodeError && words.test(error.message);
  for (const interval of [0, 500, 1500, 256_000, Number.NaN]) {
    assert.throws(() => encodeVrrp({ ...two, interval: ms(interval) }, path, 'rfc9568'), saysWhatFits(/whole seconds/), `2: ${interval}`);
  }
  for (const interval of [0, 5, 15, 40_960, -10, Number.NaN]) {
    assert.throws(() => encodeVrrp({ ...message, interval: ms(interval) }, path, 'rfc9568'), saysWhatFits(/steps of 10 ms/), `3: ${interval}`);
  }
  for (const [interval, bytes] of [[10, '0001'], [40_950, '0fff']] as const) {
    assert.equal(toHex(encodeVrrp({ ...message, interval: ms(interval) }, path, 'rfc9568').subarray(4, 6)), bytes);
  }
  for (const bad of [{ vrid: 0 }, { vrid: 256 }, { priority: 256 }, { addresses: [] }, { addresses: Array.from({ length: 256 }, () => ip('192.0.2.1')) }, { addresses: [ip('fe80::1')] }]) {
    assert.throws(() => encodeVrrp({ ...message, ...bad }, path, 'rfc9568'), EncodeError, Object.keys(bad).join());
  }
  assert.throws(() => encodeVrrp(message, { ...path, destination: vrrpGroup[6] }, 'rfc9568'), EncodeError);
  const six = { source: ip('fe80::2'), destination: vrrpGroup[6] };
  assert.throws(() => encodeVrrp({ ...two, addresses: [ip('fe80::1')] }, six, 'rfc9568'), EncodeError);
});

interface Sent {
  readonly message: VrrpMessage;
  readonly path: { readonly source: IpAddress; readonly destination: IpAddress };
  readonly dialect: VrrpDialect;
}

const linkLocal = ipv6.map((address) => Ipv6Address.of(Uint8Array.of(0xfe, 0x80, ...address.bytes().subarray(2))));
const sent: fc.Arbitrary<Sent> = fc.constantFrom([2, 4], [3, 4], [3, 6]).chain(([version, family]) =>
  fc.record({
    message: fc.record({
      version: fc.constant(version === 2 ? 2 as const : 3 as const),
      vrid: fc.integer({ min: 1, max: 255 }),
      priority: fc.nat(255),
      interval: version === 2 ? fc.integer({ min: 1, max: 255 }).map(seconds) : fc.integer({ min: 1, max: 4095 }).map((n) => ms(n * 10)),
      addresses: fc.array<IpAddress>(family === 4 ? ipv4 : ipv6, { minLength: 1, maxLength: 6 }),
    }, { noNullPrototype: true }),
    path: fc.record({
      source: family === 4 ? ipv4.filter((a) => !a.isMulticast && !a.isUnspecified) : linkLocal,
      destination: fc.constant<IpAddress>(family === 4 ? vrrpGroup[4] : vrrpGroup[6]),
    }),
    dialect: fc.constantFrom('pseudo-header', 'rfc9568'),
  }));

const told = ({ message, path, dialect }: Sent): VrrpAdvert['checksum'] => (message.version === 2 ? 'version-2' : path.source.family === 6 ? 'pseudo-header' : dialect);
const expecting = ({ message: { version }, dialect }: Sent): VrrpExpected => ({ ...expected, version, checksum: dialect });

test('decode after encode is identity', () => {
  fc.assert(fc.property(sent, (s) => {
    const payload = encodeVrrp(s.message, s.path, s.dialect);
    assert.deepEqual(decode({ ...s.path, ttl: 255, payload }, expecting(s)), { kind: 'advert', advert: { ...s.message, checksum: told(s) } });
  }), { numRuns: 2000 });
});

/** The hole that two ways to sum leave: the difference between them is that of one bit (vrrp.ts says when). */
function isHole({ path: { source, destination } }: Sent, length: number): boolean {
  const sum = (wordSum(source.bytes()) + wordSum(destination.bytes()) + 112 + length) % 0xffff;
  return [sum, 0xffff - sum].some((n) => n > 0 && (n & n - 1) === 0);
}

test('any one changed bit is refused, but for the hole between the two ways to sum', () => {
  fc.assert(fc.property(sent, (s) => {
    const payload = encodeVrrp(s.message, s.path, s.dialect);
    const bothWays = s.message.version === 3 && s.path.source.family === 4;
    for (let bit = 0; bit < payload.length * 8; bit++) {
      const damaged = payload.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ 1 << (bit & 7);
      const decoded = decode({ ...s.path, ttl: 255, payload: damaged }, expecting(s));
      if (decoded.kind === 'drop') continue;
      assert.ok(bothWays && isHole(s, payload.length) && decoded.advert.checksum !== s.dialect, `bit ${bit}`);
    }
  }));
});

test('the hole is there, and is told by the checksum\'s way', () => {
  // e000 + 0012 + 0070 + 000c + 1f72 + 0000 = 1 (mod ffff): the sums differ by one bit.
  const path = { source: ip('31.114.0.0'), destination: vrrpGroup[4] };
  const payload = encodeVrrp(message, path, 'pseudo-header');
  const turned = Array.from({ length: payload.length * 8 }, (_, bit) => {
    const damaged = payload.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    return decode({ ...path, ttl: 255, payload: damaged });
  }).filter((d) => d.kind === 'advert');
  assert.ok(turned.length > 0);
  assert.ok(turned.every((d) => d.advert.checksum === 'rfc9568'));
});

const anyExpected: fc.Arbitrary<VrrpExpected> = fc.record({
  version: fc.constantFrom(2, 3), minTtl: fc.constantFrom(1, 255), checksum: fc.constantFrom('pseudo-header', 'rfc9568'),
  peers: fc.constantFrom<IpAddress[]>([], [ip('192.0.2.2'), ip('fe80::2')]),
});
const anyPath = fc.oneof(
  fc.constantFrom('192.0.2.2', 'fe80::2').map((text) => ({ source: ip(text), destination: vrrpGroup[ip(text).family] })),
  fc.record({ source: ipv4, destination: ipv4 }), fc.record({ source: ipv6, destination: ipv6 }),
);

test('arbitrary bytes never throw, and what is taken encodes again', () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.tuple(sent, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat()).map(([s, writes, cut]) => {
    const out = encodeVrrp(s.message, s.path, s.dialect);
    for (const [at, byte] of writes) out[at % out.length] = byte;
    return cut % 3 === 0 ? out.slice(0, cut % (out.length + 1)) : out;
  }));
  fc.assert(fc.property(bytes, anyPath, fc.constantFrom(0, 1, 254, 255), anyExpected, (payload, path, ttl, expected) => {
    const decoded = decodeVrrp({ ...path, ttl, payload }, () => expected);
    if (decoded.kind === 'drop') return;
    const { checksum, ...message } = decoded.advert;
    const again = encodeVrrp(message, path, checksum === 'version-2' ? 'rfc9568' : checksum);
    assert.deepEqual(decodeVrrp({ ...path, ttl, payload: again }, () => ({ ...expected, checksum: checksum === 'version-2' ? 'rfc9568' : checksum })), decoded);
  }), { numRuns: 5000 });
});
