/** What a guarded guest may send, on a real tap: everything else is dropped, counted by what is wrong in it, and reaches nobody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuardReason } from '../../src/host/source-guard.ts';
import { announcementFrames, arpProbeFrame, gratuitousArpReplyFrame, gratuitousArpRequestFrame, nsProbeFrame, unsolicitedNaFrame } from '../../src/wire/announce.ts';
import { EtherType, encodeEthernet } from '../../src/wire/ethernet.ts';
import { encodeNeighborDiscovery } from '../../src/wire/icmpv6-nd.ts';
import { Ipv4Address, Ipv6Address } from '../../src/wire/ip-address.ts';
import { encodeIpv4 } from '../../src/wire/ipv4.ts';
import { encodeIpv6 } from '../../src/wire/ipv6.ts';
import { linkLocalOf } from '../../src/wire/link-local.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { CLIENT, GUEST, frame, numberOf, twoHosts, until, vmTap, withBench } from './host-fixture.ts';

const OTHER = MacAddress.parse('52:54:00:00:00:99');
const [own4, other4] = [Ipv4Address.parse('10.1.0.5'), Ipv4Address.parse('10.1.0.6')];
const [own6, other6] = [Ipv6Address.parse('fd00::5'), Ipv6Address.parse('fd00::6')];
const local = linkLocalOf(GUEST);
const NIC = { name: 'gt-0', mac: GUEST, addresses: [own4, own6] };

interface Packet {
  readonly source: Ipv4Address | Ipv6Address;
  readonly destination?: Ipv4Address | Ipv6Address;
  readonly protocol?: number;
  readonly payload?: Uint8Array;
  readonly mac?: MacAddress;
}

function packet({ source, destination, protocol = 17, payload = new Uint8Array(24), mac = GUEST }: Packet): Uint8Array {
  const bytes = source.family === 4
    ? encodeIpv4({
        dscp: 0, ecn: 0, identification: 1, dontFragment: true, moreFragments: false, fragmentOffset: 0, ttl: 64, protocol, source,
        destination: destination?.family === 4 ? destination : other4, options: new Uint8Array(), payload,
      })
    : encodeIpv6({ dscp: 0, ecn: 0, flowLabel: 0, nextHeader: protocol, hopLimit: 255, source, destination: destination?.family === 6 ? destination : other6, payload });
  return encodeEthernet({ destination: CLIENT, source: mac, etherType: source.family === 4 ? EtherType.ipv4 : EtherType.ipv6, payload: bytes });
}

const udp = (source: number, destination: number): Uint8Array => {
  const bytes = new Uint8Array(24);
  new DataView(bytes.buffer).setUint32(0, source << 16 | destination);
  bytes[5] = 24;
  return bytes;
};
/** As from `mac`, of whatever is in it. */
const from = (mac: MacAddress, bytes: Uint8Array): Uint8Array => {
  bytes.set(mac.bytes(), 6);
  return bytes;
};
const icmpv6 = (type: number): Uint8Array => Uint8Array.of(type, ...new Uint8Array(23));
const advertisement = (source: Ipv6Address, target: Ipv6Address, targetMac: MacAddress | undefined): Uint8Array =>
  encodeEthernet({
    destination: CLIENT, source: GUEST, etherType: EtherType.ipv6,
    payload: encodeNeighborDiscovery({ kind: 'advertisement', source, destination: other6, target, router: false, solicited: true, override: true, targetMac }),
  });
const solicitation = (source: Ipv6Address, sourceMac: MacAddress): Uint8Array =>
  encodeEthernet({ destination: CLIENT, source: GUEST, etherType: EtherType.ipv6, payload: encodeNeighborDiscovery({ kind: 'solicitation', source, destination: other6, target: other6, sourceMac }) });
/** An advertisement with a second option behind: what a first look would miss. */
function twoOptions(): Uint8Array {
  const plain = advertisement(own6, own6, GUEST);
  const hidden = Uint8Array.of(...plain, 2, 1, ...OTHER.bytes());
  new DataView(hidden.buffer).setUint16(18, 40);
  return hidden;
}
function tagged(): Uint8Array {
  const plain = packet({ source: own4 });
  return Uint8Array.of(...plain.subarray(0, 12), 0x81, 0x00, 0x00, 0x05, ...plain.subarray(12));
}
/** As Linux asks, with a nonce (RFC 7527). */
function detectionWithNonce(target: Ipv6Address): Uint8Array {
  const plain = nsProbeFrame(GUEST, target);
  const bytes = Uint8Array.of(...plain, 14, 1, 1, 2, 3, 4, 5, 6);
  new DataView(bytes.buffer).setUint16(18, 32);
  return bytes;
}

