/** The 48-bit address of a network interface (IEEE 802 EUI-48). */
import { DecodeError } from './wire.ts';

const octets = 6;

export class MacAddress {
  /** ff:ff:ff:ff:ff:ff */
  static readonly broadcast = new MacAddress(0xffff_ffff_ffff);
  /** 00:00:00:00:00:00, which in ARP stands for "not known". */
  static readonly zero = new MacAddress(0);

  // A plain property, not #value: deep comparison must see it.
  private readonly value: number;

  private constructor(value: number) {
    this.value = value;
  }

  /**
   * Six hex pairs joined by colons, in either case: `52:54:00:12:34:56`.
   * @throws DecodeError `WIRE_MALFORMED`
   */
  static parse(text: string): MacAddress {
    if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
      throw new DecodeError(
        'WIRE_MALFORMED',
        `${JSON.stringify(text)} is not a MAC address. Write six hex pairs joined by colons, like 52:54:00:12:34:56.`,
      );
    }
    return new MacAddress(Number.parseInt(text.replaceAll(':', ''), 16));
  }

  /**
   * From exactly 6 bytes, which are copied.
   * @throws DecodeError `WIRE_MALFORMED`
   */
  static of(bytes: Uint8Array): MacAddress {
    if (bytes.length !== octets) {
      throw new DecodeError('WIRE_MALFORMED', `A MAC address has 6 bytes, not ${bytes.length}. Hand in exactly its bytes.`);
    }
    return new MacAddress(bytes.reduce((value, byte) => value * 256 + byte, 0));
  }

  /** Fresh bytes, 6 of them. */
  bytes(): Uint8Array {
    const out = new Uint8Array(octets);
    const view = new DataView(out.buffer);
    view.setUint16(0, Math.floor(this.value / 2 ** 32));
    view.setUint32(2, this.value % 2 ** 32);
    return out;
  }

  /** Lower case with colons; equal addresses have equal texts, so this is also a key. */
  toString(): string {
    return Array.from(this.bytes(), (byte) => byte.toString(16).padStart(2, '0')).join(':');
  }

  toJSON(): string {
    return this.toString();
  }

  equals(other: MacAddress): boolean {
    return this.value === other.value;
  }

  /** Multicast or broadcast: the lowest bit of the first byte (IEEE 802 §8.2). */
  get isGroup(): boolean {
    return Math.floor(this.value / 2 ** 40) % 2 === 1;
  }
}
