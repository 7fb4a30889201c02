/** Sockets that Node does not have: AF_PACKET, AF_NETLINK, and AF_UNIX pairs that carry descriptors. */
import { AF_INET, AF_INET6, writeSocketAddress } from './control-message.ts';
import { cInt, check, Descriptor } from './kernel-descriptor.ts';
import { NativeMisuseError, checkGroup, checkGroupMac } from './native.ts';
import type {
  FdSocket, FilterInstruction, Membership, NetlinkSocket, NetlinkSocketOptions, PacketSocket, PacketSocketOptions, ReceivedFrame,
} from './native.ts';
import type { Rawio } from './rawio.ts';

// linux/socket.h, asm-generic/socket.h
const AF_UNIX = 1;
const AF_NETLINK = 16;
const AF_PACKET = 17;
export const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_SEQPACKET = 5;
export const SOL_SOCKET = 1;
export const SO_RCVBUFFORCE = 33;
export const SO_TIMESTAMPNS = 35;
// linux/if_packet.h
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_MULTICAST = 0;
const PACKET_STATISTICS = 6;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
// linux/netlink.h
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
// linux/in.h, linux/in6.h
const IPPROTO_IP = 0;
export const IPPROTO_IPV6 = 41;
const MCAST_JOIN_GROUP = 42;
/** struct group_req: u32 gr_interface, 4 of padding, struct sockaddr_storage gr_group. */
const GROUP_REQ_BYTES = 136;
/** net/scm.h SCM_MAX_FD */
const MAX_FDS = 253;

/** sizeof(struct virtio_net_hdr), which PACKET_VNET_HDR fixes. */
export const PACKET_VNET_HEADER_BYTES = 10;

const EMPTY = new Uint8Array(0);
const NO_OFFLOAD = new Uint8Array(PACKET_VNET_HEADER_BYTES);

/** Runs the set-up of a fresh descriptor and closes it where that fails. */
export function prepared<T extends Descriptor>(descriptor: T, setUp: (descriptor: T) => void): T {
  try {
    setUp(descriptor);
    return descriptor;
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

export class KernelSocket extends Descriptor {
  setOption(name: string, level: number, option: number, value: number | Uint8Array = 1): void {
    const bytes = typeof value === 'number' ? cInt(value) : value;
    check(`setsockopt ${name} ${this.what}`, this.rawio.setsockopt(this.fd, level, option, bytes));
  }

  bind(address: Uint8Array): void {
    check(`bind ${this.what}`, this.rawio.bind(this.fd, address));
  }
}

/** struct sock_filter[]. */
function filterBytes(filter: readonly FilterInstruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * filter.length));
  for (const [i, { code, jt, jf, k }] of filter.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, jt);
    view.setUint8(8 * i + 3, jf);
    view.setUint32(8 * i + 4, k, true);
  }
  return new Uint8Array(view.buffer);
}

/** struct packet_mreq: i32 ifindex, u16 type, u16 length, 8 bytes. */
function packetMembership(ifindex: number, mac: Uint8Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setInt32(0, ifindex, true);
  view.setUint16(4, PACKET_MR_MULTICAST, true);
  view.setUint16(6, mac.length, true);
  const bytes = new Uint8Array(view.buffer);
  bytes.set(mac, 8);
  return bytes;
}

class KernelPacketSocket extends KernelSocket implements PacketSocket {
  readonly #headerBytes: number;

  constructor(rawio: Rawio, fd: number, what: string, headerBytes: number) {
    super(rawio, fd, what);
    this.#headerBytes = headerBytes;
  }

