/**
 * `Native` on a network in memory, for tests and the simulator: namespaces, links joined in pairs, taps. Deterministic and
 * without timers: a frame sent is received before `send` returns, listeners are called from microtasks.
 *
 * It does what the kernel does with frames and descriptors, and nothing above that: no bridges, no routes; UDP goes to neighbours only
 * (memory-udp.ts). Netlink requests go to `respond`, which a test replaces by what it needs. Time passes by `advance` alone.
 */
import { errno, systemError } from './errno.ts';
import { DescriptorTable } from './memory-descriptor.ts';
import { VirtualTime } from './memory-deadline.ts';
import { MemoryPacketSocket, MemoryTapDevice, MemoryVeth } from './memory-link.ts';
import type { MemoryLink } from './memory-link.ts';
import { MemoryFdSocket, MemoryNetlinkSocket, netlinkError } from './memory-sockets.ts';
import type { NetlinkResponder } from './memory-sockets.ts';
import { MemoryTap } from './memory-tap.ts';
import { MemoryUdpSocket } from './memory-udp.ts';
import type { MemoryAddress, UdpHost, UdpNetwork } from './memory-udp.ts';
import { checkGroup, checkNetnsName, checkTapName, NativeMisuseError, refusePromise } from './native.ts';
import type { KernelClockError, Native, Netns, RealtimeResult, Tap } from './native.ts';

interface Namespace extends UdpHost {
  readonly name: string;
  readonly links: Map<string, MemoryLink>;
  readonly addresses: MemoryAddress[];
  readonly netlinkSockets: Set<MemoryNetlinkSocket>;
  readonly memberships: Set<{ readonly text: string }>;
  nextIfindex: number;
}

/** One end of a pair of links. */
export interface LinkEnd {
  readonly netns: string;
  readonly name: string;
  /** 6 bytes; a locally administered one is made up without. */
  readonly mac?: Uint8Array;
}

class MemoryNetns implements Netns {
  readonly name: string;
  readonly namespace: Namespace;
  #open = true;

  constructor(name: string, namespace: Namespace) {
    this.name = name;
    this.namespace = namespace;
  }

  /** No real descriptor: a number only to look at, -1 once closed. */
  get fd(): number {
    return this.#open ? 0 : -1;
  }

  close(): void {
    this.#open = false;
  }
}

