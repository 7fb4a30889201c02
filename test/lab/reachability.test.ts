/** Hosts that ask a guest during a move: it is seen, and nobody else hears of it. With fake guests on real taps, then with a real one. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { AWAIT_INTERVAL, AWAIT_LIMIT, type ProbedVm, ReachabilityProbe, askedFor } from '../../src/move/reachability.ts';
import type { Host } from '../../src/host/host.ts';
import type { VmTap } from '../../src/host/vm-tap.ts';
import type { PacketSocket, ReceivedFrame } from '../../src/native/native.ts';
import { decodeArp, encodeArp } from '../../src/wire/arp.ts';
import { EtherType, decodeEthernet, encodeEthernet } from '../../src/wire/ethernet.ts';
import { decodeNeighborDiscovery, encodeNeighborDiscovery } from '../../src/wire/icmpv6-nd.ts';
import { type IpAddress, parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { type Bench, CLIENT, GUEST, frame, quietBridge, readAll, until, vmTap, withBench } from './host-fixture.ts';
import { sharedSession } from './move-fixture.ts';

const ADDRESS = { 4: parseIpAddress('10.1.0.1'), 6: parseIpAddress('fd01::1') } as const;
const MLD = 0;

/** A guest that does nothing but answer, and only when it is told to `run`. */
class FakeGuest {
  readonly #tap: VmTap['tap'];
  asked = 0;

  constructor(tap: VmTap['tap']) {
    this.#tap = tap;
  }

  run(): void {
    this.#answerAll();
    this.#tap.onReadable(() => this.#answerAll());
  }

  stop(): void {
    this.#tap.onReadable(undefined);
  }

  #answerAll(): void {
    for (const question of readAll(this.#tap)) {
      const answer = answerTo(question.frame);
      if (!answer) continue;
      this.asked++;
      this.#tap.write(answer);
    }
  }
}

/** What a guest would say; undefined to a frame that is no question for it. */
function answerTo(question: Uint8Array): Uint8Array | undefined {
  const { source, etherType, payload } = decodeEthernet(question);
  const toAsker = { source: GUEST, destination: source, etherType };
  if (etherType === EtherType.arp) {
    const { senderMac, senderIp, targetIp } = decodeArp(payload);
    if (!targetIp.equals(ADDRESS[4])) return undefined;
    const payloadBack = encodeArp({ operation: 'reply', senderMac: GUEST, senderIp: targetIp, targetMac: senderMac, targetIp: senderIp });
    return encodeEthernet({ ...toAsker, payload: payloadBack });
  }
  if (etherType !== EtherType.ipv6 || payload[6] !== 58) return undefined;
  const asked = decodeNeighborDiscovery(payload);
  if (asked.kind !== 'solicitation' || !asked.target.equals(ADDRESS[6]) || !asked.sourceMac) return undefined;
  return encodeEthernet({
    ...toAsker, destination: asked.sourceMac,
    payload: encodeNeighborDiscovery({
      kind: 'advertisement', source: asked.target, destination: asked.source, target: asked.target,
      router: false, solicited: true, override: true, targetMac: GUEST,
    }),
  });
}

interface Site {
  readonly host: Host;
  readonly tap: VmTap;
  readonly guest: FakeGuest;
  readonly uplinks: readonly PacketSocket[];
  readonly neighbour: VmTap['tap'];
}

/**
 * A host that is ready to talk too much: it routes, has addresses on the guest's bridge and a default route elsewhere. An uplink of
 * the bridge, an uplink with the default route, and another guest's tap see what gets out.
 */
