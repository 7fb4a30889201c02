/** Adverts as whole frames: those of keepalived and FRR, and Godwit's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ms } from '../../../src/base/units.ts';
import { decodeEthernet, encodeEthernet } from '../../../src/wire/ethernet.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { decodeIpv4, encodeIpv4 } from '../../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6 } from '../../../src/wire/ipv6.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { type VrrpAdvert, type VrrpExpected, virtualRouterMac } from '../../../src/wire/vrrp.ts';
import { type VrrpDropReason, vrrpDropReasons } from '../../../src/wire/vrrp-drop.ts';
import { type VrrpFrame, decodeVrrpFrame, vrrpFrame } from '../../../src/wire/vrrp-frame.ts';
import { EncodeError } from '../../../src/wire/wire.ts';
import { hex, toHex, u8 } from './arbitraries.ts';

const ip = parseIpAddress;
const expected: VrrpExpected = { version: 3, minTtl: 255, checksum: 'rfc9568', peers: [] };
const decode = (frame: Uint8Array, change: Partial<VrrpExpected> = {}): ReturnType<typeof decodeVrrpFrame> =>
  decodeVrrpFrame(frame, () => ({ ...expected, ...change }));

interface Golden {
  /** Whose, and how it was configured. */
  readonly name: string;
  readonly frame: Uint8Array;
  readonly advert: VrrpAdvert;
  readonly change?: Partial<VrrpExpected>;
  readonly sent: Omit<VrrpFrame, 'message' | 'checksum'>;
}

const own = MacAddress.parse('02:00:00:00:0a:01');
const source = ip('192.0.2.1');
const advert = (vrid: number, priority: number, interval: number, addresses: readonly string[], checksum: VrrpAdvert['checksum'] = 'pseudo-header'): VrrpAdvert =>
  ({ version: checksum === 'version-2' ? 2 : 3, vrid, priority, interval: ms(interval), addresses: addresses.map(ip), checksum });

// Captured on a veth pair, Linux 6.18: keepalived 2.2.7 and FRR 8.4.4 of Debian 12. Neither has an option to sum IPv4 as RFC 9568 does.
const goldens: readonly Golden[] = [
  {
    name: 'keepalived: version 2, virtual_router_id 51, priority 200, advert_int 1, two addresses',
    frame: hex(`01005e000012 02000000 0a01 0800 45c0002c 00010000 ff70188d c0000201 e0000012
      2133c802 000191fe c0000264 c0000265 0000000000000000`),
    advert: advert(51, 200, 1000, ['192.0.2.100', '192.0.2.101'], 'version-2'), change: { version: 2 }, sent: { sourceMac: own, source },
  },
  {
    name: 'keepalived: version 3, use_vmac, virtual_router_id 52, priority 150, advert_int 0.1',
    frame: hex('01005e000012 00005e000134 0800 45c00020 00010000 ff701899 c0000201 e0000012 31349601 000ad3c8 c0000266'),
    advert: advert(52, 150, 100, ['192.0.2.102']), sent: { sourceMac: virtualRouterMac(4, 52), source },
  },
  {
    name: 'keepalived: the same, stopped',
    frame: hex('01005e000012 00005e000134 0800 45c00020 003a0000 ff701860 c0000201 e0000012 31340001 000a69c9 c0000266'),
    advert: advert(52, 0, 100, ['192.0.2.102']), sent: { sourceMac: virtualRouterMac(4, 52), source },
  },
  {
    name: 'keepalived: version 3, unicast_src_ip, unicast_peer, virtual_router_id 55, advert_int 0.25',
    frame: hex('020000000b01 020000000a01 0800 45c00020 00010000 ff7036a9 c0000201 c0000202 31379601 0019f1c3 c0000269'),
    advert: advert(55, 150, 250, ['192.0.2.105']), change: { peers: [source] },
    sent: { sourceMac: own, source, to: { address: ip('192.0.2.2'), mac: MacAddress.parse('02:00:00:00:0b:01') } },
  },
  {
    name: 'keepalived: version 3, use_vmac, virtual_router_id 53, advert_int 0.5, IPv6',
    frame: hex(`333300000012 00005e000235 86dd 6c0f3222 0028 70 ff fe800000000000000000000000000001 ff020000000000000000000000000012
      31359602 00320d87 fe800000000000000000000000000053 20010db8000000000000000000000053`),
    advert: advert(53, 150, 500, ['fe80::53', '2001:db8::53']), sent: { sourceMac: virtualRouterMac(6, 53), source: ip('fe80::1') },
  },
  {
    name: 'FRR: version 3, vrrp 61 priority 120, advertisement-interval 100',
    frame: hex('01005e000012 00005e00013d 0800 45c00020 1f4a4000 ff70b94f c0000201 e0000012 313d7801 000af184 c00002a1'),
    advert: advert(61, 120, 100, ['192.0.2.161']), sent: { sourceMac: virtualRouterMac(4, 61), source },
  },
  {
    name: 'FRR: the same in IPv6, from the virtual address',
    frame: hex(`333300000012 00005e00023d 86dd 6c07114e 0028 70 ff fe800000000000000000000000000061 ff020000000000000000000000000012
      313d7802 000a2b2b fe800000000000000000000000000061 20010db8000000000000000000000061`),
    advert: advert(61, 120, 100, ['fe80::61', '2001:db8::61']), sent: { sourceMac: virtualRouterMac(6, 61), source: ip('fe80::61') },
  },
  {
    name: 'FRR: version 2, vrrp 63, advertisement-interval 1000',
    frame: hex('01005e000012 00005e00013f 0800 45c00028 20b34000 ff70b7de c0000201 e0000012 213f6401 0001b81a c00002a3 0000000000000000'),
    advert: advert(63, 100, 1000, ['192.0.2.163'], 'version-2'), change: { version: 2 }, sent: { sourceMac: virtualRouterMac(4, 63), source },
  },
];
const keepalived3 = goldens[1]!;
const keepalived6 = goldens[4]!;

