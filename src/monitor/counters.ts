/**
 * Counts the host once a second (model/counters.ts): links and NICs by their counters, queues by tc's, TCP by sock_diag, softirq by /proc.
 * A rate is what a counter grew by, over the time that passed by the monotonic clock. What was not there the last time, or went backwards
 * (a device made anew), starts anew with 0.
 */
import { readFileSync } from 'node:fs';
import type { CounterReport, HostFigures, LinkFigures, NicFigures, Traffic } from '../model/counters.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { hostDefaults } from '../model/host.ts';
import type { Native, Netns } from '../native/native.ts';
import { Addresses } from '../host/address.ts';
import { type Link, Links } from '../host/link.ts';
import { type TrafficTotals, readLinkStatistics } from '../host/link-statistics.ts';
import { KernelRefused, Netlink } from '../host/netlink.ts';
import { type QueueTotals, type RootQueue, readQueueClasses, readRootQueues } from '../host/qdisc-statistics.ts';
import { type SoftnetTotals, readSoftnet } from '../host/softnet.ts';
import { Growth, rateOf } from './counters-growth.ts';
import { TcpCounters, type TcpPorts } from './counters-tcp.ts';
import type { WatchedNic } from './monitor-protocol.ts';

export interface CountersOptions {
  readonly native: Native;
  readonly netns: Netns;
  /** TCP ports by which connections are told apart, whichever end has them. */
  readonly ports?: Partial<TcpPorts>;
  /** ms: the worst of the monitor's own since it was last asked. */
  readonly lateness: () => number;
}

/** A link, and what does not change from one second to the next. */
interface Known {
  readonly name: string;
  readonly loopback: boolean;
  readonly capacity: number | undefined;
}

/** QEMU's own: move/move-destination.ts. The server's: that which it has without another. */
const usualPorts: TcpPorts = { peer: hostDefaults.peerPort, server: 7443, migration: [49_152, 49_215] };
/** ms: a link that was renamed, or whose cable is another now, is seen so late. */
const LOOK_AGAIN = 60_000;
/** Drivers of others (veth, tun, bridge) say a speed that means nothing. */
const SPEED_MEANS_SOMETHING: ReadonlySet<string> = new Set(['', 'bond', 'team', 'vlan']);
const LOOPBACK = 1;

export class Counters {
  readonly #options: CountersOptions;
  readonly #netlink: Netlink;
  readonly #tcp: TcpCounters;
  readonly #traffic = new Growth<number, TrafficTotals>();
  readonly #queues = new Growth<string, { readonly bytes: number; readonly packets: number; readonly drops: number }>();
  #known = new Map<number, Known>();
  #knownAt = -Infinity;
  /** Monotonic: when links were read last. */
  #trafficAt: number | undefined;
  #nics = new Map<string, WatchedNic>();
  /** By own address. */
  #capacities = new Map<string, number>();
  #last: { readonly at: number; readonly softnet: SoftnetTotals; readonly cpu: number } | undefined;

  /** @throws SystemError without CAP_NET_ADMIN */
  constructor(options: CountersOptions) {
    this.#options = options;
    this.#netlink = new Netlink(options.native, options.netns);
    this.#tcp = new TcpCounters(options.native, options.netns, { ...usualPorts, ...options.ports });
  }

  /** Taps of this host's VMs: they are counted as NICs, the guest's way round, and not as links. */
  nics(nics: readonly WatchedNic[]): void {
    this.#nics = new Map(nics.map((nic) => [nic.device, nic]));
  }

