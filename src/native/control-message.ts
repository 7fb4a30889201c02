/**
 * What stands beside the data of a message of recvmsg(2) and sendmsg(2): control messages (cmsg(3)) and addresses, as the kernel lays
 * them out on 64-bit little-endian machines. Reading trusts no length: what does not fit ends the reading.
 */

/** struct cmsghdr: u64 cmsg_len with this header, i32 cmsg_level, i32 cmsg_type; the next one begins at a multiple of 8. */
const HEADER_BYTES = 16;
const align = (length: number): number => (length + 7) & ~7;

export const AF_INET = 2;
export const AF_INET6 = 10;

export interface ControlMessage {
  readonly level: number;
  readonly type: number;
  readonly data: DataView;
}

/** In their order. `data` are views into `bytes`. */
export function readControl(bytes: Uint8Array): ControlMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: ControlMessage[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    if (high !== 0 || length < HEADER_BYTES || at + length > bytes.length) break;
    found.push({
      level: view.getInt32(at + 8, true),
      type: view.getInt32(at + 12, true),
      data: new DataView(bytes.buffer, bytes.byteOffset + at + HEADER_BYTES, length - HEADER_BYTES),
    });
    at += align(length);
  }
  return found;
}

/** One after the other, padded. */
export function writeControl(messages: readonly ControlMessage[]): Uint8Array {
  const bytes = new Uint8Array(messages.reduce((sum, { data }) => sum + align(HEADER_BYTES + data.byteLength), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { level, type, data } of messages) {
    view.setUint32(at, HEADER_BYTES + data.byteLength, true);
    view.setInt32(at + 8, level, true);
    view.setInt32(at + 12, type, true);
    bytes.set(bytesOf(data), at + HEADER_BYTES);
    at += align(HEADER_BYTES + data.byteLength);
  }
  return bytes;
}

/** `count` bytes of a view from `at` on, copied; undefined where it is shorter. */
export function bytesAt(data: DataView, at: number, count: number): Uint8Array | undefined {
  return at + count > data.byteLength ? undefined : bytesOf(data).slice(at, at + count);
}

/** A C int, or one byte where the kernel sends no more (IP_TOS). */
export function intOf(data: DataView, at = 0): number | undefined {
  if (data.byteLength >= at + 4) return data.getInt32(at, true);
  return data.byteLength === at + 1 ? data.getUint8(at) : undefined;
}

/** struct timespec: i64 seconds, i64 nanoseconds. In ms. */
export function millisecondsOf(data: DataView): number | undefined {
  return data.byteLength < 16 ? undefined : Number(data.getBigInt64(0, true)) * 1e3 + Number(data.getBigInt64(8, true)) / 1e6;
}

export interface SocketAddress {
  readonly address: Uint8Array;
  readonly port: number;
}

/**
 * struct sockaddr_in: u16 family, be16 port, 4 bytes, 8 of padding; struct sockaddr_in6: u16 family, be16 port, u32 flow, 16 bytes,
 * u32 scope (a link). Undefined for what is neither, and for what is cut.
 */
export function readSocketAddress(data: DataView): SocketAddress | undefined {
  if (data.byteLength < 4) return undefined;
  const family = data.getUint16(0, true);
  const address = family === AF_INET ? bytesAt(data, 4, 4) : family === AF_INET6 ? bytesAt(data, 8, 16) : undefined;
  return address && { address, port: data.getUint16(2) };
}

/** The other way; `scope` is told for IPv6. */
export function writeSocketAddress({ address, port }: SocketAddress, scope = 0): Uint8Array {
  const v4 = address.length === 4;
  const bytes = new Uint8Array(v4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, v4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(address, v4 ? 4 : 8);
  if (!v4) view.setUint32(24, scope, true);
  return bytes;
}

function bytesOf(data: DataView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
