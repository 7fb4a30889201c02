/**
 * native/: the few system calls that Node does not have, behind one interface: packet sockets, netlink, UDP with all that the kernel
 * knows of a datagram (udp.ts), taps, file descriptors passed between processes, network namespaces, deadlines, real-time scheduling.
 *
 * Two implementations fulfil it and one contract suite (test/contract/native.ts) holds both to it:
 * `kernel.ts`, on the C addon `rawio.c`, and `memory.ts`, a network in memory for tests and the simulator.
 *
 * Shape of the interface. Everything is non-blocking and synchronous: a netlink request is answered by the kernel before
 * its `send` returns, so request and answer need no event loop. `onReadable` is for what arrives unasked, and is level
 * triggered: it fires again as long as something is left. Buffers handed in are only read during the call; buffers handed
 * out are fresh and belong to the caller.
 */
import { GodwitError } from '../base/error.ts';
import type { UdpSocket, UdpSocketOptions } from './udp.ts';

/** A system call failed. `errno` is positive; `call` says which call, on what: `ioctl TUNSETIFF gw-tap0`. */
export class SystemError extends GodwitError {
  readonly errno: number;
  readonly errnoName: string;
  readonly call: string;

  constructor(call: string, errno: number, errnoName: string, words: string) {
    super('NATIVE_SYSTEM', `${call}: ${words} (${errnoName})`);
    this.call = call;
    this.errno = errno;
    this.errnoName = errnoName;
  }
}

/** The caller asked for what the interface does not do: the text says what and why. */
export class NativeMisuseError extends GodwitError {
  constructor(text: string) {
    super('NATIVE_MISUSE', text);
  }
}

/** A network namespace, held open by `fd` until `close`. */
export interface Netns {
  /** Empty for that of the calling thread. */
  readonly name: string;
  readonly fd: number;
  close(): void;
}

export type ReadableListener = () => void;

export interface Readable {
  /**
   * Calls `listener` while something is readable, or an error waits that the next receive throws; `undefined` stops. A listening
   * socket keeps the process alive. What the listener throws is an uncaught exception; so a listener that may meet an error
   * (ENETDOWN, ENOBUFS, EBADFD) catches it, and closes or takes in what is left, since it is called again at once.
   */
  onReadable(listener: ReadableListener | undefined): void;
  /** Idempotent; also from inside the listener. */
  close(): void;
}

/** A frame as a packet socket or a tap hands it out. With vnet headers off, `vnetHeader` is empty. */
export interface ReceivedFrame {
  readonly vnetHeader: Uint8Array;
  readonly frame: Uint8Array;
  /** sll_pkttype of linux/if_packet.h: 0 host, 1 broadcast, 2 multicast, 3 other host, 4 outgoing. Taps: always 0. */
  readonly packetType: number;
  /** The kernel's receive time, CLOCK_REALTIME in ms (SO_TIMESTAMPNS); 0 where there is none. */
  readonly timestamp: number;
}

export interface PacketSocketOptions {
  readonly ifindex: number;
  /** ETH_P_*, host order; 0 receives nothing (a socket that only sends), 3 is ETH_P_ALL. */
  readonly protocol: number;
  /** PACKET_VNET_HDR: frames carry the 10-byte virtio_net_hdr both ways (checksum offload, GSO). */
  readonly vnetHeader?: boolean;
  /** PACKET_QDISC_BYPASS: what is sent passes neither the device's qdisc nor its tc egress filters. */
  readonly bypassQdisc?: boolean;
  /** SO_RCVBUFFORCE, bytes. */
  readonly receiveBuffer?: number;
  /**
   * SO_ATTACH_FILTER: 1 to 4096 instructions that end in a `ret`, run on each frame from its Ethernet header on (no vnet header); 0 drops
   * it, any other number cuts it to so many bytes. In force before the first frame. SystemError EINVAL for what is no program.
   */
  readonly filter?: readonly FilterInstruction[];
  /** PACKET_MR_MULTICAST: 6-byte group MACs that the device is to take in as long as the socket is open. */
  readonly groups?: readonly Uint8Array[];
}

/** One instruction of classic BPF: struct sock_filter of linux/filter.h. `k` is unsigned, 32 bits; jumps count from the next one. */
export interface FilterInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** AF_PACKET, SOCK_RAW (packet(7)). */
export interface PacketSocket extends Readable {
  /**
   * One whole Ethernet frame. Throws SystemError (ENOBUFS: the device's queue is full, told only with bypassQdisc;
   * ENETDOWN; ENXIO: the link is gone; EMSGSIZE: longer than the MTU). Other packet sockets of the link see it as outgoing,
   * unless bypassQdisc is on.
   */
  send(frame: Uint8Array, vnetHeader?: Uint8Array): void;
  /** The next frame, or undefined when nothing is waiting. Throws SystemError ENETDOWN, once, after the link went down. */
  receive(): ReceivedFrame | undefined;
  /** Frames dropped for want of buffer since the last call (PACKET_STATISTICS resets). */
  drops(): number;
}

