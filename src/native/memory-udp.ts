/**
 * UDP of the network in memory. A datagram goes over a link of which an address's prefix covers the destination, straight to the
 * namespace at the link's other end: no routers, no loopback, and no frames that packet sockets would see.
 */
import { errno, systemError } from './errno.ts';
import { MemoryDescriptor, OpenFile } from './memory-descriptor.ts';
import type { DescriptorTable } from './memory-descriptor.ts';
import { DEFAULT_RECEIVE_BUFFER, FRAME_OVERHEAD, MemoryVeth } from './memory-link.ts';
import type { MemoryLink } from './memory-link.ts';
import {
  MOST_AT_ONCE, MOST_DATA, MOST_REFUSALS, addressText, checkMost, checkUdpDestination, checkUdpOptions, isLinkLocal, udpSocketText,
} from './udp.ts';
import type { ReceivedDatagram, UdpDestination, UdpRefusal, UdpSocket, UdpSocketOptions } from './udp.ts';

export interface MemoryAddress {
  readonly link: MemoryLink;
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

/** What of a namespace matters to UDP. */
export interface UdpHost {
  readonly links: ReadonlyMap<string, MemoryLink>;
  readonly addresses: readonly MemoryAddress[];
  readonly udpSockets: Set<MemoryUdpSocket>;
}

/** What a socket needs of the network. */
export interface UdpNetwork {
  readonly descriptors: DescriptorTable;
  now(): number;
  hostOf(link: MemoryLink): UdpHost | undefined;
}

const HEADER_BYTES = { 4: 28, 6: 48 } as const;
/** net.ipv4.ip_local_port_range */
const KERNELS_CHOICE = { first: 32768, last: 60999 };
/** Destination unreachable, port unreachable: RFC 792; RFC 4443, section 3.1. */
const PORT_UNREACHABLE = { 4: { type: 3, code: 3 }, 6: { type: 1, code: 4 } } as const;

export class MemoryUdpSocket extends MemoryDescriptor implements UdpSocket {
  readonly options: UdpSocketOptions;
  readonly #network: UdpNetwork;
  readonly #host: UdpHost;
  readonly #port: number;
  readonly #capacity: number;
  readonly #queue: ReceivedDatagram[] = [];
  #queuedBytes = 0;
  #refusals: UdpRefusal[] = [];
  /** Some of them have woken nobody yet: no `receive` has returned undefined since. */
  #fresh = false;

  constructor(network: UdpNetwork, host: UdpHost, options: UdpSocketOptions) {
    checkUdpOptions(options);
    const what = udpSocketText(options);
    const { address, ifindex, receiveBuffer } = options;
    if (ifindex !== undefined && linkOf(host, ifindex) === undefined) throw systemError(`ioctl SIOCGIFNAME ${what}`, errno.ENODEV);
    if (address !== undefined && addressOf(host, address, ifindex) === undefined) throw systemError(`bind ${what}`, errno.EADDRNOTAVAIL);
    const port = freePort(host, options);
    if (port === undefined) throw systemError(`bind ${what}`, errno.EADDRINUSE);
    super(network.descriptors, new OpenFile(() => host.udpSockets.delete(this)), what);
    this.options = options;
    this.#network = network;
    this.#host = host;
    this.#port = port;
    // As for packet sockets: it doubles what it is given.
    this.#capacity = receiveBuffer === undefined ? DEFAULT_RECEIVE_BUFFER : receiveBuffer * 2;
    host.udpSockets.add(this);
  }

  get port(): number {
    this.checkOpen('getsockname');
    return this.#port;
  }

