/**
 * Netlink messages as values (linux/netlink.h): headers, attributes, acknowledgements with the kernel's own words.
 * Pure. Integers are in host order, little endian on every machine Godwit runs on; the few in network order say `be`.
 */
import { GodwitError } from '../base/error.ts';

export const NLM_F_REQUEST = 0x001;
export const NLM_F_MULTI = 0x002;
export const NLM_F_ACK = 0x004;
export const NLM_F_DUMP = 0x300;
export const NLM_F_DUMP_INTR = 0x010;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const NLM_F_ACK_TLVS = 0x200;
const NLM_F_CAPPED = 0x100;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const HEADER = 16;

/** One attribute: its type, and its bytes or the attributes nested in it (NLA_F_NESTED is set for those). */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The family's fixed header and the attributes after it. A view of the datagram it was decoded from. */
  readonly body: Uint8Array;
}

/** An acknowledgement: errno 0 is success; `words` is the kernel's explanation (NLMSGERR_ATTR_MSG), often empty. */
export interface Acknowledgement {
  readonly errno: number;
  readonly words: string;
}

export class NetlinkDecodeError extends GodwitError {
  constructor(message: string) {
    super('HOST_NETLINK_MALFORMED', message);
  }
}

function number(width: 1 | 2 | 4, value: number): Uint8Array {
  const out = new Uint8Array(width);
  for (let i = 0; i < width; i++) out[i] = (value >>> (8 * i)) & 0xff;
  return out;
}
export const u8 = (n: number): Uint8Array => number(1, n);
export const u16 = (n: number): Uint8Array => number(2, n);
export const u16be = (n: number): Uint8Array => number(2, n).toReversed();
export const u32 = (n: number): Uint8Array => number(4, n);
export const u32be = (n: number): Uint8Array => number(4, n).toReversed();
/** A NUL-terminated string. */
export const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const isNested = (value: Attribute[1]): value is readonly Attribute[] => Array.isArray(value);
const pad4 = (n: number): number => (n + 3) & ~3;

export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.map(([type, value]) => {
    const nested = isNested(value);
    const payload = nested ? encodeAttributes(value) : value;
    const out = new Uint8Array(pad4(4 + payload.length));
    out.set(u16(4 + payload.length), 0);
    out.set(u16(nested ? type | 0x8000 : type), 2);
    out.set(payload, 4);
    return out;
  });
  return concat(...parts);
}

export function encodeMessage(type: number, flags: number, sequence: number, body: Uint8Array): Uint8Array {
  return concat(u32(HEADER + body.length), u16(type), u16(flags), u32(sequence), u32(0), body);
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The messages of one datagram. Throws NetlinkDecodeError, never anything else. */
export function decodeMessages(datagram: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const data = view(datagram);
  for (let at = 0; at + HEADER <= datagram.length; ) {
    const length = data.getUint32(at, true);
    if (length < HEADER || at + length > datagram.length) {
      throw new NetlinkDecodeError(`A netlink message of ${length} bytes at ${at} does not fit its datagram of ${datagram.length}`);
    }
    messages.push({
      type: data.getUint16(at + 4, true),
      flags: data.getUint16(at + 6, true),
      sequence: data.getUint32(at + 8, true),
      body: datagram.subarray(at + HEADER, at + length),
    });
    at += pad4(length);
  }
  return messages;
}

/** Attributes by type, flag bits removed; the last of a repeated type wins. Values are views. */
export function decodeAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>();
  const data = view(bytes);
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = data.getUint16(at, true);
    if (length < 4 || at + length > bytes.length) {
      throw new NetlinkDecodeError(`An attribute of ${length} bytes at ${at} does not fit its ${bytes.length} bytes`);
    }
    attributes.set(data.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += pad4(length);
  }
  return attributes;
}

/** NLMSG_ERROR, or the NLMSG_DONE that ends a dump, as an acknowledgement; undefined for any other message. */
export function acknowledgement(message: NetlinkMessage): Acknowledgement | undefined {
  if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) return undefined;
  const { body } = message;
  if (body.length < 4) {
    if (message.type === NLMSG_DONE) return { errno: 0, words: '' };
    throw new NetlinkDecodeError('An error message without its code');
  }
  const errno = 0 - view(body).getInt32(0, true);
  return { errno, words: message.flags & NLM_F_ACK_TLVS ? kernelWords(message) : '' };
}

function kernelWords(message: NetlinkMessage): string {
  const { body } = message;
  let at = 4;
  if (message.type === NLMSG_ERROR) {
    if (body.length < 20) return '';
    // The request comes back: its header alone, or all of it.
    const request = message.flags & NLM_F_CAPPED ? HEADER : view(body).getUint32(4, true);
    if (request > body.length - 4) throw new NetlinkDecodeError(`An error message of ${body.length} bytes about a request of ${request}`);
    at = 4 + pad4(request);
  }
  if (at > body.length) return '';
  const words = decodeAttributes(body.subarray(at)).get(NLMSGERR_ATTR_MSG);
  return words ? readText(words) : '';
}

export function readText(value: Uint8Array): string {
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
}

/** Unsigned, little endian, 1, 2, 4 or 8 bytes by the value's own length; counters above 2^53 lose their last bits. */
export function readNumber(value: Uint8Array): number {
  let n = 0;
  for (let i = value.length - 1; i >= 0; i--) n = n * 256 + (value[i] ?? 0);
  return n;
}