const passes: readonly (readonly [string, Uint8Array])[] = [
  ...announcementFrames({ mac: GUEST, addresses: [own4, own6] }).map((bytes, n): [string, Uint8Array] => [`announcement ${n}`, bytes]),
  ['ARP request', arpProbeFrame(GUEST, other4, own4)], ['ARP probe', arpProbeFrame(GUEST, other4)],
  ['IPv4', packet({ source: own4 })], ['IPv6', packet({ source: own6 })], ['IPv6, link-local', packet({ source: local })],
  ['DHCP client', packet({ source: Ipv4Address.unspecified, destination: Ipv4Address.parse('255.255.255.255'), payload: udp(68, 67) })],
  ['IGMP without address', packet({ source: Ipv4Address.unspecified, protocol: 2 })],
  ['duplicate address detection', nsProbeFrame(GUEST, own6)], ['of the link-local', nsProbeFrame(GUEST, local)], ['with a nonce', detectionWithNonce(own6)],
  ['MLD from ::', packet({ source: Ipv6Address.unspecified, protocol: 58, payload: icmpv6(143) })],
  ['router solicitation from ::', packet({ source: Ipv6Address.unspecified, protocol: 58, payload: icmpv6(133) })],
  ['solicitation', solicitation(own6, GUEST)], ['advertisement', advertisement(own6, own6, GUEST)], ['advertisement without option', advertisement(local, local, undefined)],
];
const drops: Readonly<Record<GuardReason, readonly (readonly [string, Uint8Array])[]>> = {
  mac: [['IPv4 of another MAC', packet({ source: own4, mac: OTHER })], ['announcement of another MAC', gratuitousArpRequestFrame(OTHER, own4)]],
  other: [['another EtherType', frame(CLIENT, 1, { source: GUEST })], ['a VLAN tag', tagged()]],
  arp: [
    ['another\'s address', gratuitousArpRequestFrame(GUEST, other4)], ['reply for another\'s', gratuitousArpReplyFrame(GUEST, other4)],
    ['another MAC inside', from(GUEST, gratuitousArpRequestFrame(OTHER, own4))], ['probe with another MAC inside', from(GUEST, arpProbeFrame(OTHER, own4))],
  ],
  ipv4: [
    ['another\'s address', packet({ source: other4 })], ['DHCP as a server', packet({ source: Ipv4Address.unspecified, destination: Ipv4Address.parse('255.255.255.255'), payload: udp(67, 68) })],
    ['from nowhere', packet({ source: Ipv4Address.unspecified, payload: udp(68, 67) })],
    ['VRRP from its own address', packet({ source: own4, protocol: 112 })],
  ],
  nd: [
    ['another\'s target', unsolicitedNaFrame(GUEST, other6, false)], ['another\'s target from its own address', advertisement(own6, other6, GUEST)],
    ['another MAC', advertisement(own6, own6, OTHER)], ['a second option', twoOptions()], ['detection of another\'s', nsProbeFrame(GUEST, other6)],
    ['solicitation with another MAC', solicitation(own6, OTHER)], ['solicitation from another\'s', solicitation(other6, GUEST)],
  ],
  ipv6: [
    ['another\'s address', packet({ source: other6 })], ['another\'s link-local', packet({ source: linkLocalOf(OTHER) })],
    ['from nowhere', packet({ source: Ipv6Address.unspecified })], ['VRRP from its own address', packet({ source: local, protocol: 112 })],
    // An empty header of destination options, then VRRP; the same in a later fragment.
    ['VRRP behind an extension header', packet({ source: own6, protocol: 60, payload: Uint8Array.of(112, 0, 1, 4, 0, 0, 0, 0, ...new Uint8Array(16)) })],
    ['VRRP in a fragment', packet({ source: own6, protocol: 44, payload: Uint8Array.of(112, 0, 0, 9, 0, 0, 0, 1, ...new Uint8Array(16)) })],
  ],
};

test('forged frames are dropped and counted by reason; everything of its own passes; without guard all does again', async () => {
  await withBench(async (bench) => {
    const { h1, e1 } = twoHosts(bench);
    const { tap } = vmTap(bench, h1);
    await h1.guards.put([NIC]);
    const arrived = new Set<string>();
    let end = -1;
    e1.onReadable(() => {
      for (let got; (got = e1.receive()); ) {
        arrived.add(Buffer.from(got.frame).toString('hex'));
        end = Math.max(end, numberOf(got.frame) ?? -1);
      }
    });
    const isThere = ([, bytes]: readonly [string, Uint8Array]): boolean => arrived.has(Buffer.from(bytes).toString('hex'));
    const all = Object.values(drops).flat();
    for (const [, bytes] of [...passes, ...all]) tap.write(bytes);
    await until('all that may pass has passed', () => passes.every(isThere));
    assert.deepEqual(all.filter(isThere).map(([what]) => what), []);
    const expected = Object.fromEntries(Object.entries(drops).map(([reason, frames]) => [reason, frames.length]));
    assert.deepEqual((await h1.guards.drops()).get('gt-0'), expected);

    // The same again replaces it, and counts anew.
    await h1.guards.put([NIC]);
    tap.write(packet({ source: other4 }));
    await h1.guards.remove(['gt-0', 'gt-none']);
    assert.equal((await h1.guards.drops()).size, 0);
    tap.write(frame(CLIENT, 7, { source: OTHER }));
    await until('without guard everything passes', () => end === 7);
    assert.equal(arrived.has(Buffer.from(packet({ source: other4 })).toString('hex')), false);
    e1.onReadable(undefined);
  });
});

test('what is left of taps that are gone is swept; guards of others and other tables stay', async () => {
  await withBench(async (bench) => {
    const { h1 } = twoHosts(bench);
    vmTap(bench, h1);
    const gone = vmTap(bench, h1, { name: 'gt-gone', mac: OTHER });
    await h1.guards.put([NIC, { ...NIC, name: 'gt-gone', mac: OTHER }]);
    gone.tap.close();
    await until('the tap is gone', () => !h1.links.list().some(({ name }) => name === 'gt-gone'));
    await h1.guards.sweep((tap) => h1.links.list().some(({ name }) => name === tap));
    assert.deepEqual([...(await h1.guards.drops()).keys()], ['gt-0']);
  });
});

test('a guard that the kernel refuses leaves the earlier one in force', async () => {
  await withBench(async (bench) => {
    const { h1 } = twoHosts(bench);
    vmTap(bench, h1);
    await h1.guards.put([NIC]);
    await assert.rejects(h1.guards.put([{ ...NIC, addresses: [] }, { ...NIC, name: 'gt-"' }]), { code: 'HOST_NFT_FAILED' });
    assert.deepEqual([...(await h1.guards.drops()).keys()], ['gt-0']);
  });
});