  send(data: Uint8Array, to: UdpDestination): void {
    const { options } = this;
    const { family } = options;
    checkUdpDestination(options, to);
    this.checkOpen('sendmsg');
    const call = `sendmsg ${data.length} bytes to ${addressText(to.address)} port ${to.port} ${this.what}`;
    if (data.length > MOST_DATA[family]) throw systemError(call, errno.EMSGSIZE);
    const ifindex = to.ifindex ?? options.ifindex;
    if (ifindex !== undefined && linkOf(this.#host, ifindex) === undefined) throw systemError(call, errno.ENODEV);
    if (to.from !== undefined && addressOf(this.#host, to.from) === undefined) throw systemError(call, errno.EINVAL);
    const route = routeTo(this.#host, to.address, ifindex);
    if (route === undefined) throw systemError(call, errno.ENETUNREACH);
    const { link } = route;
    if (options.dontFragment === true && data.length + HEADER_BYTES[family] > link.mtu) throw systemError(call, errno.EMSGSIZE);

    const peer = link instanceof MemoryVeth ? link.peer : undefined;
    const host = peer?.up === true ? this.#network.hostOf(peer) : undefined;
    if (peer === undefined || host === undefined) return;
    // Nobody answers for the address; the kernel gives up after seconds, which is not told here.
    if (addressOf(host, to.address, isLinkLocal(to.address) ? peer.ifindex : undefined) === undefined) return;
    const receiver = receiverAt(host, peer, to);
    if (receiver === undefined) {
      const where = { address: to.address.slice(), port: to.port };
      this.#refuse({ errnoName: 'ECONNREFUSED', to: where, by: to.address.slice(), ...PORT_UNREACHABLE[family], mtu: undefined });
      return;
    }
    receiver.#enqueue({
      data: data.slice(),
      from: { address: (to.from ?? options.address ?? route.address).slice(), port: this.#port },
      to: to.address.slice(),
      ifindex: peer.ifindex,
      ttl: to.ttl ?? options.ttl ?? 64,
      dscp: to.dscp ?? options.dscp ?? 0,
      ecn: 0,
      timestamp: this.#network.now(),
    });
  }

  receive(): ReceivedDatagram | undefined {
    this.checkOpen('recvmsg');
    const received = this.#queue.shift();
    if (received === undefined) this.#fresh = false;
    else this.#queuedBytes -= received.data.length + FRAME_OVERHEAD;
    return received;
  }

  receiveMany(most: number): readonly ReceivedDatagram[] {
    checkMost(most);
    this.checkOpen('recvmmsg');
    const received: ReceivedDatagram[] = [];
    for (let next; received.length < Math.min(most, MOST_AT_ONCE) && (next = this.receive()) !== undefined;) received.push(next);
    return received;
  }

  refusals(): readonly UdpRefusal[] {
    this.checkOpen('recvmsg MSG_ERRQUEUE');
    const refusals = this.#refusals;
    this.#refusals = [];
    this.#fresh = false;
    return refusals;
  }

  protected hasInput(): boolean {
    return this.#queue.length > 0 || this.#fresh;
  }

  #enqueue(datagram: ReceivedDatagram): void {
    const bytes = datagram.data.length + FRAME_OVERHEAD;
    if (this.#queuedBytes + bytes > this.#capacity) return;
    this.#queuedBytes += bytes;
    this.#queue.push(datagram);
    this.wake();
  }

  #refuse(refusal: UdpRefusal): void {
    this.#refusals = [...this.#refusals, refusal].slice(-MOST_REFUSALS);
    this.#fresh = true;
    this.wake();
  }
}

function linkOf(host: UdpHost, ifindex: number): MemoryLink | undefined {
  return [...host.links.values()].find((link) => link.ifindex === ifindex);
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function addressOf(host: UdpHost, address: Uint8Array, ifindex?: number): MemoryAddress | undefined {
  const local = isLinkLocal(address);
  return host.addresses.find((each) => same(each.address, address) && (!local || ifindex === undefined || each.link.ifindex === ifindex));
}

/** By the longest prefix; of equals the first one made in IPv4 (the primary one), the last in IPv6 (ipv6_link_dev_addr). */
function routeTo(host: UdpHost, to: Uint8Array, ifindex: number | undefined): MemoryAddress | undefined {
  let best: MemoryAddress | undefined;
  for (const each of host.addresses) {
    const { link, address, prefixLength } = each;
    if (!link.up || link.deleted || (ifindex !== undefined && link.ifindex !== ifindex) || address.length !== to.length) continue;
    if (!covers(each, to) || same(address, to)) continue;
    if (best === undefined || prefixLength > best.prefixLength || (prefixLength === best.prefixLength && to.length === 16)) best = each;
  }
  return best;
}

function covers({ address, prefixLength }: MemoryAddress, to: Uint8Array): boolean {
  return address.every((byte, i) => {
    const bits = Math.min(Math.max(prefixLength - 8 * i, 0), 8);
    return (byte ^ (to[i] ?? 0)) >> (8 - bits) === 0;
  });
}

/** The socket that asked for most of what the datagram is: compute_score of net/ipv4/udp.c. */
function receiverAt(host: UdpHost, link: MemoryLink, { address, port }: UdpDestination): MemoryUdpSocket | undefined {
  let best: { readonly socket: MemoryUdpSocket; readonly score: number } | undefined;
  for (const socket of host.udpSockets) {
    const { options } = socket;
    if (socket.port !== port || (options.family === 4 ? 4 : 16) !== address.length) continue;
    if (options.address !== undefined && !same(options.address, address)) continue;
    if (options.ifindex !== undefined && options.ifindex !== link.ifindex) continue;
    const score = Number(options.address !== undefined) + Number(options.ifindex !== undefined);
    if (best === undefined || score > best.score) best = { socket, score };
  }
  return best?.socket;
}

function freePort(host: UdpHost, options: UdpSocketOptions): number | undefined {
  const { port = KERNELS_CHOICE } = options;
  const { first, last } = typeof port === 'number' ? { first: port, last: port } : port;
  for (let number = first; number <= last; number++) {
    if (![...host.udpSockets].some((other) => other.port === number && collide(options, other.options))) return number;
  }
  return undefined;
}

/** inet_rcv_saddr_equal and inet_csk_bind_conflict: may not both be bound to one port. */
function collide(one: UdpSocketOptions, other: UdpSocketOptions): boolean {
  if (one.family !== other.family || (one.reusePort === true && other.reusePort === true)) return false;
  if (one.ifindex !== undefined && other.ifindex !== undefined && one.ifindex !== other.ifindex) return false;
  return one.address === undefined || other.address === undefined || same(one.address, other.address);
}
