/** IP prefixes: their texts, and the one that an address is in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { enclosingPrefix, parseIpPrefix, prefixText } from '../../../src/wire/ip-prefix.ts';
import { sameNetwork } from '../../../src/wire/same-network.ts';
import { DecodeError } from '../../../src/wire/wire.ts';

test('an address without a length is the prefix of itself alone', () => {
  for (const [text, prefix] of [
    ['192.0.2.1', '192.0.2.1/32'], ['192.0.2.1/24', '192.0.2.1/24'], ['0.0.0.0/0', '0.0.0.0/0'], ['192.0.2.1/032', '192.0.2.1/32'],
    ['2001:DB8::', '2001:db8::/128'], ['2001:db8:0::1/64', '2001:db8::1/64'],
  ] as const) assert.equal(prefixText(parseIpPrefix(text)), prefix);
});

test('refused: what is no prefix', () => {
  for (const text of ['', '/8', '10.0.0.0/', '10.0.0.0/33', '2001:db8::/129', '10.0.0.0/8/8', '10.0.0.0/-1', '10.0.0.0/ 8', '10.0.0.0/0x8', '10.0.0.0/1e1', '10.0.0/8', 'lan/8']) {
    assert.throws(() => parseIpPrefix(text), DecodeError, text);
  }
});

test('the prefix that an address is in: the RFCs\' examples', () => {
  for (const [text, prefix] of [
    // RFC 4632 §3.1, RFC 4291 §2.3.
    ['172.16.4.9/27', '172.16.4.0/27'], ['10.5.255.255/16', '10.5.0.0/16'], ['10.5.0.1/0', '0.0.0.0/0'], ['10.5.0.1', '10.5.0.1/32'],
    ['2001:db8:0:cd30:123:4567:89ab:cdef/60', '2001:db8:0:cd30::/60'],
  ] as const) assert.equal(prefixText(enclosingPrefix(parseIpPrefix(text))), prefix);
});

test('it is the same for all of one network, and for nobody else', () => {
  fc.assert(fc.property(fc.constantFrom(4, 16), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(127), fc.nat(128), (size, bytes, bit, length) => {
    const of = (b: Uint8Array) => (size === 4 ? Ipv4Address.of(b) : Ipv6Address.of(b));
    const [at, prefixLength] = [bit % (8 * size), length % (8 * size + 1)];
    const own = bytes.slice(0, size);
    const other = own.slice();
    other[at >> 3] = (other[at >> 3] ?? 0) ^ (0x80 >> (at & 7));
    const prefix = enclosingPrefix({ address: of(own), prefixLength });
    assert.equal(prefixText(enclosingPrefix({ address: of(other), prefixLength })) === prefixText(prefix), at >= prefixLength);
    assert.ok(sameNetwork(prefix.address, of(own), prefixLength));
    assert.equal(sameNetwork(of(own), of(other), prefixLength), at >= prefixLength);
  }));
});