/** With what each is free to choose taken from Godwit: IPv4's identification and Don't Fragment, IPv6's flow label. */
function asOurs(frame: Uint8Array): Uint8Array {
  const ethernet = decodeEthernet(frame);
  const payload = ethernet.etherType === 0x0800
    ? encodeIpv4({ ...decodeIpv4(ethernet.payload), identification: 0, dontFragment: true })
    : encodeIpv6({ ...decodeIpv6(ethernet.payload), flowLabel: 0 });
  return encodeEthernet({ ...ethernet, payload });
}

for (const { name, frame, advert, change, sent } of goldens) {
  test(name, () => {
    const destination = sent.to?.address ?? (sent.source.family === 4 ? ip('224.0.0.18') : ip('ff02::12'));
    const heard = { kind: 'advert', advert, sourceMac: sent.sourceMac, source: sent.source, destination, ttl: 255 };
    assert.deepEqual(decode(frame, change), heard);
    assert.deepEqual(decode(Uint8Array.of(...frame, 1, 2, 3, 4), change), heard, 'padded by Ethernet');
    const { checksum, ...message } = advert;
    assert.equal(toHex(vrrpFrame({ message, checksum: checksum === 'version-2' ? 'rfc9568' : checksum, ...sent })), toHex(asOurs(frame)));
  });
}

test('keepalived: version 2 with auth_type PASS', () => {
  const frame = hex('01005e000012 020000000a01 0800 45c00028 00010000 ff701891 c0000201 e0000012 2136c801 01011712 c0000268 7365637265740000');
  assert.deepEqual(decode(frame, { version: 2 }), { kind: 'drop', reason: 'authentication', found: 'Auth Type 1', vrid: 54 });
});

test('what Godwit sends, byte by byte: TTL 255, CS6, Don\'t Fragment', () => {
  const { checksum: _, ...message } = keepalived3.advert;
  assert.equal(
    toHex(vrrpFrame({ message, checksum: 'rfc9568', ...keepalived3.sent })),
    toHex(hex('01005e000012 00005e000134 0800 45c00020 00004000 ff70d899 c0000201 e0000012 31349601 000a7659 c0000266')),
  );
});

const reasonOf = (frame: Uint8Array, change?: Partial<VrrpExpected>): VrrpDropReason | undefined => {
  const decoded = decode(frame, change);
  return decoded.kind === 'drop' ? decoded.reason : undefined;
};

