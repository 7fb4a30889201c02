/** IPv4 and IPv6 addresses as values, their texts, and the multicast addresses that follow from them. */
import { formatIpv6, parseIpv4, parseIpv6 } from './ip-address-text.ts';
import { MacAddress } from './mac-address.ts';
import { DecodeError, EncodeError } from './wire.ts';

export type IpAddress = Ipv4Address | Ipv6Address;

/** ff02::1:ff00:0, of which the low 24 bits are the node's. */
const solicitedNodePrefix = 0xff02n << 112n | 0x1_ff00_0000n;

export class Ipv4Address {
  /** 0.0.0.0 */
  static readonly unspecified = new Ipv4Address(0);

  readonly family = 4;
  // A plain property, not #value: deep comparison must see it.
  private readonly value: number;

  private constructor(value: number) {
    this.value = value;
  }

  /**
   * Dotted decimal, four parts without leading zeros (which some programs read as octal).
   * @throws DecodeError `WIRE_MALFORMED`
   */
  static parse(text: string): Ipv4Address {
    const bytes = parseIpv4(text);
    if (bytes === undefined) throw notAnAddress(text, 'an IPv4 address', 'four numbers in 0..255, like 192.0.2.1');
    return Ipv4Address.of(bytes);
  }

  /**
   * From exactly 4 bytes, which are copied.
   * @throws DecodeError `WIRE_MALFORMED`
   */
  static of(bytes: Uint8Array): Ipv4Address {
    return new Ipv4Address(exactly(4, bytes).getUint32(0));
  }

  /** Fresh bytes, 4 of them. */
  bytes(): Uint8Array {
    const out = new Uint8Array(4);
    new DataView(out.buffer).setUint32(0, this.value);
    return out;
  }

  /** Equal addresses have equal texts, so this is also a key. */
  toString(): string {
    return this.bytes().join('.');
  }

  toJSON(): string {
    return this.toString();
  }

  equals(other: IpAddress): boolean {
    return other.family === 4 && this.value === other.value;
  }

  get isUnspecified(): boolean {
    return this.value === 0;
  }

  /** 224.0.0.0/4 (RFC 1112 §4). */
  get isMulticast(): boolean {
    return this.value >>> 28 === 0xe;
  }
}

export class Ipv6Address {
  /** :: */
  static readonly unspecified = new Ipv6Address(0n);
  /** ff02::1, every node on the link (RFC 4291 §2.7.1). */
  static readonly allNodes = new Ipv6Address(0xff02n << 112n | 1n);

  readonly family = 6;
  private readonly value: bigint;

  private constructor(value: bigint) {
    this.value = value;
  }

  /**
   * Any text form of RFC 4291 §2.2: full, with `::`, or ending in dotted decimal. No zone (`%eth0`), no prefix length.
   * @throws DecodeError `WIRE_MALFORMED`
   */
  static parse(text: string): Ipv6Address {
    const bytes = parseIpv6(text);
    if (bytes === undefined) throw notAnAddress(text, 'an IPv6 address', 'it like 2001:db8::1, without zone or prefix length');
    return Ipv6Address.of(bytes);
  }

  /**
   * From exactly 16 bytes, which are copied.
   * @throws DecodeError `WIRE_MALFORMED`
   */
  static of(bytes: Uint8Array): Ipv6Address {
    const view = exactly(16, bytes);
    return new Ipv6Address(view.getBigUint64(0) << 64n | view.getBigUint64(8));
  }

  /** Fresh bytes, 16 of them. */
  bytes(): Uint8Array {
    const out = new Uint8Array(16);
    const view = new DataView(out.buffer);
    view.setBigUint64(0, this.value >> 64n);
    view.setBigUint64(8, BigInt.asUintN(64, this.value));
    return out;
  }

  /** The form of RFC 5952; equal addresses have equal texts, so this is also a key. */
  toString(): string {
    return formatIpv6(this.bytes());
  }

  toJSON(): string {
    return this.toString();
  }

  equals(other: IpAddress): boolean {
    return other.family === 6 && this.value === other.value;
  }

  get isUnspecified(): boolean {
    return this.value === 0n;
  }

  /** ff00::/8 (RFC 4291 §2.7). */
  get isMulticast(): boolean {
    return this.value >> 120n === 0xffn;
  }

  /** ff02::1:ff00:0/104 (RFC 4291 §2.7.1). */
  get isSolicitedNodeMulticast(): boolean {
    return this.value >> 24n === solicitedNodePrefix >> 24n;
  }
}

/**
 * The address in whatever family it is written.
 * @throws DecodeError `WIRE_MALFORMED`
 */
export function parseIpAddress(text: string): IpAddress {
  if (text.includes(':')) return Ipv6Address.parse(text);
  if (text.includes('.')) return Ipv4Address.parse(text);
  throw notAnAddress(text, 'an IP address', 'one like 192.0.2.1 or 2001:db8::1');
}

/** RFC 4291 §2.7.1: ff02::1:ff00:0/104 with the low 24 bits of the address; where its neighbour solicitations go. */
export function solicitedNodeMulticast(address: Ipv6Address): Ipv6Address {
  const bytes = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0);
  bytes.set(address.bytes().subarray(13), 13);
  return Ipv6Address.of(bytes);
}

/**
 * The Ethernet address a multicast group is sent to: 01:00:5e and the low 23 bits of an IPv4 group (RFC 1112 §6.4),
 * 33:33 and the low 32 bits of an IPv6 group (RFC 2464 §7).
 * @throws EncodeError for an address that is not multicast
 */
export function multicastMac(group: IpAddress): MacAddress {
  if (!group.isMulticast) throw new EncodeError(`${group} is not a multicast address. Resolve it with ARP or ND.`);
  const [a = 0, b = 0, c = 0, d = 0] = group.bytes().subarray(-4);
  return MacAddress.of(group.family === 4 ? Uint8Array.of(0x01, 0x00, 0x5e, b & 0x7f, c, d) : Uint8Array.of(0x33, 0x33, a, b, c, d));
}

function notAnAddress(text: string, what: string, want: string): DecodeError {
  return new DecodeError('WIRE_MALFORMED', `${JSON.stringify(text)} is not ${what}. Write ${want}.`);
}

function exactly(length: number, bytes: Uint8Array): DataView {
  if (bytes.length !== length) {
    throw new DecodeError('WIRE_MALFORMED', `This IP address has ${length} bytes, not ${bytes.length}. Hand in exactly its bytes.`);
  }
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
