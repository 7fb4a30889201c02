/**
 * Before a move: is what the plan believes of the ways between the two hosts true? Full-size packets on the way of the migration,
 * a full-size frame on each network of the VM, and the gateway as both hosts see it, all at the same time. What came out well is
 * not tried again for a while: a host that is emptied should not pay for it with every VM.
 */
import { randomInt } from 'node:crypto';
import { GodwitError, formatError } from '../base/error.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { PathMtu } from '../host/path-mtu.ts';
import type { Nic, Vm } from '../model/vm.ts';
import { type FrameTried, type GatewayTried, type HostFacts, type MoveFacts, type NetworkTried, type PathTried, type Ways, frameCame, gatewayShared, tunnelOverhead } from '../policy/policy.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { PeerLost } from './errors.ts';

/** What one host can try: a seam, with the kernel's in `preflight-kernel.ts` and a double in `hypervisor-memory.ts`. */
export interface HostProbes {
  /** As host/path-mtu.ts; `promised`: what the route allows when all has been tried, which may have been learned in it. */
  pathMtu(to: IpAddress, port: number, sizes: readonly number[]): Promise<PathMtu & { readonly promised: number }>;
  /** Hears frames of `nonce` at the bridge, until `close`. */
  listen(bridge: string, nonce: number): FrameListener;
  /** Sends one frame of each size out of the bridge, to the MAC of the bridge that listens. */
  sendFrames(frames: FrameOrder): Promise<void>;
  /** The MACs that answer for an address on a bridge's network. */
  gateway(bridge: string, address: string): Promise<readonly string[]>;
}

export interface FrameListener {
  /** The bridge's. */
  readonly mac: string;
  /** The largest that came, as soon as it is at least `size`, else after `within`; 0 when none did. One wait at a time. */
  wait(size: number, within: Milliseconds): Promise<number>;
  close(): void;
}

export interface FrameOrder {
  readonly bridge: string;
  readonly nonce: number;
  /** Bytes after the Ethernet header. */
  readonly sizes: readonly number[];
  readonly to: string;
}

/** The other host's part of it, asked of its agent. Methods fail with PeerLost among others. */
export interface PeerProbes extends Pick<HostProbes, 'sendFrames' | 'gateway'> {
  /** UDP: there it answers the probes of a path. */
  readonly port: number;
}

export interface Preflight {
  readonly vm: Vm;
  readonly from: HostProbes;
  readonly to: PeerProbes;
  readonly destination: HostFacts;
  readonly address: IpAddress;
  readonly path: Pick<MoveFacts, 'pathMtu' | 'outerFamily'>;
}

/** What came out well is taken for true so long. */
const KEPT = seconds(30);
/** RFC 8200 §5: every path carries it, or it is none. */
const SMALLEST = 1280;
/** Of an IP packet with a UDP datagram of ours, bytes (RFC 791 §3.1). */
const LARGEST = 65535;
/** One of these tells a narrow network from none. */
const SMALL_FRAME = 64;
const FRAME_ROUNDS = 5;
const FRAME_ROUND = ms(250);

const known = new WeakMap<HostProbes, Map<string, { readonly until: number; readonly result: unknown }>>();

/** Bounded in time: a little longer than its slowest probe, some seconds where nothing comes through. Fails with PeerLost. */
export async function tryWays(flight: Preflight, now = (): number => performance.now()): Promise<{ readonly pathMtu: number; readonly ways: Ways }> {
  const [path, networks] = await Promise.all([tryPath(flight, now), Promise.all(networksOf(flight).map((network) => tryNetwork(flight, network, now)))]);
  return { pathMtu: path.works ?? flight.path.pathMtu, ways: { path: path.tried, networks } };
}

interface Network {
  readonly bridge: string;
  readonly mtu: number;
  readonly gateways: readonly string[];
}