function site(bench: Bench, { addresses = true, mute = false } = {}): Site {
  const [host, fabric] = [bench.host('h1'), bench.host('fabric')];
  const bridge = quietBridge(host);
  bench.native.inNetns(host.netns, () => {
    for (const file of ['ipv6/conf/all/forwarding', 'ipv4/ip_forward']) writeFileSync(`/proc/sys/net/${file}`, '1');
    for (const scope of ['all', 'default', 'br0']) writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/accept_dad`, '0');
  });
  const uplinks = ['up0', 'mgmt'].map((name) => {
    fabric.links.createVeth({ name: `f-${name}`, netns: fabric.netns, mtu: 1500 }, { name, netns: host.netns, mtu: 1500 });
    host.links.set(host.links.get(name).index, { ...(name === 'up0' ? { master: bridge.index } : {}), up: true, noIpv6Address: true });
    const { index } = fabric.links.get(`f-${name}`);
    fabric.links.set(index, { up: true, noIpv6Address: true });
    return bench.owned(bench.native.packetSocket(fabric.netns, { ifindex: index, protocol: 3 }));
  });
  const add = (device: string, ...texts: string[]): void => {
    for (const text of texts) host.addresses.add(host.links.get(device).index, parseIpAddress(text), text.includes(':') ? 64 : 24);
  };
  add('mgmt', '10.9.0.1', 'fd99::1');
  bench.ip(host, 'route', 'add', 'default', 'via', '10.9.0.2');
  bench.ip(host, '-6', 'route', 'add', 'default', 'via', 'fd99::2');
  if (addresses) add('br0', '10.1.0.9', 'fd01::9', 'fe80::9');
  const tap = vmTap(bench, host, { mute });
  const neighbour = vmTap(bench, host, { name: 'gt-1', mac: MacAddress.parse('52:54:00:00:00:02') }).tap;
  return { host, tap, guest: new FakeGuest(tap.tap), uplinks, neighbour };
}

function probeOf({ host, tap }: Site, addresses: readonly IpAddress[]): ReachabilityProbe {
  const nic = { mac: GUEST, attachment: { kind: 'bridge', bridge: 'br0' }, mtu: 1500, addresses, vhost: false } as const;
  const [probe] = ReachabilityProbe.open({ host, taps: [tap], vm: { nics: [nic] } });
  assert.ok(probe);
  return probe;
}

/** Without the host's own MLD reports, which it sends when it pleases: they begin with hop-by-hop options. */
const told = (frames: readonly ReceivedFrame[]): string[] => frames.map((received) => decodeEthernet(received.frame))
  .filter(({ etherType, payload }) => !(etherType === EtherType.ipv6 && payload[6] === MLD))
  .map(({ source, destination, etherType }) => `${source} > ${destination} ${etherType.toString(16)}`);

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
const descriptors = (): number => readdirSync('/proc/self/fd').length;

describe('one host and a fake guest', () => {
  for (const [family, protocol] of [[4, 'ARP'], [6, 'NS']] as const) {
    const addresses = [ADDRESS[family]];

    for (const onBridge of [true, false]) {
      const bridge = onBridge ? 'addresses on the bridge' : 'no address on the bridge';
      test(`${protocol}: every question is answered, and nobody else hears of it; ${bridge}`, () =>
        withBench(async (bench) => {
          const at = site(bench, { addresses: onBridge });
          const before = { timers: timers(), descriptors: descriptors(), fdb: at.host.bridges.forwarding().length };
          at.guest.run();
          const probe = probeOf(at, addresses);
          assert.equal(probe.protocol, protocol);
          probe.watch();
          await until('five questions', () => at.guest.asked >= 5);
          probe.stop();
          const asked = at.guest.asked;
          // Longer than the interval, and than the 100 ms by which a host delays its last answers and questions.
          await pause(300);
          assert.equal(at.guest.asked, asked, 'no question after the stop');
          at.guest.stop();
          assert.deepEqual(told(readAll(at.tap.tap)), []);
          const seen = probe.close();
          assert.deepEqual([seen.sent.length, seen.answers.length, askedFor(seen).length], [asked, asked, asked]);
          for (const [i, answer] of seen.answers.entries()) {
            const after = answer - (seen.sent[i] ?? 0);
            assert.ok(after >= 0 && after < 50, `answer ${i} came ${after} ms after its question`);
          }
          assert.deepEqual(at.uplinks.map((uplink) => told(readAll(uplink))), [[], []]);
          assert.deepEqual(told(readAll(at.neighbour)), []);
          const learned = 1; // the guest, behind its port
          assert.deepEqual({ timers: timers(), descriptors: descriptors(), fdb: at.host.bridges.forwarding().length - learned }, before);
        }));
    }

    test(`${protocol}: a guest that stands still is asked until it runs, and then no more`, () => withBench(async (bench) => {
      const at = site(bench, { mute: true });
      const probe = probeOf(at, addresses);
      at.host.bridges.setPortState(at.tap.index, 'forwarding');
      probe.awaitAnswer();
      await pause(60);
      assert.equal(at.guest.asked, 0);
      const ran = Date.now();
      at.guest.run();
      await pause(40);
      const asked = at.guest.asked;
      assert.ok(asked >= 2, `${asked} questions in 60 ms`);
      await pause(40);
      assert.equal(at.guest.asked, asked, 'no question after the first answer');
      assert.equal(at.tap.tap.readable(), false);
      at.guest.stop();
      const { answers: [first] } = probe.close();
      assert.ok(first !== undefined && first >= ran && first < ran + 40, `first answer ${first}, the guest ran at ${ran}`);
      assert.deepEqual(at.uplinks.map((uplink) => told(readAll(uplink))), [[], []]);
    }));
  }

  test('a guest that never answers is given up', () => withBench(async (bench) => {
    const at = site(bench);
    const before = timers();
    const probe = probeOf(at, [ADDRESS[4]]);
    const began = performance.now();
    probe.awaitAnswer();
    await until('the timer is gone', () => timers() <= before);
    assert.ok(performance.now() - began >= AWAIT_LIMIT);
    const { sent, answers } = probe.close();
    assert.equal(answers.length, 0);
    assert.ok(sent.length > AWAIT_LIMIT / AWAIT_INTERVAL / 2 && sent.length <= AWAIT_LIMIT / AWAIT_INTERVAL + 1, `${sent.length} questions`);
  }));

  test('a redirect in force does not take the questions along', () => withBench(async (bench) => {
    const at = site(bench);
    at.host.traffic.redirect(at.tap.index, { hook: 'egress', preference: 1, match: 'all', to: at.host.links.get('mgmt').index });
    at.guest.run();
    const probe = probeOf(at, [ADDRESS[4]]);
    probe.watch();
    await until('two questions', () => at.guest.asked >= 2);
    at.guest.stop();
    assert.equal(probe.close().answers.length, 2);
    const other = bench.owned(bench.native.packetSocket(at.host.netns, { ifindex: at.tap.index, protocol: 0 }));
    other.send(frame(GUEST, 1));
    const redirected = told(at.uplinks.slice(1).flatMap(readAll));
    assert.ok(redirected.includes(`${CLIENT} > ${GUEST} 88b5`), 'the redirect is in force');
    assert.deepEqual(redirected.filter((text) => text.startsWith('fe:54')), []);
  }));

  for (const family of [4, 6] as const) {
    test(`IPv${family}: a tap that vanishes ends the asking, nothing else`, () => withBench(async (bench) => {
      const at = site(bench);
      at.guest.run();
      const probe = probeOf(at, [ADDRESS[family]]);
      probe.watch();
      await until('a question', () => at.guest.asked >= 1);
      at.guest.stop();
      at.tap.tap.close();
      const before = timers();
      await until('the timer is gone', () => timers() < before);
      assert.equal(askedFor(probe.close()).length, at.guest.asked);
    }));
  }
});

describe('a real guest', () => {
  const session = sharedSession();
  const only = (family: 4 | 6): ProbedVm => {
    const { host, taps, vm } = session().running;
    return { host, taps, vm: { nics: vm.nics.map((nic) => ({ ...nic, addresses: nic.addresses.filter((a) => a.family === family) })) } };
  };

  for (const [family, protocol] of [[4, 'ARP'], [6, 'NS']] as const) {
    test(`answers ${protocol}`, async () => {
      const [probe] = ReachabilityProbe.open(only(family));
      assert.ok(probe);
      probe.watch();
      await pause(400);
      probe.stop();
      await pause(100);
      const seen = probe.close();
      assert.ok(seen.sent.length >= 4, `${seen.sent.length} questions`);
      assert.equal(askedFor(seen).length, seen.sent.length);
    });
  }

  test('a move says when the guest answered last and first, and nothing of it leaves the hosts', async () => {
    const { lab } = session();
    const uplinks = lab.hosts.map(({ host }) =>
      host.native.packetSocket(host.netns, { ifindex: host.links.get('up-a').index, protocol: 3, receiveBuffer: 16 << 20 }));
    try {
      const { receipt } = await session().move();
      assert.equal(receipt.outcome.kind, 'moved');
      const [probe, ...others] = receipt.hostProbes;
      assert.ok(probe && others.length === 0);
      const { name, sent, answered, lastAnswerAt, firstAnswerAt, gap, resumeToFirstAnswer } = probe;
      assert.equal(name, `ARP from ${receipt.from}/${receipt.to}`);
      assert.equal(answered, sent);
      const started = (phase: string): number => receipt.phases.find((p) => p.name === phase)?.from ?? NaN;
      assert.ok(lastAnswerAt !== undefined && firstAnswerAt !== undefined && gap !== undefined && resumeToFirstAnswer !== undefined);
      assert.ok(lastAnswerAt >= started('copying') && lastAnswerAt <= started('stopping'), 'the last answer came before the stop');
      assert.ok(firstAnswerAt >= started('finishing') && resumeToFirstAnswer >= 0, 'the first answer came after the release');
      assert.ok(gap >= (receipt.times.stopToResume ?? NaN), `${gap} ms without an answer`);
      const askers = /^f[ae]:54:00:77:00:0a$/;
      for (const uplink of uplinks) {
        const frames: ReceivedFrame[] = [];
        for (let next; (next = uplink.receive()); ) frames.push(next);
        assert.ok(frames.length > 0, 'the announcement at least');
        for (const seen of frames) {
          const { source, destination } = decodeEthernet(seen.frame);
          assert.doesNotMatch(source.toString(), askers);
          assert.doesNotMatch(destination.toString(), askers);
        }
      }
    } finally {
      for (const uplink of uplinks) uplink.close();
    }
  });
});
