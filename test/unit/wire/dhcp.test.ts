import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeDhcpv4, decodeDhcpv6 } from '../../../src/wire/dhcp.ts';
import { Ipv6Address, parseIpAddress } from '../../../src/wire/ip-address.ts';
import { decodeIpv4 } from '../../../src/wire/ipv4.ts';
import { decodeIpv6, encodeIpv6 } from '../../../src/wire/ipv6.ts';
import { DecodeError } from '../../../src/wire/wire.ts';
import { hex, u8 } from './arbitraries.ts';

const zeros = (length: number): string => '00'.repeat(length);

/** As busybox 1.35's udhcpc and udhcpd sent them, from the IPv4 header on. */
const captured = {
  discover: hex(`4500014800000000401179a600000000ffffffff 0044004301348462 010106005ac4166d00000000 00000000000000000000000000000000 525400123456${zeros(202)}
    63825363 350101 39020240 37070103060c0f1c2a 3c0c756468637020312e33352e30 3d0701525400123456 ff ${zeros(20)}`),
  request: hex(`4500014800000000401179a600000000ffffffff 004400430134ece3 010106005ac4166d00020000 00000000000000000000000000000000 525400123456${zeros(202)}
    63825363 350103 32040a37001e 36040a370001 39020240 37070103060c0f1c2a 3c0c756468637020312e33352e30 3d0701525400123456 ff ${zeros(8)}`),
  ack: hex(`450001480000000040116f6e0a370001ffffffff 004300440134a11c 020106005ac4166d00000000 000000000a37001e0000000000000000 525400123456${zeros(202)}
    63825363 350105 36040a370001 330400000e10 0104ffffff00 ff ${zeros(38)}`),
};

const read = (bytes: Uint8Array): unknown => JSON.parse(JSON.stringify(decodeDhcpv4(decodeIpv4(bytes))));

test('what a client and a server of busybox said to each other', () => {
  const client = { clientMac: '52:54:00:12:34:56', clientAddress: '0.0.0.0' };
  assert.deepEqual(read(captured.discover), { ...client, operation: 'request', messageType: 'discover', yourAddress: '0.0.0.0' });
  assert.deepEqual(read(captured.request), { ...client, operation: 'request', messageType: 'request', yourAddress: '0.0.0.0', server: '10.55.0.1' });
  assert.deepEqual(read(captured.ack), { ...client, operation: 'reply', messageType: 'ack', yourAddress: '10.55.0.30', leaseTime: 3600, server: '10.55.0.1' });
});

const at = { udp: 20, bootp: 28, sname: 28 + 44, file: 28 + 108, options: 28 + 240 };

test('options that go on in the fields file and sname (RFC 2132 §9.3)', () => {
  const bytes = captured.ack.slice();
  // Overload, end; the type in `file`, the lease in `sname`.
  bytes.set(hex('340103 ff'), at.options);
  bytes.set(hex('350105 ff'), at.file);
  bytes.set(hex('3304000000ff ff'), at.sname);
  const { messageType, leaseTime, server } = decodeDhcpv4(decodeIpv4(bytes));
  assert.deepEqual({ messageType, leaseTime, server }, { messageType: 'ack', leaseTime: 255, server: undefined });
});

test('what is no DHCP, or cut, or says so of itself, is refused with its reason', () => {
  const changed = (offset: number, ...values: number[]): Uint8Array => {
    const bytes = captured.ack.slice();
    bytes.set(values, offset);
    return bytes;
  };
  const refused = (bytes: Uint8Array, code: string): void => assert.throws(() => decodeDhcpv4(decodeIpv4(bytes)), { code });
  refused(changed(at.udp, 0, 1, 0, 2), 'WIRE_UNSUPPORTED');
  refused(changed(at.udp + 4, 0, 7), 'WIRE_MALFORMED');
  refused(changed(at.bootp, 3), 'WIRE_MALFORMED');
  refused(changed(at.bootp + 1, 6), 'WIRE_UNSUPPORTED');
  refused(changed(at.options - 4, 0), 'WIRE_UNSUPPORTED');
  refused(changed(at.options + 2, 9), 'WIRE_UNSUPPORTED');
  refused(changed(at.options + 4, 5), 'WIRE_MALFORMED');
  refused(changed(at.options + 1, 255), 'WIRE_TRUNCATED');
  assert.throws(() => decodeDhcpv4({ ...decodeIpv4(captured.ack), moreFragments: true }), { code: 'WIRE_UNSUPPORTED' });
  assert.throws(() => decodeDhcpv4({ ...decodeIpv4(captured.ack), protocol: 6 }), { code: 'WIRE_UNSUPPORTED' });
});

/** RFC 8415 §21.4, §21.6: a Reply with a server id, an IA_NA of two addresses of which the second is taken back, a status. */
const reply6 = hex(`0223022200540000 07 112233 0002000a0003000152540000aaaa
  00030044 00000001 00000708 00000b40 00050018 fd000000000000000000000000000123 00000e10 00001c20 00050018 fd000000000000000000000000000456 00000000 00000000
  000d0002 0000`);

test('a DHCPv6 Reply gives the addresses that it does not take back', () => {
  const bytes = reply6.slice();
  new DataView(bytes.buffer).setUint16(4, bytes.length);
  const packet = encodeIpv6({
    dscp: 0, ecn: 0, flowLabel: 0, nextHeader: 17, hopLimit: 64, source: Ipv6Address.parse('fe80::1'), destination: Ipv6Address.parse('fe80::2'), payload: bytes,
  });
  assert.deepEqual(decodeDhcpv6(decodeIpv6(packet)).addresses, [parseIpAddress('fd00::123')]);
  bytes[8] = 2;
  assert.throws(() => decodeDhcpv6({ nextHeader: 17, payload: bytes }), { code: 'WIRE_UNSUPPORTED' });
});

test('whatever bytes: a value or DecodeError', () => {
  const mangled = (valid: Uint8Array) => fc.tuple(fc.array(fc.tuple(fc.nat(valid.length - 1), u8), { maxLength: 6 }), fc.nat(valid.length)).map(([writes, end]) => {
    const out = valid.slice(0, end);
    for (const [where, byte] of writes) if (where < out.length) out[where] = byte;
    return out;
  });
  const dhcp4 = captured.ack.subarray(20);
  const plain = fc.uint8Array({ maxLength: 400 });
  fc.assert(fc.property(fc.oneof(mangled(dhcp4), plain), fc.oneof(mangled(reply6), plain), (four, six) => {
    for (const decode of [() => decodeDhcpv4({ protocol: 17, fragmentOffset: 0, moreFragments: false, payload: four }), () => decodeDhcpv6({ nextHeader: 17, payload: six })]) {
      try {
        decode();
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }
  }), { numRuns: 3000 });
});
