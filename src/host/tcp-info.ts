/** TCP connections as the kernel sees them (sock_diag(7), linux/inet_diag.h, struct tcp_info of linux/tcp.h), those of some ports alone. */
import { type IpAddress } from '../wire/ip-address.ts';
import { AF_INET, AF_INET6, addressOf } from './ip-value.ts';
import type { Netlink } from './netlink.ts';
import { concat, decodeAttributes, u16, u32, u8 } from './netlink-message.ts';

/** The protocol of netlink(7) that `readTcp` asks in. */
export const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const IPPROTO_TCP = 6;
const TCP_ESTABLISHED = 1;
const INET_DIAG_INFO = 2;
const INET_DIAG_REQ_BYTECODE = 1;
/** enum of INET_DIAG_BC_*: compare a port, or jump. */
const BC = { jump: 1, sourceAtLeast: 2, sourceAtMost: 3, destinationAtLeast: 4, destinationAtMost: 5 } as const;
/** sizeof(struct inet_diag_msg). */
const HEADER = 72;
/** Up to tcpi_delivery_rate, Linux 4.9. */
const NEEDED = 168;

/** ::ffff:0:0/96 */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** Both in. */
export type PortRange = readonly [from: number, to: number];

export interface TcpConnection {
  /** The kernel's own number of the socket, never used again. */
  readonly cookie: string;
  readonly localPort: number;
  readonly remotePort: number;
  /** IPv4 also where the socket is an IPv6 one (RFC 4291, 2.5.5.2). */
  readonly remote: IpAddress;
  /** ms, smoothed (RFC 6298). */
  readonly rtt: number;
  readonly rttVariation: number;
  /** Segments: sent with data, those sent again among them, and those sent again. */
  readonly sent: number;
  readonly retransmitted: number;
  /** Bytes per second. */
  readonly deliveryRate: number;
  /** Segments. */
  readonly congestionWindow: number;
}

/** Established ones with one of these ports at either end. @param netlink of NETLINK_SOCK_DIAG */
export function readTcp(netlink: Netlink, ports: readonly PortRange[]): TcpConnection[] {
  if (ports.length === 0) return [];
  return [AF_INET, AF_INET6].flatMap((family) => {
    const answers = netlink.dump({
      what: 'read TCP connections', type: SOCK_DIAG_BY_FAMILY,
      // struct inet_diag_req_v2; its socket id stays empty
      header: concat(u8(family), u8(IPPROTO_TCP), u8(1 << (INET_DIAG_INFO - 1)), u8(0), u32(1 << TCP_ESTABLISHED), new Uint8Array(48)),
      attributes: [[INET_DIAG_REQ_BYTECODE, portFilter(ports)]],
    });
    return answers.flatMap(({ body }) => decodeConnection(body) ?? []);
  });
}

/**
 * A program for the kernel's filter: one of these ranges at either end. Each alternative is `at least`, `at most`, `accept`; what fails
 * goes on at the next one, and after the last 4 bytes past the end, which refuses. The kernel checks it by walking along `yes`, so all
 * instructions stand on that way.
 */
export function portFilter(ports: readonly PortRange[]): Uint8Array {
  const operation = (code: number, yes: number, no: number): Uint8Array => concat(u8(code), u8(yes), u16(no));
  const alternatives = ports.flatMap(([from, to]) => [
    [BC.sourceAtLeast, from, BC.sourceAtMost, to] as const, [BC.destinationAtLeast, from, BC.destinationAtMost, to] as const,
  ]);
  return concat(...alternatives.flatMap(([least, from, most, to], i) => {
    const left = (alternatives.length - i) * 20;
    const refuse = left === 20 ? 4 : 0;
    return [
      operation(least, 8, 20 + refuse), operation(0, 0, from),
      operation(most, 8, 12 + refuse), operation(0, 0, to),
      operation(BC.jump, 4, left - 16),
    ];
  }));
}

/** Undefined for a kernel that says too little. */
function decodeConnection(body: Uint8Array): TcpConnection | undefined {
  const info = decodeAttributes(body.subarray(HEADER)).get(INET_DIAG_INFO);
  const far = body.subarray(24, body[0] === AF_INET ? 28 : 40);
  const remote = addressOf(MAPPED.every((byte, i) => far[i] === byte) ? far.subarray(MAPPED.length) : far);
  if (!info || info.length < NEEDED || !remote) return undefined;
  const head = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const data = new DataView(info.buffer, info.byteOffset, info.byteLength);
  return {
    cookie: head.getBigUint64(44, true).toString(36),
    localPort: head.getUint16(4), remotePort: head.getUint16(6), remote,
    rtt: data.getUint32(68, true) / 1000, rttVariation: data.getUint32(72, true) / 1000,
    sent: data.getUint32(156, true), retransmitted: data.getUint32(100, true),
    deliveryRate: Number(data.getBigUint64(160, true)), congestionWindow: data.getUint32(80, true),
  };
}