export interface NetlinkSocketOptions {
  /** 0 is NETLINK_ROUTE. */
  readonly protocol: number;
  /** Bits of the multicast groups to join at bind (sockaddr_nl.nl_groups). */
  readonly groups?: number;
  /** SO_RCVBUFFORCE, bytes. */
  readonly receiveBuffer?: number;
}

/** AF_NETLINK, with NETLINK_EXT_ACK and NETLINK_CAP_ACK on: errors carry the kernel's words and not the request. */
export interface NetlinkSocket extends Readable {
  readonly portId: number;
  send(message: Uint8Array): void;
  /** One datagram (one or more netlink messages), or undefined. Throws SystemError ENOBUFS after an overrun. */
  receive(): Uint8Array | undefined;
}

export interface TapOptions {
  /** At most 15 characters. */
  readonly name: string;
  /** IFF_VNET_HDR. */
  readonly vnetHeader?: boolean;
}

/**
 * One descriptor of a tap device: `read` takes what the host sent towards the guest, `write` makes the host receive a
 * frame as if the guest had sent it. The device lives as long as any copy of its descriptor.
 */
export interface Tap extends Readable {
  readonly name: string;
  readonly fd: number;
  /** TUNGETVNETHDRSZ, asked anew each time (QEMU changes it): 0 without IFF_VNET_HDR. */
  vnetHeaderSize(): number;
  /** poll(2) with no wait: is a frame waiting to be read? */
  readable(): boolean;
  /** The next frame, or undefined. Steals it from every other reader of the device. Throws SystemError EBADFD once that is deleted. */
  read(): ReceivedFrame | undefined;
  /** `vnetHeader`, if given, must be vnetHeaderSize() bytes; zeros are used without. Throws SystemError EIO while the device is down. */
  write(frame: Uint8Array, vnetHeader?: Uint8Array): void;
}

/** One end of a connected AF_UNIX SOCK_SEQPACKET pair that carries descriptors (SCM_RIGHTS). */
export interface FdSocket extends Readable {
  readonly fd: number;
  /** At least one byte and at most 253 descriptors. Throws SystemError: EPIPE when the other end is closed; EAGAIN when it is full. */
  send(data: Uint8Array, fds: readonly number[]): void;
  /**
   * Undefined when nothing is waiting; empty data when the other end is closed (readable for ever, so stop listening).
   * Received descriptors are close-on-exec and belong to the caller. Throws SystemError: ECONNRESET, once, when the other end
   * was closed with something unread; EMFILE when this process cannot hold the descriptors (the message is lost).
   */
  receive(): { readonly data: Uint8Array; readonly fds: readonly number[] } | undefined;
}

/** An alarm of CLOCK_MONOTONIC, precise to tens of µs (a timerfd; setTimeout counts whole ms). It fires once for each `arm`. */
export interface Deadline {
  /** `at` is an instant of `Native.monotonic()`; one that has passed fires at once, never inside this call. `undefined`: not armed. */
  arm(at: number | undefined): void;
  /** Never called before `at`. What it throws is an uncaught exception. A listening deadline keeps the process alive. */
  onExpired(listener: (() => void) | undefined): void;
  /** Idempotent; also from inside the listener. */
  close(): void;
}

/** What `Native.realtime` got. `because` says what was refused and why; without it, everything was granted. */
export interface RealtimeResult {
  /** SCHED_RR; SCHED_OTHER at nice -20; SCHED_OTHER as before. */
  readonly scheduling: 'realtime' | 'nice' | 'ordinary';
  /**
   * No page of the program's files, of the C heap and of the first stack that was touched is ever taken from memory. V8's heap cannot be
   * locked (it gives pages back in a way that locked ones refuse, and ends the process for that): only a host that swaps takes it away.
   */
  readonly locked: boolean;
  readonly because?: string;
}

/** How far CLOCK_REALTIME may be off, as whoever disciplines it told the kernel (struct timex, adjtimex(2)). */
export interface KernelClockError {
  /** Something outside sets it: STA_UNSYNC is not set. The kernel sets that itself when nobody corrects it for long enough. */
  readonly synchronized: boolean;
  /** ms, maxerror: it is no further off, if who sets it is right. The kernel adds 0.5 ms each second, up to 16 s. */
  readonly error: number;
}

/** Membership of an IP multicast group, until `close`. */
export interface Membership {
  /** Idempotent. */
  close(): void;
}