/** Those that are there at the destination, and wide enough: of the others the plan says what is wrong without a try. */
function networksOf({ vm, destination }: Preflight): Network[] {
  const nics = new Map<string, Nic[]>();
  for (const nic of vm.nics) {
    const { attachment, mtu } = nic;
    // The bridges of a routed network have nothing between them, and one gateway by their making.
    if (attachment.kind !== 'bridge' || attachment.segment?.kind === 'routed' || mtu > (destination.bridges.get(attachment.bridge)?.mtu ?? 0)) continue;
    nics.set(attachment.bridge, [...(nics.get(attachment.bridge) ?? []), nic]);
  }
  return [...nics].map(([bridge, on]) => ({
    bridge, mtu: Math.max(...on.map(({ mtu }) => mtu)),
    gateways: [...new Set(on.flatMap(({ gateway }) => (gateway ? [gateway.toString()] : [])))],
  }));
}

async function tryPath({ vm, from, to, destination, address, path }: Preflight, now: () => number): Promise<{ readonly tried: PathTried; readonly works?: number }> {
  const inTunnel = vm.nics.map(({ mtu }) => mtu + tunnelOverhead(path.outerFamily));
  const sizes = [Math.max(SMALLEST, ...inTunnel), path.pathMtu, SMALLEST].map((size) => Math.min(size, LARGEST));
  const key = `path ${destination.name} ${address} ${to.port} ${sizes.join(' ')}`;
  return remembered(from, key, now, ({ tried }) => tried.kind === 'whole', async () => {
    let answer: Awaited<ReturnType<HostProbes['pathMtu']>>;
    try {
      answer = await from.pathMtu(address, to.port, sizes);
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      // Sent without DF, nothing is learned from what comes; it may all be well.
      return { tried: { kind: error.code === 'HOST_NO_PMTU_DISCOVERY' ? 'untried' : 'dead', why: error.message } };
    }
    const { works, promised, tried } = answer;
    if (works === 0) {
      const why = `no packet of ${Math.min(...tried)} bytes or more to UDP port ${to.port} of ${address} was answered: is it routed, and let through by every firewall?`;
      return { tried: { kind: 'dead', why }, works };
    }
    const lost = tried.find((size) => size > works && size <= promised);
    return { tried: lost === undefined ? { kind: 'whole' } : { kind: 'lossy', promised: lost, works }, works };
  });
}

async function tryNetwork(flight: Preflight, { bridge, mtu, gateways }: Network, now: () => number): Promise<NetworkTried> {
  const { from, destination: { name } } = flight;
  const [frame, ...seen] = await Promise.all([
    remembered(from, `frame ${name} ${bridge} ${mtu}`, now, frameCame, () => tryFrame(flight, bridge, mtu)),
    ...gateways.map((address) => remembered(from, `gateway ${name} ${bridge} ${address}`, now, gatewayShared, () => tryGateway(flight, bridge, address))),
  ]);
  return { bridge, frame, gateways: seen };
}

async function tryFrame({ from, to }: Preflight, bridge: string, size: number): Promise<FrameTried> {
  try {
    const nonce = randomInt(2 ** 32);
    const listener = from.listen(bridge, nonce);
    try {
      let came = 0;
      for (let round = 0; round < FRAME_ROUNDS && came < size; round++) {
        await to.sendFrames({ bridge, nonce, sizes: [SMALL_FRAME, size], to: listener.mac });
        came = await listener.wait(size, FRAME_ROUND);
      }
      return { sent: size, came };
    } finally {
      listener.close();
    }
  } catch (error) {
    return { failure: reasonOf(error) };
  }
}

async function tryGateway({ from, to }: Preflight, bridge: string, address: string): Promise<GatewayTried> {
  try {
    const [source, destination] = await Promise.all([from.gateway(bridge, address), to.gateway(bridge, address)]);
    return { address, source, destination };
  } catch (error) {
    return { address, failure: reasonOf(error) };
  }
}

/** Of what a host refused; a peer that is away ends the plan. */
function reasonOf(error: unknown): string {
  if (error instanceof GodwitError && !(error instanceof PeerLost)) return formatError(error);
  throw error;
}

async function remembered<T>(by: HostProbes, key: string, now: () => number, good: (result: T) => boolean, attempt: () => Promise<T>): Promise<T> {
  const results = known.get(by) ?? new Map<string, { readonly until: number; readonly result: unknown }>();
  known.set(by, results);
  for (const [name, { until }] of results) if (until <= now()) results.delete(name);
  const before = results.get(key);
  // The cast: a key says which probe it is of.
  if (before) return before.result as T;
  const result = await attempt();
  if (good(result)) results.set(key, { until: now() + KEPT, result });
  return result;
}
