import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  Ipv4Address, Ipv6Address, multicastMac, parseIpAddress, solicitedNodeMulticast,
} from '../../../src/wire/ip-address.ts';
import { DecodeError, EncodeError } from '../../../src/wire/wire.ts';
import { bytesOf, hex, ipv4, ipv6, toHex } from './arbitraries.ts';

const malformed = (error: unknown): boolean => error instanceof DecodeError && error.code === 'WIRE_MALFORMED';

test('IPv4 text', () => {
  assert.equal(toHex(Ipv4Address.parse('192.0.2.255').bytes()), 'c00002ff');
  assert.equal(Ipv4Address.of(hex('c00002ff')).toString(), '192.0.2.255');
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.4 ', '0x1.2.3.4', '1..3.4', '-1.2.3.4', '1.2.3.4/24']) {
    assert.throws(() => Ipv4Address.parse(text), malformed, text);
  }
});

// The examples of RFC 4291 §2.2 and RFC 5952 §2 and §4, as read and as RFC 5952 writes them.
for (const [text, canonical] of [
  ['ABCD:EF01:2345:6789:ABCD:EF01:2345:6789', 'abcd:ef01:2345:6789:abcd:ef01:2345:6789'],
  ['2001:DB8:0:0:8:800:200C:417A', '2001:db8::8:800:200c:417a'],
  ['FF01:0:0:0:0:0:0:101', 'ff01::101'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['0:0:0:0:0:0:13.1.68.3', '::d01:4403'],
  ['::FFFF:129.144.52.38', '::ffff:129.144.52.38'],
  ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
  ['2001:db8::0:1', '2001:db8::1'],
  ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
  ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ['fe80::', 'fe80::'],
] as const) {
  test(`IPv6 ${text} is ${canonical}`, () => {
    assert.equal(Ipv6Address.parse(text).toString(), canonical);
    assert.ok(Ipv6Address.parse(text).equals(Ipv6Address.parse(canonical)));
  });
}

test('IPv6 texts that are none', () => {
  for (const text of ['', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4::5:6:7:8', '12345::', 'g::', ':1::', '1:',
    '1.2.3.4::', '1.2.3.4:1:2:3:4:5:6', '::1.2.3', '::01.2.3.4', 'fe80::1%eth0', '2001:db8::/32', '::1 ', '1:2:3:4:5:6:7:1.2.3.4']) {
    assert.throws(() => Ipv6Address.parse(text), malformed, text);
  }
});

test('parseIpAddress tells the families apart', () => {
  assert.equal(parseIpAddress('192.0.2.1').family, 4);
  assert.equal(parseIpAddress('::192.0.2.1').family, 6);
  for (const text of ['', '5', 'localhost', 'a.b', 'a:b']) assert.throws(() => parseIpAddress(text), malformed, text);
});

test('the parsers accept what inet_pton accepts', () => {
  const characters = fc.constantFrom(...'01fF:.%');
  const nearlyAddresses = fc.oneof(
    fc.array(fc.constantFrom('::', ':', ':', '0', '1', 'ffff', '255', '1.2.3.4', '.'), { maxLength: 16 }).map((parts) => parts.join('')),
    fc.array(characters, { maxLength: 12 }).map((parts) => parts.join('')),
  );
  const accepts = (parse: (text: string) => unknown, text: string): boolean => {
    try {
      parse(text);
      return true;
    } catch (error) {
      assert.ok(malformed(error));
      return false;
    }
  };
  fc.assert(fc.property(nearlyAddresses, (text) => {
    assert.equal(accepts(Ipv4Address.parse, text), isIPv4(text));
    assert.equal(accepts(Ipv6Address.parse, text), isIPv6(text) && !text.includes('%'));
  }), { numRuns: 5000 });
});

test('bytes and text give the same address back', () => {
  fc.assert(fc.property(ipv4, (address) => {
    assert.deepEqual(Ipv4Address.of(address.bytes()), address);
    assert.deepEqual(parseIpAddress(address.toString()), address);
  }));
  fc.assert(fc.property(ipv6, (address) => {
    assert.deepEqual(Ipv6Address.of(address.bytes()), address);
    assert.deepEqual(parseIpAddress(address.toString()), address);
    assert.equal(JSON.parse(JSON.stringify(address)), address.toString());
  }));
});

test('the IPv6 text is that of the WHATWG URL standard, which is RFC 5952 without the dotted form', () => {
  fc.assert(fc.property(ipv6.filter((address) => !address.toString().includes('.')), (address) => {
    assert.equal(new URL(`http://[${address}]/`).hostname, `[${address}]`);
  }));
});

test('equality is that of family and bytes', () => {
  fc.assert(fc.property(bytesOf(16), fc.nat(127), (bytes, bit) => {
    const address = Ipv6Address.of(bytes);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    assert.ok(!address.equals(Ipv6Address.of(bytes)));
    assert.notDeepEqual(address, Ipv6Address.of(bytes));
  }));
  assert.ok(!Ipv4Address.unspecified.equals(Ipv6Address.unspecified));
  assert.ok(!Ipv6Address.unspecified.equals(Ipv4Address.unspecified));
  assert.ok(Ipv4Address.parse('10.0.0.1').equals(parseIpAddress('10.0.0.1')));
  assert.ok(!Ipv4Address.parse('10.0.0.1').equals(parseIpAddress('10.0.0.2')));
});

test('of refuses other lengths', () => {
  assert.throws(() => Ipv4Address.of(new Uint8Array(16)), malformed);
  assert.throws(() => Ipv6Address.of(new Uint8Array(4)), malformed);
});

test('kinds of address', () => {
  assert.ok(Ipv4Address.parse('0.0.0.0').isUnspecified);
  assert.ok(Ipv6Address.parse('::').isUnspecified);
  assert.ok(!Ipv6Address.parse('::1').isUnspecified);
  for (const text of ['224.0.0.0', '239.255.255.255', 'ff02::1']) assert.ok(parseIpAddress(text).isMulticast, text);
  for (const text of ['223.255.255.255', '240.0.0.0', 'fe80::1']) assert.ok(!parseIpAddress(text).isMulticast, text);
  assert.equal(Ipv6Address.allNodes.toString(), 'ff02::1');
  assert.ok(Ipv6Address.parse('ff02::1:ffff:ffff').isSolicitedNodeMulticast);
  assert.ok(!Ipv6Address.parse('ff02::1:fe00:1').isSolicitedNodeMulticast);
});

test('RFC 4291 §2.7.1: the solicited-node address of 4037::01:800:200E:8C6C', () => {
  const group = solicitedNodeMulticast(Ipv6Address.parse('4037::01:800:200E:8C6C'));
  assert.equal(group.toString(), 'ff02::1:ff0e:8c6c');
  assert.ok(group.isSolicitedNodeMulticast);
});

test('multicast MAC addresses', () => {
  // RFC 1112 §6.4 drops the 24th bit; RFC 2464 §7 keeps 32.
  assert.equal(multicastMac(Ipv4Address.parse('224.0.0.18')).toString(), '01:00:5e:00:00:12');
  assert.equal(multicastMac(Ipv4Address.parse('239.255.255.250')).toString(), '01:00:5e:7f:ff:fa');
  assert.equal(multicastMac(Ipv6Address.parse('ff02::1:ff0e:8c6c')).toString(), '33:33:ff:0e:8c:6c');
  assert.throws(() => multicastMac(Ipv4Address.parse('192.0.2.1')), EncodeError);
  assert.throws(() => multicastMac(Ipv6Address.parse('2001:db8::1')), EncodeError);
});
