/** Reading and writing fields one after the other, in network byte order, with every bound checked. */
import { DecodeError, EncodeError } from './wire.ts';

/** `value` if it is a whole number in 0..max, else EncodeError naming the field. */
export function checkField(what: string, field: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new EncodeError(`${what}: ${field} is ${value}; give a whole number in 0..${max}.`);
  }
  return value;
}

/** Walks over bytes. Every read past the end is a DecodeError `WIRE_TRUNCATED` that names the packet. */
export class ByteReader {
  private readonly what: string;
  private readonly view: DataView;
  private offset = 0;

  /** @param what the packet's name for error texts, like `ARP packet`. */
  constructor(what: string, bytes: Uint8Array) {
    this.what = what;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.view.byteLength - this.offset;
  }

  u8(): number {
    return this.view.getUint8(this.advance(1));
  }

  u16(): number {
    return this.view.getUint16(this.advance(2));
  }

  u16LittleEndian(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.advance(4));
  }

  /** The next `length` bytes, as a view. */
  take(length: number): Uint8Array {
    const start = this.advance(length);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + start, length);
  }

  private advance(length: number): number {
    const start = this.offset;
    if (length > this.remaining) {
      throw new DecodeError(
        'WIRE_TRUNCATED',
        `${this.what} ends after ${this.view.byteLength} bytes, but at least ${start + length} are needed. Drop it.`,
      );
    }
    this.offset = start + length;
    return start;
  }
}

/** Fills a buffer of a length known beforehand. A number that does not fit its field is an EncodeError. */
export class ByteWriter {
  private readonly what: string;
  private readonly out: Uint8Array;
  private readonly view: DataView;
  private offset = 0;

  constructor(what: string, length: number) {
    this.what = what;
    this.out = new Uint8Array(length);
    this.view = new DataView(this.out.buffer);
  }

  u8(field: string, value: number): void {
    this.view.setUint8(this.offset, checkField(this.what, field, value, 0xff));
    this.offset += 1;
  }

  u16(field: string, value: number): void {
    this.view.setUint16(this.offset, checkField(this.what, field, value, 0xffff));
    this.offset += 2;
  }

  u16LittleEndian(field: string, value: number): void {
    this.view.setUint16(this.offset, checkField(this.what, field, value, 0xffff), true);
    this.offset += 2;
  }

  u32(field: string, value: number): void {
    this.view.setUint32(this.offset, checkField(this.what, field, value, 0xffff_ffff));
    this.offset += 4;
  }

  bytes(value: Uint8Array): void {
    this.out.set(value, this.offset);
    this.offset += value.length;
  }

  /** What was written; bytes not reached stay 0. */
  finish(): Uint8Array {
    return this.out;
  }
}
