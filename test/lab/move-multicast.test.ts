/**
 * A group through a move in a network whose switches snoop, with a querier: they send a group only where a member reported. The
 * destination asks the guest for its groups as soon as it runs, so the stream goes on; without that it stays away until the
 * querier's next round, minutes later.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { Host } from '../../src/host/host.ts';
import type { Session } from '../../src/lab/session.ts';
import { CLIENT, labAddresses } from '../../src/lab/topology.ts';
import { lossless } from '../../src/model/move.ts';
import type { PacketSocket, ReceivedFrame } from '../../src/native/native.ts';
import { EtherType, decodeEthernet } from '../../src/wire/ethernet.ts';
import { groupQueryFrames } from '../../src/wire/group-query.ts';
import { Ipv6Address, multicastMac, parseIpAddress, solicitedNodeMulticast } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';
import { until } from './host-fixture.ts';
import { assertOverlap, guestAddress, hostNamed, inNamespace, resumedAt, sharedSession } from './move-fixture.ts';
import type { GroupCount } from './move-group-sender.ts';

/** The solicited-node group of the guest's address. */
const GROUP = Ipv6Address.parse('ff02::1:ff00:10');
const IPV4_GROUP = parseIpAddress('239.77.0.1');
/** What times of two clocks and of two places of one cable may differ by, and how long a switch may take to learn, ms. */
const SLACK = 10;
/** No speed: without a query of ours the guest says nothing before the querier's next round, 125 s after the first. ms. */
const REPORT_WITHIN = 5000;
const TIMEOUT = 20_000;
const OUTGOING = 4;
const ALL_PROTOCOLS = 3;

const session = sharedSession();

/** Hosts answer in 1 s, and the next round is after the test: nothing but a query of ours makes a guest report meanwhile. */
function startQuerier({ lab }: Session): void {
  const ip = (...words: string[]): string => inNamespace(lab.switchNamespace, 'ip', ...words);
  ip('addr', 'add', 'fe80::77/64', 'dev', 'br-a', 'nodad');
  const bridge = (...words: string[]): string => ip('link', 'set', 'br-a', 'type', 'bridge', ...words);
  bridge('mcast_query_response_interval', '100', 'mcast_startup_query_interval', '12500');
  // By itself and last: until the response interval in force at this moment is over, the switch floods.
  bridge('mcast_querier', '1');
}

/** All frames of a device, both ways, since it was opened or last taken. */
class Tracer {
  readonly #socket: PacketSocket;

  constructor({ native, netns, links }: Host, device: string) {
    this.#socket = native.packetSocket(netns, { ifindex: links.get(device).index, protocol: ALL_PROTOCOLS, receiveBuffer: 64 << 20 });
  }

  take(): ReceivedFrame[] {
    const frames: ReceivedFrame[] = [];
    for (let frame; (frame = this.#socket.receive()); ) frames.push(frame);
    assert.equal(this.#socket.drops(), 0);
    return frames;
  }

  close(): void {
    this.#socket.close();
  }
}

async function awaited<T>(what: string, look: () => T | undefined): Promise<T> {
  let found: T | undefined;
  await until(what, () => (found = look()) !== undefined, { limit: TIMEOUT, every: 5 });
  return found ?? assert.fail(what);
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The message of an MLD packet (behind the hop-by-hop header with its Router Alert), else undefined. */
function mldMessage({ frame }: ReceivedFrame): Uint8Array | undefined {
  const { etherType, payload } = decodeEthernet(frame);
  return etherType === EtherType.ipv6 && payload[6] === 0 && payload[40] === 58 ? payload.subarray(48) : undefined;
}

/** An IGMPv3 message, with the 4 bytes of Router Alert, else undefined. */
function igmpMessage({ frame }: ReceivedFrame): Uint8Array | undefined {
  const { etherType, payload } = decodeEthernet(frame);
  return etherType === EtherType.ipv4 && payload[0] === 0x46 && payload[9] === 2 ? payload.subarray(24) : undefined;
}

const isMldQuery = (frame: ReceivedFrame): boolean => mldMessage(frame)?.[0] === 130;

/** A report that answers a query, as MODE_IS_EXCLUDE (2), and names the group: RFC 3376 §4.2, RFC 3810 §5.2. Not one of a join. */
function answers(message: Uint8Array | undefined, type: number, group: { bytes(): Uint8Array }): boolean {
  return message?.[0] === type && message[8] === 2 && text(message).includes(text(group.bytes()));
}
const reports = (frame: ReceivedFrame): boolean => answers(mldMessage(frame), 143, GROUP);

/** The number of a datagram of move-group-sender.ts to the group, else undefined. */
function numberOf({ frame }: ReceivedFrame): number | undefined {
  if (!decodeEthernet(frame).destination.equals(multicastMac(GROUP)) || frame.length !== 14 + 40 + 8 + 24) return undefined;
  return Number(Buffer.from(frame).readBigUInt64BE(14 + 40 + 8 + 8));
}
const numbered = (frames: readonly ReceivedFrame[]): ReceivedFrame[] => frames.filter((frame) => numberOf(frame) !== undefined);

async function withGroupStream<T>({ lab, vm }: Session, during: () => Promise<T>): Promise<{ count: GroupCount; result: T }> {
  const words = [join(import.meta.dirname, 'move-group-sender.ts'), String(guestAddress(vm, 4)), 'eth-a', String(GROUP)];
  const child = lab.client.native.inNetns(lab.client.netns, () => spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] }));
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'ready');
    const result = await during();
    child.stdin.end();
    // The sender's own shape, of the file beside this one.
    return { count: JSON.parse((await lines.next()).value ?? '{}') as GroupCount, result };
  } finally {
    child.kill('SIGKILL');
  }
}