export class MemoryNetwork {
  /** Answers netlink requests; as made, with EOPNOTSUPP. */
  respond: NetlinkResponder = (request) => [netlinkError(request, errno.EOPNOTSUPP)];
  /** The descriptors of all holders. */
  readonly descriptors = new DescriptorTable();
  /** What `Native.realtime` answers. */
  realtime: RealtimeResult = { scheduling: 'ordinary', locked: false, because: 'in memory' };
  /** What `Native.clockError` answers: as the kernel does where nobody disciplines the clock. */
  clockError: KernelClockError = { synchronized: false, error: 16_000 };
  readonly #time = new VirtualTime();
  readonly #now: () => number;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #homes = new WeakMap<MemoryLink, Namespace>();
  readonly #udp: UdpNetwork = {
    descriptors: this.descriptors,
    now: () => this.#now(),
    hostOf: (link) => this.#homes.get(link),
  };
  readonly #processes = new Map<number, Map<number, MemoryTapDevice>>();
  #made = 0;

  /** `now` is CLOCK_REALTIME, which stamps received frames, in ms; without it, that of `advance`, which begins at 0. */
  constructor(now?: () => number) {
    this.#now = now ?? (() => this.#time.now);
  }

  /** Lets `ms` of CLOCK_MONOTONIC pass; resolves when all that came of it is done. */
  advance(ms: number): Promise<void> {
    return this.#time.advance(ms);
  }

  /** The groups that somebody in the namespace is a member of on a link: `2 e0000012`, by ifindex and address in hex, sorted. */
  groups(netns: string): string[] {
    return [...new Set([...this.#namespace(netns).memberships].map(({ text }) => text))].sort();
  }

  addNetns(name: string): void {
    checkNetnsName(name);
    if (this.#namespaces.has(name)) throw systemError(`add namespace ${name}`, errno.EEXIST);
    // 1 is the loopback's.
    this.#namespaces.set(name, {
      name, links: new Map(), addresses: [], netlinkSockets: new Set(), udpSockets: new Set(), memberships: new Set(), nextIfindex: 2,
    });
  }

  /** Two links joined like a veth pair, both down. */
  addLinkPair(one: LinkEnd, other: LinkEnd, mtu = 1500): void {
    const [a, b] = [one, other].map((end) => {
      const namespace = this.#namespace(end.netns);
      const mac = end.mac ?? this.#makeMac();
      return this.#attach(namespace, new MemoryVeth(end.name, namespace.nextIfindex++, mac, mtu, this.#now));
    });
    if (a === undefined || b === undefined) return;
    a.peer = b;
    b.peer = a;
  }

  /** @throws SystemError ENODEV */
  link(netns: string, name: string): MemoryLink {
    const link = this.#namespace(netns).links.get(name);
    if (link === undefined) throw systemError(`link ${name} in ${netns}`, errno.ENODEV);
    return link;
  }

  /** Gives a link an IP address, 4 or 16 bytes, and with it the way to all that its prefix covers. */
  addAddress(netns: string, linkName: string, address: Uint8Array, prefixLength: number): void {
    this.#namespace(netns).addresses.push({ link: this.link(netns, linkName), address: address.slice(), prefixLength });
  }

  hasLink(netns: string, name: string): boolean {
    return this.#namespace(netns).links.has(name);
  }

  /** The device behind a tap: its queue length, drops and header size are the test's to set and read. */
  tap(netns: string, name: string): MemoryTapDevice {
    const link = this.link(netns, name);
    if (!(link instanceof MemoryTapDevice)) throw systemError(`tap ${name} in ${netns}`, errno.EINVAL);
    return link;
  }

  deleteLink(netns: string, name: string): void {
    const link = this.link(netns, name);
    link.delete();
    const { links, addresses } = this.#namespace(netns);
    links.delete(name);
    addresses.splice(0, addresses.length, ...addresses.filter((each) => each.link !== link));
    if (link instanceof MemoryVeth && link.peer !== undefined && !link.peer.deleted) {
      const peer = link.peer;
      for (const namespace of this.#namespaces.values()) {
        if (namespace.links.get(peer.name) === peer) this.deleteLink(namespace.name, peer.name);
      }
    }
    if (link instanceof MemoryTapDevice) for (const reader of link.readers) reader.wake();
  }

  /** Sends a netlink message unasked to the sockets of a namespace that joined one of `groups` (bits). */
  notify(netns: string, groups: number, message: Uint8Array): void {
    for (const socket of this.#namespace(netns).netlinkSockets) if ((socket.groups & groups) !== 0) socket.enqueue(message);
  }

  /** Another process holds the tap as its descriptor `fd`, until `endProcess`. */
  addProcess(pid: number, fd: number, tap: Tap): void {
    if (!(tap instanceof MemoryTap)) throw new NativeMisuseError(`tap ${tap.name} is not of this network`);
    const held = this.#processes.get(pid) ?? new Map<number, MemoryTapDevice>();
    tap.device.file.retain();
    this.#processes.set(pid, held.set(fd, tap.device));
  }

  endProcess(pid: number): void {
    const held = this.#processes.get(pid);
    this.#processes.delete(pid);
    for (const device of held?.values() ?? []) device.file.release();
  }

  /** The network as a process in namespace `home` sees it. */
  native(home: string): Native {
    let current = this.#namespace(home);

    const inNetns = <T>(netns: Netns, fn: () => T): T => {
      const before = current;
      current = namespaceOf(netns);
      try {
        return refusePromise(fn());
      } finally {
        current = before;
      }
    };

    return {
      monotonic: () => this.#time.now,
      now: () => this.#now(),
      clockError: () => this.clockError,
      deadline: () => this.#time.deadline(),
      realtime: () => this.realtime,
      joinGroup: (netns, ifindex, group) => {
        checkGroup(group);
        if (linkOf(netns, ifindex) === undefined) throw systemError(`setsockopt MCAST_JOIN_GROUP on link ${ifindex}`, errno.ENODEV);
        const { memberships } = namespaceOf(netns);
        const membership = { text: `${ifindex} ${Buffer.from(group).toString('hex')}` };
        memberships.add(membership);
        return { close: () => void memberships.delete(membership) };
      },
      inNetns,
      openNetns: (name) => (name === undefined ? new MemoryNetns('', current) : new MemoryNetns(name, this.#namespace(name))),
      packetSocket: (netns, options) => {
        const link = linkOf(netns, options.ifindex);
        if (link === undefined) throw systemError(`bind packet socket on link ${options.ifindex}`, errno.ENODEV);
        return new MemoryPacketSocket(this.descriptors, link, options);
      },
      netlinkSocket: (netns, options) => {
        const { name, netlinkSockets } = namespaceOf(netns);
        const respond = (request: Uint8Array) => this.respond(request, name);
        const socket = new MemoryNetlinkSocket(this.descriptors, options, ++this.#made, respond, (closed) => netlinkSockets.delete(closed));
        netlinkSockets.add(socket);
        return socket;
      },
      udpSocket: (netns, options) => new MemoryUdpSocket(this.#udp, namespaceOf(netns), options),
      createTap: (netns, options) => {
        checkTapName(options.name);
        const namespace = namespaceOf(netns);
        if (namespace.links.has(options.name)) throw systemError(`ioctl TUNSETIFF ${options.name}`, errno.EBUSY);
        const gone = () => {
          if (namespace.links.get(options.name) === device) this.deleteLink(namespace.name, options.name);
        };
        const vnetHeader = options.vnetHeader ?? false;
        const device = new MemoryTapDevice(options.name, namespace.nextIfindex++, this.#makeMac(), this.#now, vnetHeader, gone);
        return new MemoryTap(this.descriptors, this.#attach(namespace, device));
      },
      takeTap: (pid, fd) => {
        const held = this.#processes.get(pid);
        if (held === undefined) throw systemError(`pidfd_open ${pid}`, errno.ESRCH);
        const device = held.get(fd);
        if (device === undefined) throw systemError(`pidfd_getfd ${fd} of process ${pid}`, errno.EBADF);
        return new MemoryTap(this.descriptors, device);
      },
      fdPair: () => MemoryFdSocket.pair(this.descriptors),
      closeFd: (fd) => this.descriptors.close(fd),
    };
  }

  #namespace(name: string): Namespace {
    checkNetnsName(name);
    const namespace = this.#namespaces.get(name);
    if (namespace === undefined) throw systemError(`open /run/netns/${name}`, errno.ENOENT);
    return namespace;
  }

  #attach<T extends MemoryLink>(namespace: Namespace, link: T): T {
    if (namespace.links.has(link.name)) throw systemError(`add link ${link.name}`, errno.EEXIST);
    namespace.links.set(link.name, link);
    this.#homes.set(link, namespace);
    return link;
  }

  #makeMac(): Uint8Array {
    const number = ++this.#made;
    return Uint8Array.of(0x02, 0, 0, number >> 16, number >> 8, number);
  }
}

function linkOf(netns: Netns, index: number): MemoryLink | undefined {
  return [...namespaceOf(netns).links.values()].find(({ ifindex }) => ifindex === index);
}

function namespaceOf(netns: Netns): Namespace {
  if (!(netns instanceof MemoryNetns)) throw new NativeMisuseError(`namespace ${netns.name} is not of a network in memory`);
  if (netns.fd < 0) throw systemError(`setns ${netns.name}`, errno.EBADF);
  return netns.namespace;
}
