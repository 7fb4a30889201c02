/** Which frames are answers, which answers were asked for, and what both ends saw together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Asked, type Question, answers, askedFor, hostProbe, linkLocal, questionFrame } from '../../../src/move/reachability.ts';
import { ms } from '../../../src/base/units.ts';
import { type ArpPacket, decodeArp, encodeArp } from '../../../src/wire/arp.ts';
import { EtherType, decodeEthernet, encodeEthernet } from '../../../src/wire/ethernet.ts';
import { type NeighborAdvertisement, decodeNeighborDiscovery, encodeNeighborDiscovery } from '../../../src/wire/icmpv6-nd.ts';
import { Ipv4Address, Ipv6Address } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';

const asker = MacAddress.parse('fe:54:00:00:00:01');
const guest = MacAddress.parse('52:54:00:00:00:01');
const other = MacAddress.parse('52:54:00:00:00:02');
const [v4, v6] = [Ipv4Address.parse('192.0.2.10'), Ipv6Address.parse('2001:db8::10')];
const arp: Question & { address: Ipv4Address } = { asker, guest, address: v4 };
const ns: Question & { address: Ipv6Address } = { asker, guest, address: v6 };

const at = (...times: number[]): Asked['sent'] => times.map(ms);
const asked = (sent: number[], answered: number[]): Asked => ({ sent: at(...sent), answers: at(...answered) });

function arpReply(change: Partial<ArpPacket> = {}, frame: { source?: MacAddress; destination?: MacAddress } = {}): Uint8Array {
  const reply = { operation: 'reply', senderMac: guest, senderIp: v4, targetMac: asker, targetIp: Ipv4Address.unspecified } as const;
  const payload = encodeArp({ ...reply, ...change });
  return encodeEthernet({ source: guest, destination: asker, ...frame, etherType: EtherType.arp, payload });
}

function advertisement(change: Partial<NeighborAdvertisement> = {}): Uint8Array {
  const payload = encodeNeighborDiscovery({
    kind: 'advertisement', source: v6, destination: linkLocal(asker), target: v6, targetMac: guest,
    router: false, solicited: true, override: true, ...change,
  });
  return encodeEthernet({ source: guest, destination: asker, etherType: EtherType.ipv6, payload });
}

test('the link-local address of a MAC: the example of RFC 2464 §5', () => {
  assert.equal(linkLocal(MacAddress.parse('34:56:78:9a:bc:de')).toString(), 'fe80::3656:78ff:fe9a:bcde');
});

test('ARP is asked without a sender, IPv6 from the link-local address with the MAC to answer to', () => {
  const request = decodeArp(decodeEthernet(questionFrame(arp)).payload);
  assert.deepEqual(request, {
    operation: 'request', senderMac: asker, senderIp: Ipv4Address.unspecified, targetMac: MacAddress.zero, targetIp: v4,
  });
  const solicitation = decodeNeighborDiscovery(decodeEthernet(questionFrame(ns)).payload);
  assert.deepEqual(solicitation, {
    kind: 'solicitation', source: linkLocal(asker), destination: Ipv6Address.parse('ff02::1:ff00:10'), target: v6, sourceMac: asker,
  });
});

test('the answer is a reply of the guest, about the address, to the asker; also when it was padded', () => {
  assert.equal(answers(arpReply(), arp), true);
  assert.equal(answers(Uint8Array.of(...arpReply(), ...new Uint8Array(18)), arp), true);
  assert.equal(answers(advertisement(), ns), true);
});

test('nothing else is an answer', () => {
  const frames: [string, Uint8Array, Question][] = [
    ['the question itself', questionFrame(arp), arp],
    ['the solicitation itself', questionFrame(ns), ns],
    ['a request of the guest', arpReply({ operation: 'request' }), arp],
    ['about another address', arpReply({ senderIp: Ipv4Address.parse('192.0.2.11') }), arp],
    ['to another', arpReply({}, { destination: other }), arp],
    ['gratuitous, to all', arpReply({}, { destination: MacAddress.broadcast }), arp],
    ['of another', arpReply({}, { source: other }), arp],
    ['about another IPv6 address', advertisement({ target: Ipv6Address.parse('2001:db8::11') }), ns],
    ['ARP when asked by IPv6', arpReply(), ns],
    ['IPv6 when asked by ARP', advertisement(), arp],
  ];
  for (const [what, frame, question] of frames) assert.equal(answers(frame, question), false, what);
});

test('whatever comes in, it is said to be an answer or not', () => {
  const header = fc.constantFrom(arpReply().subarray(0, 14), advertisement().subarray(0, 14), new Uint8Array());
  fc.assert(fc.property(header, fc.uint8Array({ maxLength: 120 }), fc.constantFrom(arp, ns), (head, tail, question) => {
    assert.equal(typeof answers(Uint8Array.of(...head, ...tail), question), 'boolean');
  }));
  for (const [whole, question] of [[arpReply(), arp], [advertisement(), ns]] as const) {
    for (let n = 0; n < whole.length; n++) assert.equal(answers(whole.subarray(0, n), question), false, `${n} bytes`);
  }
});

test('an answer belongs to the oldest open question before it', () => {
  assert.deepEqual(askedFor(asked([10, 60, 110], [10.2, 60.4, 110.1])), at(10.2, 60.4, 110.1));
  // Unasked: before the first question, and a second answer to it.
  assert.deepEqual(askedFor(asked([10, 60], [3, 10.2, 10.3, 60.4])), at(10.2, 60.4));
  // A guest that stood still answers all at once.
  assert.deepEqual(askedFor(asked([10, 12, 14], [80, 80.1, 80.2])), at(80, 80.1, 80.2));
  assert.deepEqual(askedFor(asked([], [5])), []);
});

test('as many answers count as can each have a question of their own', () => {
  const times = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 12 }).map((list) => list.toSorted((a, b) => a - b));
  fc.assert(fc.property(times, times, (sent, came) => {
    const found = askedFor(asked(sent, came));
    found.forEach((answer, i) => assert.ok((sent[i] ?? Infinity) <= answer));
    // By Hall's theorem: what cannot be matched is the worst surplus of answers over the questions before them.
    const surplus = came.map((end, i) => i + 1 - sent.filter((t) => t <= end).length);
    assert.equal(found.length, came.length - Math.max(0, ...surplus));
  }));
});

test('both ends together: the gap is last answer → first answer', () => {
  const source = asked([1000, 1050, 1100], [1000.3, 1050.2, 1100.25]);
  const destination = asked([1140, 1142, 1144], [1163.5, 1163.75, 1164]);
  assert.deepEqual(hostProbe({ nic: 1, name: 'ARP from h1/h2' }, source, destination, ms(1151)), {
    nic: 1, name: 'ARP from h1/h2', sent: 6, answered: 6,
    lastAnswerAt: 1100.25, firstAnswerAt: 1163.5, gap: 63.25, resumeToFirstAnswer: 12.5,
  });
});

test('what did not come is undefined', () => {
  const name = { nic: 0, name: 'NS from h1/h2' };
  const silent = asked([1000, 1050], []);
  assert.deepEqual(hostProbe(name, silent, silent, undefined), {
    ...name, sent: 4, answered: 0, lastAnswerAt: undefined, firstAnswerAt: undefined, gap: undefined, resumeToFirstAnswer: undefined,
  });
  const back = hostProbe(name, asked([1000], [1000.5]), asked([], []), undefined);
  assert.deepEqual([back.lastAnswerAt, back.firstAnswerAt, back.gap], [1000.5, undefined, undefined]);
});
