import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressFacts } from '../../../src/protocol/address-fact.ts';
import { arpProbeFrame, gratuitousArpReplyFrame, gratuitousArpRequestFrame, nsProbeFrame, rarpFrame, unsolicitedNaFrame } from '../../../src/wire/announce.ts';
import { EtherType, encodeEthernet } from '../../../src/wire/ethernet.ts';
import { encodeNeighborDiscovery } from '../../../src/wire/icmpv6-nd.ts';
import { Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const mac = MacAddress.parse('52:54:00:00:00:01');
const [four, six] = [Ipv4Address.parse('10.1.0.5'), Ipv6Address.parse('fd00::5')];
const said = (frame: Uint8Array): string[] =>
  addressFacts(frame).map(({ kind, address, mac: by, evidence, soft }) => `${kind} ${address} ${by} ${evidence}${soft ? ' soft' : ''}`);

test('what each frame says', () => {
  const claim4 = [`claim 10.1.0.5 ${mac} arp`];
  assert.deepEqual(said(gratuitousArpRequestFrame(mac, four)), claim4);
  assert.deepEqual(said(gratuitousArpReplyFrame(mac, four)), claim4);
  assert.deepEqual(said(arpProbeFrame(mac, Ipv4Address.parse('10.1.0.9'), four)), claim4);
  assert.deepEqual(said(arpProbeFrame(mac, four)), [`probe 10.1.0.5 ${mac} arp`]);
  assert.deepEqual(said(unsolicitedNaFrame(mac, six, false)), [`claim fd00::5 ${mac} nd`]);
  assert.deepEqual(said(nsProbeFrame(mac, six)), [`probe fd00::5 ${mac} nd`]);
  assert.deepEqual(said(nsProbeFrame(mac, Ipv6Address.parse('fd00::9'), six)), [`claim fd00::5 ${mac} nd`]);
  assert.deepEqual(said(rarpFrame(mac)), []);
});

test('an advertisement without override flag, as of an anycast address, contradicts nobody', () => {
  const payload = encodeNeighborDiscovery({
    kind: 'advertisement', source: six, destination: Ipv6Address.allNodes, target: six, router: false, solicited: false, override: false, targetMac: mac,
  });
  assert.deepEqual(said(encodeEthernet({ destination: MacAddress.broadcast, source: mac, etherType: EtherType.ipv6, payload })), [`claim fd00::5 ${mac} nd soft`]);
});

test('whatever bytes: never throws', () => {
  const types = fc.constantFrom(0x0806, 0x0800, 0x86dd, 0x8035);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), types, (bytes, type) => {
    if (bytes.length >= 14) new DataView(bytes.buffer, bytes.byteOffset).setUint16(12, type);
    addressFacts(bytes);
  }), { numRuns: 3000 });
});
