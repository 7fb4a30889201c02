/**
 * UDP sockets with what Node's dgram does not tell: the TTL, DSCP and ECN that a datagram arrived with, the address it was sent to,
 * the link it came by, the kernel's time of arrival, and what ICMP says about datagrams sent. BFD and STAMP need all of it.
 *
 * IP addresses are 4 or 16 bytes, in network order. For unicast: no groups, no broadcast.
 */
import { formatIpv6 } from '../wire/ip-address-text.ts';
import { NativeMisuseError } from './native.ts';
import type { Readable } from './native.ts';

/** Both ends belong to it; 1 to 65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface UdpSocketOptions {
  /** 6 is IPv6 alone (IPV6_V6ONLY). */
  readonly family: 4 | 6;
  /** Without one, any of this host's. A link-local one needs `ifindex`. */
  readonly address?: Uint8Array;
  /** A port, or a range of which a free one is taken, at random; without it the kernel chooses. */
  readonly port?: number | PortRange;
  /** SO_BINDTOIFINDEX: sends and receives by this link alone. */
  readonly ifindex?: number;
  /** TTL or hop limit of what is sent, 1 to 255; 64 without it. */
  readonly ttl?: number;
  /** DSCP of what is sent, 0 to 63; 0 without it. */
  readonly dscp?: number;
  /**
   * IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE: fragmented neither here nor on the way, whatever the kernel believes about the path's MTU.
   * Without it the kernel fragments by that belief.
   */
  readonly dontFragment?: boolean;
  /** SO_RCVBUFFORCE, bytes. */
  readonly receiveBuffer?: number;
  /** SO_REUSEPORT: others that ask for it too may have the same address and port. */
  readonly reusePort?: boolean;
}

/** Where a datagram is to go, and what is different from the socket's options for this one. */
export interface UdpDestination {
  readonly address: Uint8Array;
  readonly port: number;
  /** The source address: one of this host's. */
  readonly from?: Uint8Array;
  /** By which link; a link-local address needs it, here or in the socket's options. */
  readonly ifindex?: number;
  readonly dscp?: number;
  readonly ttl?: number;
}

export interface UdpEndpoint {
  readonly address: Uint8Array;
  readonly port: number;
}

export interface ReceivedDatagram {
  readonly data: Uint8Array;
  readonly from: UdpEndpoint;
  /** The destination address in its IP header. */
  readonly to: Uint8Array;
  /** The link by which it came. */
  readonly ifindex: number;
  /** TTL or hop limit as it arrived. */
  readonly ttl: number;
  /** 0 to 63. */
  readonly dscp: number;
  /** 0 to 3 (RFC 3168, section 5). */
  readonly ecn: number;
  /** The kernel's time of arrival, CLOCK_REALTIME in ms with fractions (SO_TIMESTAMPNS). */
  readonly timestamp: number;
}

/** ICMP or ICMPv6 said that a datagram of this socket did not arrive (IP_RECVERR, struct sock_extended_err). Anybody can send such. */
export interface UdpRefusal {
  /** What the kernel makes of it: ECONNREFUSED (no such port), EHOSTUNREACH (also TTL exceeded), ENETUNREACH, EMSGSIZE, ... */
  readonly errnoName: string;
  /** Where the datagram was sent. */
  readonly to: UdpEndpoint;
  /** Who says so: a router or the destination; this host itself where a neighbour does not answer. */
  readonly by: Uint8Array;
  /** Type and code of the ICMP message. */
  readonly type: number;
  readonly code: number;
  /** With EMSGSIZE, bytes: what the next link can take. */
  readonly mtu: number | undefined;
}

/** AF_INET or AF_INET6, SOCK_DGRAM (udp(7)). `onReadable` also fires for refusals; the `receive` that returns undefined takes them in. */
export interface UdpSocket extends Readable {
  /** The local port. */
  readonly port: number;
  /**
   * Throws SystemError (ENETUNREACH: no route; EMSGSIZE: longer than the link's MTU with dontFragment, or than UDP can be; EINVAL, or
   * ENETUNREACH of newer kernels: `from` is no address of this host; ENODEV: no such link; EPERM: refused by a filter; EAGAIN: the send
   * buffer is full), never for what ICMP says of an earlier datagram.
   */
  send(data: Uint8Array, to: UdpDestination): void;
  /** The next datagram, or undefined when nothing is waiting. */
  receive(): ReceivedDatagram | undefined;
  /**
   * The next datagrams by one call, oldest first: as many as are waiting, at most `most` and MOST_AT_ONCE. Fewer, and only then, say that
   * nothing else is waiting, as the `receive` does that returns undefined. None of them stays here: what was not asked for is still the
   * kernel's, and still readable.
   */
  receiveMany(most: number): readonly ReceivedDatagram[];
  /** What ICMP said since the last call, oldest first; at most the last MOST_REFUSALS. */
  refusals(): readonly UdpRefusal[];
}

