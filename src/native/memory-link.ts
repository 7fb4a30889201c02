/** Links of the network in memory: veth-like pairs and taps, and the packet sockets that look at them. */
import { EBADFD, errno, systemError } from './errno.ts';
import { MemoryDescriptor, OpenFile } from './memory-descriptor.ts';
import type { DescriptorTable } from './memory-descriptor.ts';
import { checkFilter, runFilter } from './memory-filter.ts';
import { NativeMisuseError, checkGroupMac } from './native.ts';
import type { FilterInstruction, PacketSocket, PacketSocketOptions, ReceivedFrame } from './native.ts';

const ETHERNET_HEADER_BYTES = 14;
const VNET_HEADER_BYTES = 10;
const ETH_P_802_2 = 0x0004;
const ETH_P_ALL = 0x0003;
const ETH_P_8021Q = 0x8100;
const OUTGOING = 4;

/** net.core.rmem_default, and about what the kernel adds to each frame when it counts against it. */
export const DEFAULT_RECEIVE_BUFFER = 212992;
export const FRAME_OVERHEAD = 768;

/** A frame under way, with its virtio_net_hdr, so that offloads asked for by the sender reach the receiver. */
export interface LinkFrame {
  readonly frame: Uint8Array;
  readonly vnetHeader: Uint8Array;
}

function etherType(frame: Uint8Array): number {
  const type = ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
  return type < 0x600 ? ETH_P_802_2 : type; // eth_type_trans: below is a length, IEEE 802.3
}

export abstract class MemoryLink {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly sockets = new Set<MemoryPacketSocket>();
  readonly #now: () => number;
  #up = false;
  #deleted = false;

  constructor(name: string, ifindex: number, mac: Uint8Array, mtu: number, now: () => number) {
    this.name = name;
    this.ifindex = ifindex;
    this.mac = mac;
    this.mtu = mtu;
    this.#now = now;
  }

  get up(): boolean {
    return this.#up;
  }

  set up(up: boolean) {
    if (this.#up && !up) for (const socket of this.sockets) socket.linkDown();
    this.#up = up;
  }

  get deleted(): boolean {
    return this.#deleted;
  }

  delete(): void {
    this.up = false;
    this.#deleted = true;
  }

  /** Carries a frame out of this end; false when the device has no room. */
  abstract transmit(sent: LinkFrame): boolean;

  /** A frame comes in at this end. */
  receive(received: LinkFrame): void {
    if (!this.up) return;
    const type = this.#packetType(received.frame);
    const protocol = etherType(received.frame);
    for (const socket of this.sockets) {
      if (socket.protocol === ETH_P_ALL || socket.protocol === protocol) this.#show(socket, received, type);
    }
  }

  /** What the other sockets of the link see of a frame sent: dev_queue_xmit_nit of net/core/dev.c. */
  showOutgoing(sent: LinkFrame, sender: MemoryPacketSocket): void {
    for (const socket of this.sockets) if (socket !== sender && socket.protocol === ETH_P_ALL) this.#show(socket, sent, OUTGOING);
  }

  #show(socket: MemoryPacketSocket, seen: LinkFrame, packetType: number): void {
    const passes = socket.filter === undefined ? seen.frame.length : runFilter(socket.filter, { frame: seen.frame, packetType });
    if (passes === 0) return;
    socket.enqueue({ frame: seen.frame.slice(0, passes), vnetHeader: seen.vnetHeader.slice(), packetType, timestamp: this.#now() });
  }

  #packetType(frame: Uint8Array): number {
    const destination = frame.subarray(0, 6);
    if (destination.every((byte) => byte === 0xff)) return 1;
    if (((destination[0] ?? 0) & 1) !== 0) return 2;
    return destination.every((byte, i) => byte === this.mac[i]) ? 0 : 3;
  }
}

/** One end of a pair. */
export class MemoryVeth extends MemoryLink {
  peer: MemoryVeth | undefined;

  transmit(sent: LinkFrame): boolean {
    this.peer?.receive(sent);
    return true;
  }
}

/** A tap device: what is sent out of it waits for a reader. */
export class MemoryTapDevice extends MemoryLink {
  /** Frames kept for the reader, oldest first; at most `queueLength` (txqueuelen), then they are dropped and counted. */
  readonly queue: LinkFrame[] = [];
  queueLength = 1000;
  drops = 0;
  /** TUNSETVNETHDRSZ; 0 for a tap made without IFF_VNET_HDR. */
  vnetHeaderSize: number;
  readonly readers = new Set<MemoryDescriptor>();
  /** Every descriptor made for the device is one of this file's. */
  readonly file: OpenFile;

  constructor(name: string, ifindex: number, mac: Uint8Array, now: () => number, vnetHeader: boolean, released: () => void) {
    super(name, ifindex, mac, 1500, now);
    this.vnetHeaderSize = vnetHeader ? VNET_HEADER_BYTES : 0;
    this.file = new OpenFile(released);
  }