  /** A link that has one of this host's addresses has the capacity of that address's path; TCP is told by the peers' addresses. */
  capacities({ local, paths, peers }: Pick<WatchPlan, 'local' | 'paths' | 'peers'>): void {
    this.#capacities = new Map(Object.entries(local).flatMap(([path, address]) => {
      const capacity = paths[path]?.capacity;
      return capacity === undefined ? [] : [[address, capacity]];
    }));
    this.#tcp.peers(peers);
    this.#knownAt = -Infinity;
  }

  /**
   * What happened since the last time; rates are 0 the first time. Where the kernel refuses to tell of links (they kept changing while it
   * listed them), there are none, and the next read tells of both times.
   * @param now ms since the epoch
   */
  read(now: number): CounterReport {
    const monotonic = this.#options.native.monotonic();
    const traffic = this.#trafficNow(monotonic);
    return { at: now, ...traffic, tcp: this.#tcp.read(this.#elapsed(this.#last?.at, monotonic)), host: this.#host(monotonic) };
  }

  close(): void {
    this.#netlink.close();
    this.#tcp.close();
  }

  /** Seconds, above 0. */
  #elapsed(since: number | undefined, monotonic: number): number {
    return since === undefined ? 1 : Math.max(1, monotonic - since) / 1000;
  }

  #trafficNow(monotonic: number): { links: LinkFigures[]; nics: NicFigures[] } {
    const [links, nics]: [LinkFigures[], NicFigures[]] = [[], []];
    let [totals, roots]: [Map<number, TrafficTotals>, Map<number, RootQueue>] = [new Map(), new Map()];
    try {
      totals = readLinkStatistics(this.#netlink);
      if (monotonic - this.#knownAt > LOOK_AGAIN || [...totals.keys()].some((index) => !this.#known.has(index))) this.#look(monotonic);
      roots = readRootQueues(this.#netlink);
    } catch (error) {
      if (error instanceof KernelRefused) return { links, nics };
      throw error;
    }
    const elapsed = this.#elapsed(this.#trafficAt, monotonic);
    this.#trafficAt = monotonic;
    for (const [index, total] of totals) {
      const link = this.#known.get(index);
      if (!link || link.loopback) continue;
      const rates = ratesOf(this.#traffic.of(index, total), elapsed);
      const root = roots.get(index);
      const nic = this.#nics.get(link.name);
      if (nic) nics.push(nicFigures(nic, rates, root ? this.#queue(index, root, elapsed).drops : 0));
      else links.push(this.#linkFigures(index, link, rates, root, elapsed));
    }
    this.#traffic.turn();
    this.#queues.turn();
    return { links, nics };
  }

  #linkFigures(index: number, { name, capacity }: Known, rates: Traffic, root: RootQueue | undefined, elapsed: number): LinkFigures {
    const queues = root ? [root, ...(root.classful ? this.#classes(index) : [])].map((queue) => this.#queue(index, queue, elapsed)) : [];
    const busier = Math.max(rates.rxBytes, rates.txBytes);
    return { name, ...rates, queues, ...(capacity === undefined ? {} : { capacity, utilization: busier / capacity }) };
  }

  #queue(index: number, { handle, bytes, packets, drops, backlog }: QueueTotals, elapsed: number): LinkFigures['queues'][number] {
    const grown = this.#queues.of(`${index} ${handle}`, { bytes, packets, drops });
    return {
      class: handle, backlog,
      bytes: rateOf(grown?.bytes, elapsed), packets: rateOf(grown?.packets, elapsed), drops: rateOf(grown?.drops, elapsed),
    };
  }

  /** None where the link has gone meanwhile. */
  #classes(index: number): QueueTotals[] {
    try {
      return readQueueClasses(this.#netlink, index);
    } catch (error) {
      if (error instanceof KernelRefused) return [];
      throw error;
    }
  }

  #look(monotonic: number): void {
    const own = new Map<number, number>();
    if (this.#capacities.size > 0) {
      for (const { device, address } of new Addresses(this.#netlink).list()) {
        const capacity = this.#capacities.get(address.toString());
        if (capacity !== undefined) own.set(device, Math.max(own.get(device) ?? 0, capacity));
      }
    }
    this.#known = new Map(new Links(this.#netlink).list().map((link) => [link.index, {
      name: link.name, loopback: link.index === LOOPBACK, capacity: own.get(link.index) ?? driverSpeed(link),
    }]));
    this.#knownAt = monotonic;
  }

  #host(monotonic: number): HostFigures {
    const elapsed = this.#elapsed(this.#last?.at, monotonic);
    const softnet = readSoftnet();
    const { user, system } = process.cpuUsage();
    const cpu = (user + system) / 1e6;
    const last = this.#last ?? { softnet, cpu };
    this.#last = { at: monotonic, softnet, cpu };
    const all = softnet.all - last.softnet.all;
    return {
      softirq: all > 0 ? Math.max(0, softnet.softirq - last.softnet.softirq) / all : 0,
      backlogDrops: rateOf(softnet.dropped - last.softnet.dropped, elapsed),
      squeezed: rateOf(softnet.squeezed - last.softnet.squeezed, elapsed),
      lateness: this.#options.lateness(),
      cost: (cpu - last.cpu) / elapsed,
    };
  }
}

function ratesOf(grown: TrafficTotals | undefined, elapsed: number): Traffic {
  return {
    rxBytes: rateOf(grown?.rxBytes, elapsed), txBytes: rateOf(grown?.txBytes, elapsed),
    rxPackets: rateOf(grown?.rxPackets, elapsed), txPackets: rateOf(grown?.txPackets, elapsed),
    rxDrops: rateOf(grown?.rxDrops, elapsed), txDrops: rateOf(grown?.txDrops, elapsed),
    rxErrors: rateOf(grown?.rxErrors, elapsed), txErrors: rateOf(grown?.txErrors, elapsed),
  };
}

/** Turned round: what the tap sent is what the guest received, and what the tap's queue dropped it did not. */
function nicFigures({ vm, nic }: WatchedNic, tap: Traffic, queueDrops: number): NicFigures {
  return {
    vm, nic, rxBytes: tap.txBytes, txBytes: tap.rxBytes, rxPackets: tap.txPackets, txPackets: tap.rxPackets,
    rxDrops: tap.txDrops + queueDrops, txDrops: tap.rxDrops, rxErrors: tap.txErrors, txErrors: tap.rxErrors,
  };
}

/** Bytes per second by the driver's word; undefined where it says nothing, or /sys shows another namespace's devices. */
function driverSpeed({ name, kind, index }: Link): number | undefined {
  if (!SPEED_MEANS_SOMETHING.has(kind)) return undefined;
  try {
    if (Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8')) !== index) return undefined;
    // Mbit/s; -1: unknown
    const speed = Number(readFileSync(`/sys/class/net/${name}/speed`, 'utf8'));
    return speed > 0 ? speed * 125_000 : undefined;
  } catch {
    // EINVAL while the link is down
    return undefined;
  }
}
