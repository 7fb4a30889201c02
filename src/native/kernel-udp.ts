/** UDP sockets of the kernel: ip(7), ipv6(7), udp(7). */
import { AF_INET, AF_INET6, ControlReader, ControlWriter, readSocketAddress, writeSocketAddress } from './control-message.ts';
import { errno, systemError } from './errno.ts';
import { cInt, check } from './kernel-descriptor.ts';
import { IPPROTO_IPV6, KernelSocket, SOCK_DGRAM, SOL_SOCKET, SO_RCVBUFFORCE, SO_TIMESTAMPNS, prepared } from './kernel-sockets.ts';
import { SystemError } from './native.ts';
import type { Rawio } from './rawio.ts';
import { MOST_AT_ONCE, MOST_REFUSALS, addressText, checkMost, checkUdpDestination, checkUdpOptions, udpSocketText } from './udp.ts';
import type { ReceivedDatagram, UdpDestination, UdpRefusal, UdpSocket, UdpSocketOptions } from './udp.ts';

// asm-generic/socket.h, linux/socket.h, linux/sockios.h
const SO_REUSEPORT = 15;
const SO_BINDTOIFINDEX = 62;
const MSG_ERRQUEUE = 0x2000;
const SIOCGIFNAME = 0x8910;
/** struct ifreq: char name[16], then a union with an i32 ifr_ifindex. */
const IFREQ_BYTES = 40;
const PMTUDISC_PROBE = 3;
// linux/errqueue.h
const SO_EE_ORIGIN_ICMP = 2;
const SO_EE_ORIGIN_ICMP6 = 3;
const EXTENDED_ERR_BYTES = 16;

/** The same of both families by another number: linux/in.h, linux/in6.h. */
interface Names {
  readonly domain: number;
  readonly level: number;
  readonly ttl: number;
  readonly receiveTtl: number;
  readonly tos: number;
  readonly receiveTos: number;
  readonly packetInfo: number;
  readonly receivePacketInfo: number;
  readonly mtuDiscover: number;
  readonly receiveErrors: number;
  /** The control message that tells the TTL. */
  readonly ttlMessage: number;
  /** In the packet info: where the destination is, where the source of what is sent goes, where the link's index is, its length. */
  readonly infoTo: number;
  readonly infoFrom: number;
  readonly infoLink: number;
  readonly infoBytes: number;
}

const IPV6_V6ONLY = 26;

/** struct in_pktinfo: i32 ifindex, local address, destination in the header. IP_TTL, IP_TOS, IP_PKTINFO, ... */
const names4: Names = {
  domain: AF_INET, level: 0, ttl: 2, receiveTtl: 12, tos: 1, receiveTos: 13, packetInfo: 8, receivePacketInfo: 8, mtuDiscover: 10,
  receiveErrors: 11, ttlMessage: 2, infoTo: 8, infoFrom: 4, infoLink: 0, infoBytes: 12,
};
/** struct in6_pktinfo: address, u32 ifindex. IPV6_UNICAST_HOPS, IPV6_RECVHOPLIMIT, IPV6_TCLASS, IPV6_RECVTCLASS, IPV6_PKTINFO, ... */
const names6: Names = {
  domain: AF_INET6, level: IPPROTO_IPV6, ttl: 16, receiveTtl: 51, tos: 67, receiveTos: 66, packetInfo: 50, receivePacketInfo: 49,
  mtuDiscover: 23, receiveErrors: 25, ttlMessage: 52, infoTo: 0, infoFrom: 0, infoLink: 16, infoBytes: 20,
};

// asm-generic/errno.h; Node has no names for them
const ENONET = 64;
const EHOSTDOWN = 112;
/** What net/ipv4/icmp.c and net/ipv6/icmp.c make of ICMP's words: such an error of a call may be about an earlier datagram. */
const TOLD_BY_ICMP = new Set([
  errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOPROTOOPT, errno.ECONNREFUSED, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.EACCES,
  errno.EPROTO, EHOSTDOWN, ENONET,
]);
/** So many earlier errors may stand between a send and its own result; more cannot come up in the time of one call. */
const SEND_TRIES = 3;

