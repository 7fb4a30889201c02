import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ms } from '../../../src/base/units.ts';
import { answerOf, findGateway } from '../../../src/host/gateway.ts';
import type { Host } from '../../../src/host/host.ts';
import { unsolicitedNaFrame } from '../../../src/wire/announce.ts';
import { decodeArp, encodeArp } from '../../../src/wire/arp.ts';
import { EtherType, decodeEthernet, encodeEthernet } from '../../../src/wire/ethernet.ts';
import { decodeNeighborDiscovery, encodeNeighborDiscovery } from '../../../src/wire/icmpv6-nd.ts';
import { Ipv4Address, Ipv6Address, parseIpAddress } from '../../../src/wire/ip-address.ts';
import { MacAddress } from '../../../src/wire/mac-address.ts';
import { MAC_A, drain, memoryHosts, watch } from './memory-hosts.ts';

const V4 = Ipv4Address.parse('192.0.2.1');
const V6 = Ipv6Address.parse('fe80::1');
const ROUTER = MacAddress.parse('00:00:5e:00:01:07');
const OTHER = MacAddress.parse('00:00:5e:00:01:08');
const SOON = ms(30);

/** RFC 5227 §2.6: a reply to a probe goes to the prober's MAC and to 0.0.0.0. */
function arpReply(from: MacAddress, ip: Ipv4Address, frameSource = from): Uint8Array {
  const payload = encodeArp({ operation: 'reply', senderMac: from, senderIp: ip, targetMac: MAC_A, targetIp: Ipv4Address.unspecified });
  return encodeEthernet({ destination: MAC_A, source: frameSource, etherType: EtherType.arp, payload });
}

/** Lets host `b` send `answers` to every question that it hears, until `close`. */
function answering(host: Host, answers: readonly Uint8Array[]): { readonly questions: Uint8Array[]; close(): void } {
  const socket = watch(host);
  const questions: Uint8Array[] = [];
  socket.onReadable(() => {
    for (const { frame } of drain(socket).filter(({ packetType }) => packetType !== 4)) {
      questions.push(frame);
      for (const answer of answers) socket.send(answer);
    }
  });
  return { questions, close: () => socket.close() };
}

// A wait that does not end when it should lasts a minute.
describe('findGateway', { timeout: 10_000 }, () => {
  test('the MAC that answers, asked for by a probe that claims nothing', async () => {
    const { a, b, network } = memoryHosts();
    const router = answering(b, [arpReply(ROUTER, V4)]);
    assert.deepEqual(await findGateway(a, 'br0', V4, SOON), [ROUTER]);
    const { destination, source, payload } = decodeEthernet(router.questions[0] ?? assert.fail());
    assert.deepEqual([destination, source], [MacAddress.broadcast, MAC_A]);
    assert.deepEqual(decodeArp(payload), {
      operation: 'request', senderMac: MAC_A, senderIp: Ipv4Address.unspecified, targetMac: MacAddress.zero, targetIp: V4,
    });
    router.close();
    assert.equal(network.link('a', 'br0').sockets.size, 0);
  });

  test('all that answer, each once, in their order', async () => {
    const { a, b } = memoryHosts();
    const routers = answering(b, [arpReply(OTHER, V4), arpReply(ROUTER, V4), arpReply(OTHER, V4)]);
    assert.deepEqual(await findGateway(a, 'br0', V4, SOON), [OTHER, ROUTER]);
    routers.close();
  });

  test('IPv6: a solicitation from ::, answered to all nodes', async () => {
    const { a, b } = memoryHosts();
    const router = answering(b, [unsolicitedNaFrame(ROUTER, V6, true)]);
    assert.deepEqual(await findGateway(a, 'br0', V6, SOON), [ROUTER]);
    const asked = decodeNeighborDiscovery(decodeEthernet(router.questions[0] ?? assert.fail()).payload);
    assert.deepEqual([asked.kind, asked.source, asked.target], ['solicitation', Ipv6Address.unspecified, V6]);
    router.close();
  });

  test('nobody there: none', async () => {
    const { a } = memoryHosts();
    assert.deepEqual(await findGateway(a, 'br0', V4, SOON), []);
  });

  test('an address of the host itself is at its bridge, and whoever else claims it is told too', async () => {
    const hosts = memoryHosts();
    hosts.route = 1;
    const router = answering(hosts.b, [arpReply(ROUTER, V4)]);
    assert.deepEqual(await findGateway(hosts.a, 'br0', V4, SOON), [MAC_A, ROUTER]);
    hosts.route = 2;
    assert.deepEqual(await findGateway(hosts.a, 'br0', V4, SOON), [ROUTER]);
    router.close();
  });

  test('a bridge that goes down is an error at once, not an absent gateway', async () => {
    const { a, network } = memoryHosts();
    const asked = findGateway(a, 'br0', V4, ms(60_000));
    network.link('a', 'br0').up = false;
    await assert.rejects(asked, { code: 'NATIVE_SYSTEM', errnoName: 'ENETDOWN' });
    await assert.rejects(findGateway(a, 'br0', V4, SOON), { errnoName: 'ENETDOWN' });
    await assert.rejects(findGateway(a, 'br9', V4, SOON), { code: 'HOST_KERNEL_REFUSED' });
    assert.equal(network.link('a', 'br0').sockets.size, 0);
  });
});

describe('answerOf', () => {
  test('the MAC that caches take: of the packet, not of the frame', () => {
    assert.deepEqual(answerOf(arpReply(ROUTER, V4, OTHER), V4), ROUTER);
    const advertisement = { kind: 'advertisement', source: V6, destination: Ipv6Address.allNodes, target: V6 } as const;
    const flags = { router: true, solicited: false, override: true };
    const frame = (targetMac: MacAddress | undefined): Uint8Array => encodeEthernet({
      destination: MAC_A, source: OTHER, etherType: EtherType.ipv6,
      payload: encodeNeighborDiscovery({ ...advertisement, ...flags, targetMac }),
    });
    assert.deepEqual(answerOf(frame(ROUTER), V6), ROUTER);
    assert.deepEqual(answerOf(frame(undefined), V6), OTHER);
  });

  test('neither requests, nor others\' answers, nor what cannot be read', () => {
    const request = encodeArp({ operation: 'request', senderMac: ROUTER, senderIp: V4, targetMac: MacAddress.zero, targetIp: V4 });
    for (const [name, frame] of Object.entries({
      request: encodeEthernet({ destination: MAC_A, source: ROUTER, etherType: EtherType.arp, payload: request }),
      otherAddress: arpReply(ROUTER, Ipv4Address.parse('192.0.2.2')),
      cut: arpReply(ROUTER, V4).subarray(0, 30),
      short: Uint8Array.of(1, 2, 3),
    })) assert.equal(answerOf(frame, V4), undefined, name);
    assert.equal(answerOf(unsolicitedNaFrame(ROUTER, Ipv6Address.parse('fe80::2'), true), V6), undefined);
    assert.equal(answerOf(arpReply(ROUTER, V4), parseIpAddress('fe80::1')), undefined);
  });
});