export interface Native {
  /** CLOCK_MONOTONIC, ms with fractions. */
  monotonic(): number;
  /** CLOCK_REALTIME, ms with fractions: the clock of `ReceivedFrame.timestamp`. It may jump. */
  now(): number;
  /** What the kernel knows about the clock of `now`. */
  clockError(): KernelClockError;
  deadline(): Deadline;
  /**
   * Puts the calling thread under SCHED_RR at `priority` (1..99), not inherited by what it starts (SCHED_RESET_ON_FORK), or else at nice
   * -20; and locks the program's memory as it is touched. Never throws for what is refused. A limit of CPU time for real-time threads
   * (RLIMIT_RTTIME: the kernel kills who exceeds it) is lifted first; where it cannot be, real time is not taken.
   */
  realtime(priority: number): RealtimeResult;
  /**
   * Makes the kernel a member of an IP multicast group (4 or 16 bytes) on a link, with the IGMP or MLD reports that snooping switches
   * want. Throws SystemError (ENODEV).
   */
  joinGroup(netns: Netns, ifindex: number, group: Uint8Array): Membership;
  /** The namespace by the name `ip netns` knows it by; without one, that which the calling thread is in now. */
  openNetns(name?: string): Netns;
  /**
   * Runs `fn` with the calling thread inside `netns`, and comes back whatever happens: what `fn` opens, reads under
   * /proc/sys/net or spawns belongs to that namespace. `fn` must be synchronous: a returned promise is refused.
   */
  inNetns<T>(netns: Netns, fn: () => T): T;
  packetSocket(netns: Netns, options: PacketSocketOptions): PacketSocket;
  netlinkSocket(netns: Netns, options: NetlinkSocketOptions): NetlinkSocket;
  /** Throws SystemError (EADDRINUSE: so too where a whole range is taken; EADDRNOTAVAIL: no address of this host; ENODEV: no such link). */
  udpSocket(netns: Netns, options: UdpSocketOptions): UdpSocket;
  /** Makes a tap (TUNSETIFF; it must not exist yet: SystemError EBUSY), down, that is gone with its last descriptor. */
  createTap(netns: Netns, options: TapOptions): Tap;
  /** A copy of descriptor `fd` of process `pid` (pidfd_open, pidfd_getfd), which must be a tap of TUNGETIFF. */
  takeTap(pid: number, fd: number): Tap;
  fdPair(): readonly [FdSocket, FdSocket];
  /** Closes a descriptor received by `FdSocket.receive` or held otherwise. */
  closeFd(fd: number): void;
}

/** @throws NativeMisuseError for what is no MAC of a group. */
export function checkGroupMac(mac: Uint8Array): void {
  if (mac.length === 6 && ((mac[0] ?? 0) & 1) === 1) return;
  throw new NativeMisuseError(`${Buffer.from(mac).toString('hex')} is no MAC of a group: 6 bytes, the first of them odd`);
}

/** @throws NativeMisuseError for what is no IP multicast group, 224.0.0.0/4 or ff00::/8. */
export function checkGroup(group: Uint8Array): void {
  const [first = 0] = group;
  if (group.length === 4 ? first >> 4 === 0xe : group.length === 16 && first === 0xff) return;
  throw new NativeMisuseError(`${Buffer.from(group).toString('hex')} is no IP multicast group: 224.0.0.0/4 or ff00::/8`);
}

/** @throws NativeMisuseError for what is no instant. */
export function checkInstant(at: number): void {
  if (!Number.isFinite(at)) throw new NativeMisuseError(`${at} is no instant for a deadline; undefined disarms it`);
}

/** @throws NativeMisuseError for what is no name of a link: 1 to 15 printable characters without `/`, `:` and `%`. */
export function checkTapName(name: string): void {
  if (/^[!-~]{1,15}$/.test(name) && !/[/:%]/.test(name) && name !== '.' && name !== '..') return;
  throw new NativeMisuseError(`${JSON.stringify(name)} names no tap: 1 to 15 printable characters without "/", ":" and "%" do`);
}

/** @throws NativeMisuseError for a name that would lead out of the directory of namespaces. */
export function checkNetnsName(name: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) return;
  throw new NativeMisuseError(`${JSON.stringify(name)} names no network namespace: it has to be the name of a file, without "/"`);
}

/** @throws NativeMisuseError when a function given to `inNetns` goes on asynchronously, which would be outside the namespace. */
export function refusePromise<T>(returned: T): T {
  const isPromise = typeof returned === 'object' && returned !== null && 'then' in returned && typeof returned.then === 'function';
  if (!isPromise) return returned;
  throw new NativeMisuseError('inNetns: the function returned a promise, and would go on in another namespace; make it synchronous');
}