// Used within one call and copied from at once, so that all sockets of a thread can share them.
const BUFFER_BYTES = 65536;
/** Datagrams are received into one after the other, so that none has to be copied, and none has a store of its own to be collected. */
const SLAB_BYTES = 4 * BUFFER_BYTES;
let slab = new Uint8Array(SLAB_BYTES);
let buffer = slab.subarray();
const NAME_BYTES = 28;
const CONTROL_BYTES = 512;
const nameBuffer = new Uint8Array(NAME_BYTES);
const controlBuffer = new Uint8Array(CONTROL_BYTES);
const lengths = new Int32Array(3);
const control = new ControlReader(controlBuffer);
const nameView = new DataView(nameBuffer.buffer);
/** Where `receiveMany` receives: a place for each, of which only the pages are ever touched that datagrams reach. */
interface Places {
  readonly data: Uint8Array;
  readonly names: Uint8Array;
  readonly controls: Uint8Array;
  readonly lengths: Int32Array;
  readonly name: readonly DataView[];
  readonly control: readonly ControlReader[];
}
let places: Places | undefined;
const messages = new ControlWriter(128);
const socketNames = { 4: new Uint8Array(16), 6: new Uint8Array(28) } as const;

/** What the kernel has just written belongs to the receiver; the next one comes behind it. */
function cutOff(length: number): Uint8Array {
  const data = buffer.subarray(0, length);
  const next = buffer.byteOffset + length;
  if (SLAB_BYTES - next < BUFFER_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    buffer = slab.subarray();
  } else buffer = slab.subarray(next);
  return data;
}

function makePlaces(): Places {
  const [names, controls] = [new Uint8Array(MOST_AT_ONCE * NAME_BYTES), new Uint8Array(MOST_AT_ONCE * CONTROL_BYTES)];
  const each = Array.from({ length: MOST_AT_ONCE }, (_, i) => i);
  return {
    data: new Uint8Array(MOST_AT_ONCE * BUFFER_BYTES), names, controls, lengths: new Int32Array(MOST_AT_ONCE * 4),
    name: each.map((i) => new DataView(names.buffer, i * NAME_BYTES, NAME_BYTES)),
    control: each.map((i) => new ControlReader(controls.subarray(i * CONTROL_BYTES, (i + 1) * CONTROL_BYTES))),
  };
}

class KernelUdpSocket extends KernelSocket implements UdpSocket {
  readonly #options: UdpSocketOptions;
  readonly #names: Names;
  #refusals: UdpRefusal[] = [];
  /** Something may be in the error queue: it announces itself by the error of a call (sk_err), or was made by a send that failed. */
  #refused = false;

  constructor(rawio: Rawio, fd: number, options: UdpSocketOptions, names: Names) {
    super(rawio, fd, udpSocketText(options));
    this.#options = options;
    this.#names = names;
  }

  get port(): number {
    check(`getsockname ${this.what}`, this.rawio.getsockname(this.fd, nameBuffer));
    return new DataView(nameBuffer.buffer).getUint16(2);
  }