test('a host answers both queries at once, with all its groups', async () => {
  const { lab } = session();
  inNamespace(lab.clientNamespace, 'ip', 'addr', 'add', `${IPV4_GROUP}/32`, 'dev', 'eth-a', 'autojoin');
  const { v4, v6 } = labAddresses('a', CLIENT);
  assert.ok(v6.family === 6);
  const own = solicitedNodeMulticast(v6);
  const port = lab.switch.native.packetSocket(lab.switch.netns, { ifindex: lab.switch.links.get('a-client').index, protocol: 0 });
  const tracer = new Tracer(lab.switch, 'a-client');
  try {
    const asked = Date.now();
    const mac = MacAddress.of(lab.client.links.get('eth-a').address);
    for (const frame of groupQueryFrames({ mac, addresses: [v4, v6] }, MacAddress.parse('fe:54:00:77:00:99'))) port.send(frame);
    const seen: ReceivedFrame[] = [];
    const first = (is: (frame: ReceivedFrame) => boolean) => (): ReceivedFrame | undefined => {
      seen.push(...tracer.take());
      return seen.find(is);
    };
    const igmp = await awaited('the IGMP report', first((frame) => answers(igmpMessage(frame), 0x22, IPV4_GROUP)));
    const mld = await awaited('the MLD report', first((frame) => answers(mldMessage(frame), 143, own)));
    for (const { timestamp } of [igmp, mld]) assert.ok(timestamp - asked < REPORT_WITHIN, `answered after ${timestamp - asked} ms`);
  } finally {
    tracer.close();
    port.close();
  }
});

test('a move that is called off leaves no query behind that looks like a frame of others', async () => {
  const { receipt } = await session().move({ signal: AbortSignal.abort() });
  assert.equal(receipt.outcome.kind, 'rolled-back');
  const counted = receipt.nics.map(({ redirected, delivered, untaken }) => ({ redirected, delivered, untaken }));
  assert.deepEqual(counted, [{ redirected: 0, delivered: 0, untaken: false }]);
  assert.equal(lossless(receipt), true);
});

test('a stream to a snooped group goes on after a move: lost is at most what was sent before the guest could report', async () => {
  const { lab, next } = session();
  startQuerier(session());
  const sender = new Tracer(lab.client, 'eth-a');
  const newPort = new Tracer(hostNamed(session(), next.name).host, 'up-a');
  const seen: ReceivedFrame[] = [];
  const isReport = (frame: ReceivedFrame): boolean => frame.packetType === OUTGOING && reports(frame);
  try {
    const { count, result } = await withGroupStream(session(), async () => {
      const sent: ReceivedFrame[] = [];
      // Only then do the switches snoop: before the querier's first round is over they flood.
      let quietFrom = 0;
      await until('the other host no longer gets the group', () => {
        sent.push(...numbered(sender.take()));
        if (numbered(newPort.take()).length > 0) quietFrom = sent.length;
        return sent.length - quietFrom > 100;
      }, { limit: TIMEOUT, every: 5 });
      const { receipt } = await session().move();
      await until('the guest has reported', () => {
        seen.push(...newPort.take());
        return seen.some(isReport);
      }, { limit: TIMEOUT, every: 5 });
      sent.push(...numbered(sender.take()));
      const end = sent.length;
      await until('the stream goes on a while', () => sent.push(...numbered(sender.take())) - end > 300, { limit: TIMEOUT, every: 5 });
      return { receipt, sent };
    });
    const { receipt, sent } = result;
    assert.deepEqual(receipt.outcome, { kind: 'moved' });
    assertOverlap(receipt);

    seen.push(...newPort.take());
    assert.deepEqual(seen.filter(isMldQuery), [], 'no query came from the network, and ours did not get out');
    const handingOver = receipt.phases.find(({ name }) => name === 'handing-over');
    const report = seen.find(isReport);
    assert.ok(handingOver && report);
    const late = report.timestamp - resumedAt(receipt);
    assert.ok(late < REPORT_WITHIN, `reported ${late} ms after it ran`);

    const lost = count.missing.flatMap(([from = 0, to = from]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
    const times = new Map(sent.map((frame) => [numberOf(frame), frame.timestamp]));
    const [since, till] = [handingOver.from - SLACK, report.timestamp + SLACK];
    const unexplained = lost.filter((n) => !((times.get(n) ?? 0) >= since && (times.get(n) ?? Infinity) <= till));
    assert.deepEqual(unexplained, [], `of ${lost.length} lost, not sent in the ${till - since} ms from the redirect's end to the report`);
    assert.ok([...times.values()].filter((at) => at > till).length > 300, 'most was sent after the report');
  } finally {
    sender.close();
    newPort.close();
  }
});
