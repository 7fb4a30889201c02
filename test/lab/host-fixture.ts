/**
 * What the lab tests of host/ run in: namespaces of their own, named `gw<pid>-…`, two hosts with a tunnel network between
 * them, and a client end of each host's bridge.
 *
 *   client e1 ── up0 h1 br0 [tap]   h1 mig ── mig h2   [tap] br0 h2 up0 ── e2 client
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { Host } from '../../src/host/host.ts';
import type { Link } from '../../src/host/link.ts';
import { u8 } from '../../src/host/netlink-message.ts';
import type { VmTap } from '../../src/host/vm-tap.ts';
import { kernelNative } from '../../src/native/kernel.ts';
import type { Native, PacketSocket, ReceivedFrame, Tap } from '../../src/native/native.ts';
import { EtherType, encodeEthernet } from '../../src/wire/ethernet.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { MacAddress } from '../../src/wire/mac-address.ts';

export const GUEST = MacAddress.parse('52:54:00:00:00:01');
export const CLIENT = MacAddress.parse('52:54:00:00:00:c1');
export const IPV4_GROUP = MacAddress.parse('01:00:5e:00:00:fb');
export const NO_VNET_HEADER = new Uint8Array(10);

export function ip(...words: string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

let benches = 0;

export class Bench {
  readonly native: Native = kernelNative();
  readonly #prefix = `gw${process.pid}-${++benches}-`;
  readonly #namespaces: string[] = [];
  readonly #open: { close(): void }[] = [];

  namespaceName(name: string): string {
    return `${this.#prefix}${name}`;
  }

  host(name: string): Host {
    const namespace = this.namespaceName(name);
    ip('netns', 'add', namespace);
    this.#namespaces.push(namespace);
    const host = new Host(name, this.native, this.owned(this.native.openNetns(namespace)));
    this.owned(host).links.set(1, { up: true });
    return host;
  }

  /** iproute2's own view. */
  ip(host: Host, ...words: string[]): string {
    return ip('-n', this.namespaceName(host.name), ...words);
  }

  owned<T extends { close(): void }>(thing: T): T {
    this.#open.push(thing);
    return thing;
  }

  close(): void {
    for (const thing of this.#open.splice(0).toReversed()) thing.close();
    for (const name of this.#namespaces.splice(0)) ip('netns', 'del', name);
  }
}

/** Runs `test` with a bench that is removed whatever happens. */
export async function withBench(test: (bench: Bench) => void | Promise<void>): Promise<void> {
  const bench = new Bench();
  try {
    await test(bench);
  } finally {
    bench.close();
  }
}

/** Speaks neither IPv6 nor, as a snooping bridge does, IGMP and MLD. */
export function quietBridge(host: Host, name = 'br0'): Link {
  const IFLA_BR_MCAST_SNOOPING = 23;
  const { index } = host.links.create(name, 'bridge', [[IFLA_BR_MCAST_SNOOPING, u8(0)]]);
  host.links.set(index, { up: true, noIpv6Address: true });
  return host.links.get(name);
}

export interface TwoHosts {
  readonly bench: Bench;
  readonly h1: Host;
  readonly h2: Host;
  readonly client: Host;
  /** Both ways, everything that comes in at the client's ends, with vnet headers. */
  readonly e1: PacketSocket;
  readonly e2: PacketSocket;
}

export function twoHosts(bench: Bench, migrationMtu = 1500): TwoHosts {
  const [h1, h2, client] = [bench.host('h1'), bench.host('h2'), bench.host('client')];
  for (const [host, end] of [[h1, 'e1'], [h2, 'e2']] as const) {
    const bridge = quietBridge(host);
    client.links.createVeth({ name: end, netns: client.netns, mtu: 1500 }, { name: 'up0', netns: host.netns, mtu: 1500 });
    host.links.set(host.links.get('up0').index, { master: bridge.index, up: true, noIpv6Address: true });
    client.links.set(client.links.get(end).index, { up: true, noIpv6Address: true });
  }
  h1.links.createVeth({ name: 'mig', netns: h1.netns, mtu: migrationMtu }, { name: 'mig', netns: h2.netns, mtu: migrationMtu });
  for (const [host, address] of [[h1, '10.79.0.1'], [h2, '10.79.0.2']] as const) {
    const { index } = host.links.get('mig');
    host.links.set(index, { up: true, noIpv6Address: true });
    host.addresses.add(index, parseIpAddress(address), 24);
  }
  const socket = (name: string): PacketSocket => {
    const options = { ifindex: client.links.get(name).index, protocol: 3, vnetHeader: true, receiveBuffer: 16 << 20 };
    return bench.owned(bench.native.packetSocket(client.netns, options));
  };
  return { bench, h1, h2, client, e1: socket('e1'), e2: socket('e2') };
}

export function vmTap(bench: Bench, host: Host, options: { name?: string; mute?: boolean; mac?: MacAddress } = {}): VmTap {
  const { name = 'gt-0', mac = GUEST, mute = false } = options;
  const made = host.createVmTap({ name, bridge: 'br0', mac, mtu: 1500, mute });
  bench.owned(made.tap);
  return made;
}

/** The tunnel of a NIC as a move makes it: the source's end, and the destination's end that feeds `to`. */
export function tunnelTo({ h1, h2 }: TwoHosts, to: VmTap): { near: Link; far: Link } {
  return tunnelBetween(h1, '10.79.0.1', h2, '10.79.0.2', to, 'gx-0', 7001);
}

export function tunnelBetween(
  source: Host, sourceAddress: string, destination: Host, destinationAddress: string, to: VmTap, name: string, vni: number,
): { near: Link; far: Link } {
  const [from, toward] = [parseIpAddress(sourceAddress), parseIpAddress(destinationAddress)];
  const near = source.createTunnel({ name, vni, local: from, remote: toward, mtu: 1500 });
  const far = destination.createTunnel({ name, vni, local: toward, remote: from, mtu: 1500 });
  destination.traffic.attach(far.index);
  destination.traffic.redirect(far.index, { hook: 'ingress', preference: 1, match: 'all', to: to.index });
  return { near, far };
}

/** A frame of `size` bytes that nobody's stack answers; `number` can be had back by `numberOf`. */
export function frame(destination: MacAddress, number: number, options: { size?: number; source?: MacAddress } = {}): Uint8Array {
  const { size = 60, source = CLIENT } = options;
  const payload = new Uint8Array(size - 14);
  new DataView(payload.buffer).setUint32(0, number);
  return encodeEthernet({ destination, source, etherType: EtherType.localExperimental1, payload });
}

/** `undefined` for a frame that `frame` did not make. */
export function numberOf(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length >= 18 && view.getUint16(12) === EtherType.localExperimental1 ? view.getUint32(14) : undefined;
}

export function readAll(from: Tap | PacketSocket): ReceivedFrame[] {
  const frames: ReceivedFrame[] = [];
  for (;;) {
    const next = 'read' in from ? from.read() : from.receive();
    if (!next) return frames;
    if (next.packetType !== 4) frames.push(next);
  }
}

export function numbers(frames: readonly ReceivedFrame[]): (number | undefined)[] {
  return frames.map(({ frame }) => numberOf(frame));
}

export function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

/** ms: how long to wait, and between two looks: more where a look costs a process. */
export interface Patience {
  readonly limit?: number;
  readonly every?: number;
}

/** Polls until `condition` holds. Fails at the limit, 5 s without another; `what` may say what is there instead. */
export async function until(what: string | (() => string), condition: () => boolean | Promise<boolean>, { limit = 5000, every = 1 }: Patience = {}): Promise<void> {
  for (const deadline = performance.now() + limit; !(await condition()); await pause(every)) {
    if (performance.now() >= deadline) assert.fail(`within ${limit / 1000} s: ${typeof what === 'string' ? what : what()}`);
  }
}

/** Reads until `count` frames have come, and says which. Fails after 5 s; more than `count` are given out too. */
export async function take(from: Tap | PacketSocket, count: number): Promise<ReceivedFrame[]> {
  const frames: ReceivedFrame[] = [];
  await until(`${count} frames`, () => {
    frames.push(...readAll(from));
    return frames.length >= count;
  });
  return frames;
}