  send(data: Uint8Array, to: UdpDestination): void {
    checkUdpDestination(this.#options, to);
    const name = writeSocketAddress(to, to.ifindex ?? this.#options.ifindex, socketNames[this.#options.family]);
    const control = this.#control(to);
    let result = this.rawio.sendmsg(this.fd, name, control, data);
    // The error that an earlier datagram met with (sk_err) is cleared by being told, and waits in the error queue as well.
    for (let tries = 1; result < 0 && TOLD_BY_ICMP.has(-result) && tries < SEND_TRIES; tries++) {
      this.#refused = true;
      result = this.rawio.sendmsg(this.fd, name, control, data);
    }
    if (result < 0) this.#refused = true;
    if (result < 0) throw systemError(`sendmsg ${data.length} bytes to ${addressText(to.address)} port ${to.port} ${this.what}`, -result);
  }

  receive(): ReceivedDatagram | undefined {
    for (;;) {
      const length = this.rawio.recvmsg(this.fd, 0, buffer, nameBuffer, controlBuffer, lengths);
      if (length >= 0) return this.#datagram(cutOff(length), nameView, lengths[0], control, lengths[1]);
      if (length === -errno.EAGAIN) break;
      // See send; this ends, since each time one error is cleared.
      if (!TOLD_BY_ICMP.has(-length)) throw systemError(`recvmsg ${this.what}`, -length);
      this.#refused = true;
    }
    if (this.#refused) this.#takeRefusals();
    return undefined;
  }

  receiveMany(most: number): readonly ReceivedDatagram[] {
    checkMost(most);
    places ??= makePlaces();
    const { data, names, controls, lengths, name, control } = places;
    const received: ReceivedDatagram[] = [];
    const wanted = Math.min(most, MOST_AT_ONCE);
    for (;;) {
      const count = this.rawio.recvmmsg(this.fd, wanted, data, names, controls, lengths);
      if (count >= 0) {
        let total = 0;
        for (let i = 0; i < count; i++) total += lengths[4 * i] ?? 0;
        // Copied, all of them at once: they may be kept for long.
        const all = total <= buffer.length ? cutOff(total) : new Uint8Array(total);
        all.set(data.subarray(0, total));
        for (let i = 0, at = 0; i < count; i++) {
          const [from, reader, length = 0] = [name[i], control[i], lengths[4 * i]];
          if (!from || !reader) break;
          received.push(this.#datagram(all.subarray(at, at + length), from, lengths[4 * i + 1], reader, lengths[4 * i + 2]));
          at += length;
        }
        // An error that ended it early waits for the next call, and the socket is readable for it.
        if (count === wanted) return received;
        break;
      }
      if (count === -errno.EAGAIN) break;
      // See receive.
      if (!TOLD_BY_ICMP.has(-count)) throw systemError(`recvmmsg ${this.what}`, -count);
      this.#refused = true;
    }
    if (this.#refused) this.#takeRefusals();
    return received;
  }

  refusals(): readonly UdpRefusal[] {
    this.#takeRefusals();
    const refusals = this.#refusals;
    this.#refusals = [];
    return refusals;
  }

  #datagram(data: Uint8Array, name: DataView, nameBytes: number | undefined, control: ControlReader, controlBytes = 0): ReceivedDatagram {
    const { level, ttlMessage, tos, packetInfo, infoTo, infoLink } = this.#names;
    const from = readSocketAddress(name, nameBytes);
    if (from === undefined) throw systemError(`recvmsg ${this.what}: no sender`, errno.EINVAL);
    const bytes = from.address.length;
    let to: Uint8Array | undefined;
    let [ifindex, ttl, trafficClass, timestamp] = [0, 0, 0, 0];
    for (control.begin(controlBytes); control.next();) {
      if (control.level === SOL_SOCKET && control.type === SO_TIMESTAMPNS) timestamp = control.milliseconds() ?? 0;
      if (control.level !== level) continue;
      if (control.type === ttlMessage) ttl = control.int() ?? 0;
      else if (control.type === tos) trafficClass = control.int() ?? 0;
      else if (control.type === packetInfo) {
        to = control.bytes(infoTo, bytes);
        ifindex = control.int(infoLink) ?? 0;
      }
    }
    return { data, from, to: to ?? new Uint8Array(bytes), ifindex, ttl, dscp: trafficClass >> 2, ecn: trafficClass & 3, timestamp };
  }

  /** Good until the next call. */
  #control(to: UdpDestination): Uint8Array {
    const { level, ttlMessage, tos, packetInfo, infoFrom, infoLink, infoBytes } = this.#names;
    const { ttl, dscp, from, ifindex } = to;
    messages.begin();
    if (ttl !== undefined) messages.int(level, ttlMessage, ttl);
    if (dscp !== undefined) messages.int(level, tos, dscp << 2);
    if (from !== undefined || ifindex !== undefined) {
      const info = new Uint8Array(infoBytes);
      if (from !== undefined) info.set(from, infoFrom);
      if (ifindex !== undefined) info.set(cInt(ifindex), infoLink);
      messages.bytes(level, packetInfo, info);
    }
    return messages.finish();
  }

  /** Empties the error queue; of what the kernel itself found wrong the sender was told by `send`. */
  #takeRefusals(): void {
    this.#refused = false;
    for (;;) {
      const length = this.rawio.recvmsg(this.fd, MSG_ERRQUEUE, buffer, nameBuffer, controlBuffer, lengths);
      if (length === -errno.EAGAIN) break;
      check(`recvmsg MSG_ERRQUEUE ${this.what}`, length);
      const refusal = this.#refusal();
      if (refusal !== undefined) this.#refusals.push(refusal);
    }
    this.#refusals.splice(0, this.#refusals.length - MOST_REFUSALS);
  }

  /** struct sock_extended_err: u32 errno, u8 origin, u8 type, u8 code, u8 padding, u32 info, u32 data; then who says so (sockaddr). */
  #refusal(): UdpRefusal | undefined {
    const to = readSocketAddress(nameView, lengths[0]);
    const { level, receiveErrors } = this.#names;
    let message: DataView | undefined;
    for (control.begin(lengths[1] ?? 0); control.next();) if (control.level === level && control.type === receiveErrors) message ??= control.data();
    if (to === undefined || message === undefined || message.byteLength < EXTENDED_ERR_BYTES) return undefined;
    const origin = message.getUint8(4);
    if (origin !== SO_EE_ORIGIN_ICMP && origin !== SO_EE_ORIGIN_ICMP6) return undefined;
    const rest = message.byteLength - EXTENDED_ERR_BYTES;
    const by = readSocketAddress(new DataView(message.buffer, message.byteOffset + EXTENDED_ERR_BYTES, rest));
    const number = message.getUint32(0, true);
    return {
      errnoName: systemError(this.what, number).errnoName,
      to,
      by: by?.address ?? new Uint8Array(to.address.length),
      type: message.getUint8(5),
      code: message.getUint8(6),
      mtu: number === errno.EMSGSIZE ? message.getUint32(8, true) : undefined,
    };
  }
}

/** To be called inside the namespace. */
export function udpSocket(rawio: Rawio, options: UdpSocketOptions): UdpSocket {
  checkUdpOptions(options);
  const names = options.family === 4 ? names4 : names6;
  const { level } = names;
  const what = udpSocketText(options);
  const fd = check(`socket ${what}`, rawio.socket(names.domain, SOCK_DGRAM, 0));
  return prepared(new KernelUdpSocket(rawio, fd, options, names), (socket) => {
    socket.setOption('SO_TIMESTAMPNS', SOL_SOCKET, SO_TIMESTAMPNS);
    if (options.family === 6) socket.setOption('IPV6_V6ONLY', level, IPV6_V6ONLY);
    socket.setOption('IP_RECVTTL', level, names.receiveTtl);
    socket.setOption('IP_RECVTOS', level, names.receiveTos);
    socket.setOption('IP_PKTINFO', level, names.receivePacketInfo);
    socket.setOption('IP_RECVERR', level, names.receiveErrors);
    if (options.ttl !== undefined) socket.setOption('IP_TTL', level, names.ttl, options.ttl);
    if (options.dscp !== undefined) socket.setOption('IP_TOS', level, names.tos, options.dscp << 2);
    if (options.dontFragment === true) socket.setOption('IP_MTU_DISCOVER', level, names.mtuDiscover, PMTUDISC_PROBE);
    if (options.receiveBuffer !== undefined) socket.setOption('SO_RCVBUFFORCE', SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBuffer);
    if (options.reusePort === true) socket.setOption('SO_REUSEPORT', SOL_SOCKET, SO_REUSEPORT);
    if (options.ifindex !== undefined) {
      // The kernel would bind to a link that does not exist.
      const ifreq = new Uint8Array(IFREQ_BYTES);
      ifreq.set(cInt(options.ifindex), 16);
      check(`ioctl SIOCGIFNAME ${what}`, rawio.ioctl(fd, SIOCGIFNAME, ifreq));
      socket.setOption('SO_BINDTOIFINDEX', SOL_SOCKET, SO_BINDTOIFINDEX, options.ifindex);
    }
    bindToPort(socket, options);
  });
}

function bindToPort(socket: KernelSocket, options: UdpSocketOptions): void {
  const { family, address = new Uint8Array(family === 4 ? 4 : 16), port = 0, ifindex } = options;
  const bind = (number: number): void => socket.bind(writeSocketAddress({ address, port: number }, ifindex));
  if (typeof port === 'number') return bind(port);
  const count = port.last - port.first + 1;
  const start = Math.floor(Math.random() * count);
  for (let i = 0; i < count; i++) {
    try {
      return bind(port.first + ((start + i) % count));
    } catch (error) {
      if (!(error instanceof SystemError) || error.errno !== errno.EADDRINUSE || i === count - 1) throw error;
    }
  }
}