  send(frame: Uint8Array, vnetHeader?: Uint8Array): void {
    if (vnetHeader !== undefined && vnetHeader.length !== this.#headerBytes) {
      throw new NativeMisuseError(`send ${this.what}: the vnet header has ${vnetHeader.length} bytes, not ${this.#headerBytes}`);
    }
    this.sendDatagram(vnetHeader ?? NO_OFFLOAD.subarray(0, this.#headerBytes), frame);
  }

  receive(): ReceivedFrame | undefined {
    const datagram = this.receiveDatagram();
    if (datagram === undefined) return undefined;
    const { bytes, packetType, timestamp } = datagram;
    return { vnetHeader: bytes.subarray(0, this.#headerBytes), frame: bytes.subarray(this.#headerBytes), packetType, timestamp };
  }

  drops(): number {
    // struct tpacket_stats: tp_packets, tp_drops
    const statistics = new Uint32Array(2);
    const call = `getsockopt PACKET_STATISTICS ${this.what}`;
    check(call, this.rawio.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, new Uint8Array(statistics.buffer)));
    return statistics[1] ?? 0;
  }
}

/** To be called inside the namespace, like netlinkSocket. */
export function packetSocket(rawio: Rawio, options: PacketSocketOptions): PacketSocket {
  for (const mac of options.groups ?? []) checkGroupMac(mac);
  const what = `packet socket on link ${options.ifindex}`;
  // Protocol 0 until it is bound: nothing of other links gets in.
  const fd = check(`socket ${what}`, rawio.socket(AF_PACKET, SOCK_RAW, 0));
  const headerBytes = options.vnetHeader === true ? PACKET_VNET_HEADER_BYTES : 0;
  return prepared(new KernelPacketSocket(rawio, fd, what, headerBytes), (socket) => {
    socket.setOption('SO_TIMESTAMPNS', SOL_SOCKET, SO_TIMESTAMPNS);
    if (options.vnetHeader === true) socket.setOption('PACKET_VNET_HDR', SOL_PACKET, PACKET_VNET_HDR);
    if (options.bypassQdisc === true) socket.setOption('PACKET_QDISC_BYPASS', SOL_PACKET, PACKET_QDISC_BYPASS);
    if (options.receiveBuffer !== undefined) socket.setOption('SO_RCVBUFFORCE', SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBuffer);
    // Before bind: nothing unfiltered gets in.
    if (options.filter !== undefined) {
      check(`setsockopt SO_ATTACH_FILTER ${what}`, rawio.attachFilter(socket.fd, filterBytes(options.filter)));
    }
    for (const mac of options.groups ?? []) {
      socket.setOption('PACKET_ADD_MEMBERSHIP', SOL_PACKET, PACKET_ADD_MEMBERSHIP, packetMembership(options.ifindex, mac));
    }
    // struct sockaddr_ll: u16 family, be16 protocol, i32 ifindex; the rest is for sendto
    const address = new DataView(new ArrayBuffer(20));
    address.setUint16(0, AF_PACKET, true);
    address.setUint16(2, options.protocol);
    address.setInt32(4, options.ifindex, true);
    socket.bind(new Uint8Array(address.buffer));
  });
}

class KernelNetlinkSocket extends KernelSocket implements NetlinkSocket {
  get portId(): number {
    const address = new DataView(new ArrayBuffer(12));
    check(`getsockname ${this.what}`, this.rawio.getsockname(this.fd, new Uint8Array(address.buffer)));
    return address.getUint32(4, true);
  }

  send(message: Uint8Array): void {
    this.sendDatagram(undefined, message);
  }

  receive(): Uint8Array | undefined {
    return this.receiveDatagram()?.bytes;
  }
}

export function netlinkSocket(rawio: Rawio, options: NetlinkSocketOptions): NetlinkSocket {
  const what = `netlink socket of protocol ${options.protocol}`;
  const fd = check(`socket ${what}`, rawio.socket(AF_NETLINK, SOCK_RAW, options.protocol));
  return prepared(new KernelNetlinkSocket(rawio, fd, what), (socket) => {
    socket.setOption('NETLINK_EXT_ACK', SOL_NETLINK, NETLINK_EXT_ACK);
    socket.setOption('NETLINK_CAP_ACK', SOL_NETLINK, NETLINK_CAP_ACK);
    if (options.receiveBuffer !== undefined) socket.setOption('SO_RCVBUFFORCE', SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBuffer);
    // struct sockaddr_nl: u16 family, u16 padding, u32 port (0: the kernel chooses), u32 groups
    const address = new DataView(new ArrayBuffer(12));
    address.setUint16(0, AF_NETLINK, true);
    address.setUint32(8, options.groups ?? 0, true);
    socket.bind(new Uint8Array(address.buffer));
  });
}

/** To be called inside the namespace. The socket is bound to nothing, so that it receives nothing. */
export function joinGroup(rawio: Rawio, ifindex: number, group: Uint8Array): Membership {
  checkGroup(group);
  const v4 = group.length === 4;
  const what = `membership of a group on link ${ifindex}`;
  const fd = check(`socket ${what}`, rawio.socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
  return prepared(new KernelSocket(rawio, fd, what), (socket) => {
    const request = new DataView(new ArrayBuffer(GROUP_REQ_BYTES));
    request.setUint32(0, ifindex, true);
    const bytes = new Uint8Array(request.buffer);
    bytes.set(writeSocketAddress({ address: group, port: 0 }), 8);
    socket.setOption('MCAST_JOIN_GROUP', v4 ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP, bytes);
  });
}

class KernelFdSocket extends Descriptor implements FdSocket {
  send(data: Uint8Array, fds: readonly number[]): void {
    if (data.length === 0) throw new NativeMisuseError('send on a descriptor socket: no data; at least one byte goes with descriptors');
    check(`sendmsg ${this.what}`, this.rawio.sendFds(this.fd, data, Int32Array.from(fds)));
  }

  receive(): { readonly data: Uint8Array; readonly fds: readonly number[] } | undefined {
    const received = new Int32Array(MAX_FDS);
    const data = this.receiveWithFds(received);
    if (data === undefined) return undefined;
    return data.length === 0 ? { data: EMPTY, fds: [] } : { data, fds: [...received.subarray(0, received.indexOf(-1))] };
  }
}

export function fdPair(rawio: Rawio): readonly [FdSocket, FdSocket] {
  const ends = new Int32Array(2);
  check('socketpair', rawio.socketpair(AF_UNIX, SOCK_SEQPACKET, ends));
  const [one = -1, other = -1] = ends;
  return [new KernelFdSocket(rawio, one, 'descriptor socket'), new KernelFdSocket(rawio, other, 'descriptor socket')];
}
