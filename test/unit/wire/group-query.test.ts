import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeEthernet, EtherType } from '../../../src/wire/ethernet.ts';
import { groupQueryFrames, igmpQueryFrame, mldQueryFrame } from '../../../src/wire/group-query.ts';
import { internetChecksum, pseudoHeaderSum } from '../../../src/wire/internet-checksum.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { decodeIpv4 } from '../../../src/wire/ipv4.ts';
import { decodeIpv6 } from '../../../src/wire/ipv6.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { hex, mac, toHex } from './arbitraries.ts';

const guest = MacAddress.parse('52:54:00:12:34:56');
const tap = MacAddress.parse('fe:54:00:12:34:56');

// Written down field by field from RFC 3376 §4.1 and RFC 2113. Checksums worked out by hand: of the header from
// 0x46c0 + 0x0024 + 0x4000 + 0x0102 + 0xe000 + 0x0001 + 0x9404 = 0x1fbeb, of the message from 0x1100 + 0x027d = 0x137d.
const igmp = hex(`525400123456 fe5400123456 0800
  46 c0 0024 0000 4000 01 02 0413 00000000 e0000001 94040000
  11 00 ec82 00000000 02 7d 0000`);
// RFC 3810 §5.1, RFC 2711. Source 0x32e3b, group 0xff03, length 0x1c, next header 0x3a, message 0x8200 + 1 + 0x27d: 0x4b212.
const mld = hex(`525400123456 fe5400123456 86dd
  60000000 0024 00 01 fe80000000000000 fc5400fffe123456 ff020000000000000000000000000001
  3a 00 0502 0000 0100
  82 00 4de9 0001 0000 00000000000000000000000000000000 02 7d 0000`);

test('each query is the frame that its RFC draws', () => {
  assert.equal(toHex(igmpQueryFrame(guest, tap)), toHex(igmp));
  assert.equal(toHex(mldQueryFrame(guest, tap)), toHex(mld));
});

test('whoever asks whom, addresses and checksums fit', () => {
  fc.assert(fc.property(mac, mac, (to, from) => {
    const [four, six] = [decodeEthernet(igmpQueryFrame(to, from)), decodeEthernet(mldQueryFrame(to, from))];
    for (const { destination, source } of [four, six]) assert.deepEqual({ destination, source }, { destination: to, source: from });

    assert.equal(four.etherType, EtherType.ipv4);
    const { payload: igmpMessage, source, destination, ttl, protocol } = decodeIpv4(four.payload);
    assert.deepEqual([String(source), String(destination), ttl, protocol, igmpMessage.length], ['0.0.0.0', '224.0.0.1', 1, 2, 12]);
    assert.equal(internetChecksum(igmpMessage), 0);

    assert.equal(six.etherType, EtherType.ipv6);
    const packet = decodeIpv6(six.payload);
    const [hopByHop, mldMessage] = [packet.payload.subarray(0, 8), packet.payload.subarray(8)];
    const { nextHeader, hopLimit } = packet;
    assert.deepEqual([nextHeader, hopLimit, String(packet.destination), hopByHop[0], mldMessage.length], [0, 1, 'ff02::1', 58, 28]);
    assert.equal(internetChecksum(mldMessage, pseudoHeaderSum(packet.source, packet.destination, 58, mldMessage.length)), 0);
    // RFC 2464 §4: the MAC with ff:fe in its middle and the universal/local bit turned.
    const [a = 0, b = 0, c = 0, ...rest] = from.bytes();
    const linkLocal = Uint8Array.of(...hex('fe80000000000000'), a ^ 2, b, c, 0xff, 0xfe, ...rest);
    assert.equal(toHex(packet.source.bytes()), toHex(linkLocal));
  }));
});

test('a NIC is asked in the families it has addresses of, once in each', () => {
  const [v4, v6] = [Ipv4Address.parse('192.0.2.1'), Ipv6Address.parse('2001:db8::1')];
  const asked = (addresses: readonly IpAddress[]): string[] => groupQueryFrames({ mac: guest, addresses }, tap).map(toHex);
  assert.deepEqual(asked([]), []);
  assert.deepEqual(asked([v4, v4]), [toHex(igmp)]);
  assert.deepEqual(asked([v6]), [toHex(mld)]);
  assert.deepEqual(asked([v6, v4]), [toHex(igmp), toHex(mld)]);
});