test('frames that are no whole IP packet of protocol 112 directly behind its header', () => {
  const { frame } = keepalived3;
  const ethernet = decodeEthernet(frame);
  const packet = decodeIpv4(ethernet.payload);
  const four = (change: Partial<typeof packet>): Uint8Array => encodeEthernet({ ...ethernet, payload: encodeIpv4({ ...packet, ...change }) });
  assert.equal(reasonOf(four({})), undefined);
  assert.equal(reasonOf(four({ ttl: 254 })), 'ttl');
  assert.equal(reasonOf(four({ protocol: 17 })), 'protocol');
  assert.equal(reasonOf(four({ moreFragments: true })), 'fragment');
  assert.equal(reasonOf(four({ fragmentOffset: 1 })), 'fragment');
  assert.equal(reasonOf(four({ options: Uint8Array.of(0x94, 4, 0, 0) })), 'options');
  assert.equal(reasonOf(encodeEthernet({ ...ethernet, etherType: 0x0806 })), 'protocol');
  assert.equal(reasonOf(frame.with(24, 0)), 'ip', 'header checksum');
  for (let length = 0; length < frame.length; length++) assert.equal(reasonOf(frame.subarray(0, length)), 'ip', String(length));

  const outer = decodeEthernet(keepalived6.frame);
  const inner = decodeIpv6(outer.payload);
  const six = (nextHeader: number): Uint8Array => encodeEthernet({ ...outer, payload: encodeIpv6({ ...inner, nextHeader }) });
  assert.equal(reasonOf(six(112)), undefined);
  assert.equal(reasonOf(six(44)), 'fragment');
  for (const header of [0, 43, 51, 60]) assert.equal(reasonOf(six(header)), 'options', String(header));
  assert.equal(reasonOf(six(58)), 'protocol');
});

test('a router is looked up by family and VRID', () => {
  const asked: [number, number][] = [];
  for (const { frame } of [keepalived3, keepalived6]) decodeVrrpFrame(frame, (...key) => (asked.push(key), undefined));
  assert.deepEqual(asked, [[4, 52], [6, 53]]);
});

test('families do not mix', () => {
  const { checksum: _, ...message } = keepalived3.advert;
  const to = { address: ip('fe80::2'), mac: own };
  assert.throws(() => vrrpFrame({ message, checksum: 'rfc9568', sourceMac: own, source, to }), EncodeError);
  assert.throws(() => vrrpFrame({ message, checksum: 'rfc9568', sourceMac: own, source: ip('fe80::2') }), EncodeError);
});

test('any one changed bit from the IP header on is refused, but for what nothing sums: IPv6\'s traffic class and flow label', () => {
  for (const { name, frame, change } of goldens) {
    const whole = decode(frame, change);
    for (let bit = 14 * 8; bit < frame.length * 8; bit++) {
      const at = bit >> 3;
      const decoded = decode(frame.with(at, (frame[at] ?? 0) ^ 0x80 >> (bit & 7)), change);
      const unsummed = whole.kind === 'advert' && whole.source.family === 6 && bit >= 14 * 8 + 4 && bit < 18 * 8;
      if (unsummed) assert.deepEqual(decoded, whole, name);
      else assert.equal(decoded.kind, 'drop', `${name}: bit ${bit}`);
    }
  }
});

test('arbitrary and damaged frames never throw, and every reason is documented', () => {
  const damaged = fc.tuple(fc.constantFrom(...goldens), fc.array(fc.tuple(fc.nat(), u8), { maxLength: 4 }), fc.nat(), fc.boolean(), fc.uint8Array({ maxLength: 8 }))
    .map(([{ frame }, writes, at, cut, tail]) => {
      const out = Uint8Array.of(...frame, ...tail);
      for (const [where, byte] of writes) out[where % out.length] = byte;
      return cut ? out.slice(0, at % (out.length + 1)) : out;
    });
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), damaged), fc.constantFrom(2, 3), (frame, version) => {
    const decoded = decode(frame, { version });
    if (decoded.kind === 'drop') assert.ok(Object.hasOwn(vrrpDropReasons, decoded.reason));
  }), { numRuns: 5000 });
});