/** Refusals that are kept for who does not ask; older ones are forgotten. */
export const MOST_REFUSALS = 64;

/** Datagrams of one `receiveMany`. */
export const MOST_AT_ONCE = 32;

/** What fits behind the IP and UDP headers in 65535 bytes: an IPv6 header does not count among them (RFC 8200, section 3). */
export const MOST_DATA = { 4: 65507, 6: 65527 } as const;

export function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;
}

/** For errors; hexadecimal where it is none. */
export function addressText(address: Uint8Array): string {
  if (address.length === 4) return address.join('.');
  return address.length === 16 ? formatIpv6(address) : `0x${Buffer.from(address).toString('hex')}`;
}

/** How errors name the socket. */
export function udpSocketText({ family, port, ifindex }: UdpSocketOptions): string {
  const ports = port === undefined ? 'any port' : typeof port === 'number' ? `port ${port}` : `port ${port.first} to ${port.last}`;
  return `UDP socket of IPv${family} on ${ports}${ifindex === undefined ? '' : ` of link ${ifindex}`}`;
}

/** @throws NativeMisuseError for options that mean nothing. */
export function checkUdpOptions(options: UdpSocketOptions): void {
  const { port, address, family, ifindex } = options;
  checkAddress('address', address, family);
  if (typeof port === 'number') checkNumber('port', port, 1, 65535);
  else if (port !== undefined) {
    checkNumber('port.first', port.first, 1, 65535);
    checkNumber('port.last', port.last, port.first, 65535);
  }
  checkMarks(options);
  checkNumber('receiveBuffer', options.receiveBuffer, 0, 2 ** 30);
  if (address !== undefined && isLinkLocal(address) && ifindex === undefined) {
    throw misuse('address', addressText(address), 'is link-local: say by ifindex on which link');
  }
}

/** @throws NativeMisuseError for a destination that no datagram of such a socket can have. */
export function checkUdpDestination({ family, ifindex }: UdpSocketOptions, to: UdpDestination): void {
  checkAddress('address', to.address, family);
  checkAddress('from', to.from, family);
  checkNumber('port', to.port, 1, 65535);
  checkMarks(to);
  if (ifindex !== undefined && to.ifindex !== undefined && to.ifindex !== ifindex) {
    throw misuse('ifindex', to.ifindex, `is another link than ${ifindex}, to which the socket is bound`);
  }
  if ((ifindex ?? to.ifindex) === undefined && (isLinkLocal(to.address) || (to.from !== undefined && isLinkLocal(to.from)))) {
    throw misuse('address', addressText(to.address), 'or its source is link-local: say by ifindex on which link');
  }
}

/** @throws NativeMisuseError for what is no number of datagrams. */
export function checkMost(most: number): void {
  checkNumber('most', most, 1, Number.MAX_SAFE_INTEGER);
}

function checkMarks({ ttl, dscp, ifindex }: { readonly ttl?: number; readonly dscp?: number; readonly ifindex?: number }): void {
  checkNumber('ttl', ttl, 1, 255);
  checkNumber('dscp', dscp, 0, 63);
  checkNumber('ifindex', ifindex, 1, 2 ** 31 - 1);
}

function checkNumber(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  throw misuse(name, value, `is none of ${least} to ${most}`);
}

function checkAddress(name: string, address: Uint8Array | undefined, family: 4 | 6): void {
  if (address === undefined || address.length === (family === 4 ? 4 : 16)) return;
  throw misuse(name, addressText(address), `is no address of IPv${family}`);
}

function misuse(name: string, value: number | string, what: string): NativeMisuseError {
  return new NativeMisuseError(`UDP socket: ${name} ${value} ${what}`);
}
