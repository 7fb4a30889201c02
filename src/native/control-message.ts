/**
 * What stands beside the data of a message of recvmsg(2) and sendmsg(2): control messages (cmsg(3)) and addresses, as the kernel lays
 * them out on 64-bit little-endian machines. Reading trusts no length: what does not fit ends the reading.
 */

/** struct cmsghdr: u64 cmsg_len with this header, i32 cmsg_level, i32 cmsg_type; the next one begins at a multiple of 8. */
const HEADER_BYTES = 16;
const align = (length: number): number => (length + 7) & ~7;

export const AF_INET = 2;
export const AF_INET6 = 10;

/** Writes control messages one after the other, padded, into one buffer that is used again and again. */
export class ControlWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** By their length: the views that `finish` gives, which are made once. */
  readonly #finished = new Map<number, Uint8Array>();
  #at = 0;

  /** @param size of all messages that are ever written in one go, bytes; a RangeError where that is not enough */
  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  begin(): void {
    this.#at = 0;
  }

  /** A C int. */
  int(level: number, type: number, value: number): void {
    this.#header(level, type, 4);
    this.#view.setInt32(this.#at, value, true);
    this.#view.setInt32(this.#at + 4, 0, true);
    this.#at += align(4);
  }

  bytes(level: number, type: number, value: Uint8Array): void {
    this.#header(level, type, value.length);
    this.#bytes.fill(0, this.#at, this.#at + align(value.length)).set(value, this.#at);
    this.#at += align(value.length);
  }

  /** Good until the next `begin`. */
  finish(): Uint8Array {
    let finished = this.#finished.get(this.#at);
    if (!finished) {
      finished = this.#bytes.subarray(0, this.#at);
      this.#finished.set(this.#at, finished);
    }
    return finished;
  }

  #header(level: number, type: number, length: number): void {
    this.#view.setUint32(this.#at, HEADER_BYTES + length, true);
    this.#view.setUint32(this.#at + 4, 0, true);
    this.#view.setInt32(this.#at + 8, level, true);
    this.#view.setInt32(this.#at + 12, type, true);
    this.#at += HEADER_BYTES;
  }
}

/** `count` bytes of a view from `at` on, copied; undefined where it is shorter. */
function bytesAt(data: DataView, at: number, count: number, length = data.byteLength): Uint8Array | undefined {
  return at + count > length ? undefined : bytesOf(data).slice(at, at + count);
}

/**
 * Reads control messages one after the other without making anything of them: for the one buffer into which each datagram's are written.
 */
export class ControlReader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #filled = 0;
  #next = 0;
  #data = 0;
  #length = 0;
  level = 0;
  type = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @param filled bytes of the buffer that the kernel has filled */
  begin(filled: number): void {
    this.#filled = Math.min(filled, this.#bytes.length);
    this.#next = 0;
  }

  /** False: there is no other one. */
  next(): boolean {
    const at = this.#next;
    if (at + HEADER_BYTES > this.#filled) return false;
    const length = this.#view.getUint32(at, true);
    if (this.#view.getUint32(at + 4, true) !== 0 || length < HEADER_BYTES || at + length > this.#filled) return false;
    this.level = this.#view.getInt32(at + 8, true);
    this.type = this.#view.getInt32(at + 12, true);
    this.#data = at + HEADER_BYTES;
    this.#length = length - HEADER_BYTES;
    this.#next = at + align(length);
    return true;
  }

  /** A C int, or one byte where the kernel sends no more (IP_TOS). */
  int(at = 0): number | undefined {
    if (this.#length >= at + 4) return this.#view.getInt32(this.#data + at, true);
    return this.#length === at + 1 ? this.#view.getUint8(this.#data + at) : undefined;
  }

  /** Copied; undefined where the message is shorter. */
  bytes(at: number, count: number): Uint8Array | undefined {
    return at + count > this.#length ? undefined : this.#bytes.slice(this.#data + at, this.#data + at + count);
  }

  /** Its data, as a view into the buffer. */
  data(): DataView {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#data, this.#length);
  }

  /** struct timespec: i64 seconds, i64 nanoseconds below 10^9. In ms. */
  milliseconds(): number | undefined {
    if (this.#length < 16) return undefined;
    const seconds = this.#view.getUint32(this.#data, true) + this.#view.getInt32(this.#data + 4, true) * 2 ** 32;
    return seconds * 1e3 + this.#view.getUint32(this.#data + 8, true) / 1e6;
  }
}

export interface SocketAddress {
  readonly address: Uint8Array;
  readonly port: number;
}

/**
 * struct sockaddr_in: u16 family, be16 port, 4 bytes, 8 of padding; struct sockaddr_in6: u16 family, be16 port, u32 flow, 16 bytes,
 * u32 scope (a link). Undefined for what is neither, and for what is cut.
 */
export function readSocketAddress(data: DataView, length = data.byteLength): SocketAddress | undefined {
  if (length < 4) return undefined;
  const family = data.getUint16(0, true);
  const address = family === AF_INET ? bytesAt(data, 4, 4, length) : family === AF_INET6 ? bytesAt(data, 8, 16, length) : undefined;
  return address && { address, port: data.getUint16(2) };
}

/** The other way; `scope` is told for IPv6. @param bytes 16 or 28 of them, all written; new ones without */
export function writeSocketAddress({ address, port }: SocketAddress, scope = 0, bytes = new Uint8Array(address.length === 4 ? 16 : 28)): Uint8Array {
  const v4 = address.length === 4;
  bytes.fill(0);
  // Little-endian, then big-endian.
  bytes[0] = v4 ? AF_INET : AF_INET6;
  bytes[2] = port >> 8;
  bytes[3] = port;
  bytes.set(address, v4 ? 4 : 8);
  if (!v4) new DataView(bytes.buffer, bytes.byteOffset).setUint32(24, scope, true);
  return bytes;
}

function bytesOf(data: DataView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