  transmit(sent: LinkFrame): boolean {
    if (this.queue.length >= this.queueLength) {
      this.drops++;
      return false;
    }
    this.queue.push({ frame: sent.frame.slice(), vnetHeader: sent.vnetHeader.slice() });
    for (const reader of this.readers) reader.wake();
    return true;
  }

  checkAlive(call: string): void {
    if (this.deleted) throw systemError(`${call} tap ${this.name}`, EBADFD);
  }
}

export class MemoryPacketSocket extends MemoryDescriptor implements PacketSocket {
  readonly protocol: number;
  readonly filter: readonly FilterInstruction[] | undefined;
  readonly #link: MemoryLink;
  readonly #headerBytes: number;
  readonly #bypassQdisc: boolean;
  readonly #capacity: number;
  readonly #queue: ReceivedFrame[] = [];
  #queuedBytes = 0;
  #drops = 0;
  /** The error that the next call fetches (sk_err). */
  #error = 0;

  /** Groups make no difference: a link in memory takes in everything, like a veth. */
  constructor(table: DescriptorTable, link: MemoryLink, options: PacketSocketOptions) {
    for (const mac of options.groups ?? []) checkGroupMac(mac);
    if (options.filter !== undefined) checkFilter(options.filter, `packet socket on link ${options.ifindex}`);
    super(table, new OpenFile(() => link.sockets.delete(this)), `packet socket on link ${options.ifindex}`);
    this.protocol = options.protocol;
    this.filter = options.filter?.slice();
    this.#link = link;
    this.#headerBytes = options.vnetHeader === true ? VNET_HEADER_BYTES : 0;
    this.#bypassQdisc = options.bypassQdisc ?? false;
    // setsockopt(SO_RCVBUFFORCE) doubles what it is given (socket(7)).
    this.#capacity = options.receiveBuffer === undefined ? DEFAULT_RECEIVE_BUFFER : options.receiveBuffer * 2;
    link.sockets.add(this);
    if (!link.up) this.linkDown();
  }

  send(frame: Uint8Array, vnetHeader?: Uint8Array): void {
    const call = `send ${this.what}`;
    if (vnetHeader !== undefined && vnetHeader.length !== this.#headerBytes) {
      throw new NativeMisuseError(`${call}: the vnet header has ${vnetHeader.length} bytes, not ${this.#headerBytes}`);
    }
    this.checkOpen('send');
    if (this.#link.deleted) throw systemError(call, errno.ENXIO);
    if (!this.#link.up) throw systemError(call, errno.ENETDOWN);
    this.#throwPending('send');
    const segmented = (vnetHeader?.[1] ?? 0) !== 0; // gso_type: the device cuts it
    const room = this.#link.mtu + ETHERNET_HEADER_BYTES + (etherType(frame) === ETH_P_8021Q ? 4 : 0);
    if (!segmented && frame.length > room) throw systemError(call, errno.EMSGSIZE);
    if (frame.length < ETHERNET_HEADER_BYTES) throw systemError(call, errno.EINVAL);

    const sent = { frame: frame.slice(), vnetHeader: vnetHeader?.slice() ?? new Uint8Array(VNET_HEADER_BYTES) };
    if (!this.#bypassQdisc) this.#link.showOutgoing(sent, this);
    // A qdisc takes the frame in any case; only without one does the sender learn that the device had no room.
    if (!this.#link.transmit(sent) && this.#bypassQdisc) throw systemError(call, errno.ENOBUFS);
  }

  receive(): ReceivedFrame | undefined {
    this.checkOpen('recv');
    this.#throwPending('recv');
    const received = this.#queue.shift();
    if (received === undefined) return undefined;
    this.#queuedBytes -= received.frame.length + FRAME_OVERHEAD;
    return { ...received, vnetHeader: received.vnetHeader.subarray(0, this.#headerBytes) };
  }

  drops(): number {
    this.checkOpen('getsockopt PACKET_STATISTICS');
    const drops = this.#drops;
    this.#drops = 0;
    return drops;
  }

  enqueue(received: ReceivedFrame): void {
    const bytes = received.frame.length + FRAME_OVERHEAD;
    if (this.#queuedBytes + bytes > this.#capacity) {
      this.#drops++;
      return;
    }
    this.#queuedBytes += bytes;
    this.#queue.push(received);
    this.wake();
  }

  /** packet_notifier of net/packet/af_packet.c: only a socket that receives is told. */
  linkDown(): void {
    if (this.protocol === 0) return;
    this.#error = errno.ENETDOWN;
    this.wake();
  }

  protected hasInput(): boolean {
    return this.#queue.length > 0 || this.#error !== 0;
  }

  #throwPending(call: string): void {
    const error = this.#error;
    this.#error = 0;
    if (error !== 0) throw systemError(`${call} ${this.what}`, error);
  }
}
