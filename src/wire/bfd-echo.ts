/**
 * BFD echo packets: RFC 5880 §6.8.8-§6.8.9, RFC 5881 §4. Only who sends one reads it, so the form is Godwit's own:
 *
 *   |      "GwE1"       |   Discriminator   |  Sequence Number  |   Sent, in µs: 8 bytes   |   Tag: 16 bytes   |
 *
 * Whoever can put a packet on the link could keep a dead session up with echoes of their own making (§9). So the tag is HMAC-SHA-1
 * (RFC 2104, cut to 128 bits) by a key that nobody but this process has, and the session takes each number once.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { Sha1 } from './bfd-auth.ts';
import { type BfdDrop, drop } from './bfd-drop.ts';
import { ByteReader, ByteWriter } from './cursor.ts';
import { sameBytes } from './same-bytes.ts';
import { EncodeError } from './wire.ts';

export interface BfdEcho {
  readonly kind: 'echo';
  /** Of the session that sent it. */
  readonly discriminator: number;
  readonly sequence: number;
  /** On the sender's clock, in whole microseconds: 0 to 2^53 - 1 µs. */
  readonly sent: Milliseconds;
}

const what = 'BFD echo packet';
const MAGIC = 0x47_77_45_31;
const SIGNED = 20;
const TAG = 16;
const LENGTH = SIGNED + TAG;
const BLOCK = 64;

/** @param key 16 random bytes or more, at most 64, drawn once per process: what an earlier one sent is refused then */
export class BfdEchoCodec {
  readonly #inner = new Uint8Array(BLOCK + SIGNED);
  readonly #outer: Uint8Array;
  readonly #sha1: Sha1;

  /** @throws EncodeError for a key of another length */
  constructor(key: Uint8Array, sha1: Sha1) {
    if (key.length < 16 || key.length > BLOCK) {
      throw new EncodeError(`${what}: its key has ${key.length} bytes; give 16 to ${BLOCK} random ones.`);
    }
    const padded = new Uint8Array(BLOCK);
    padded.set(key);
    this.#inner.set(padded.map((byte) => byte ^ 0x36));
    this.#outer = padded.map((byte) => byte ^ 0x5c);
    this.#sha1 = sha1;
  }

  /** @throws EncodeError when a field is out of its range */
  encode({ discriminator, sequence, sent }: Omit<BfdEcho, 'kind'>): Uint8Array {
    const writer = new ByteWriter(what, LENGTH);
    const microseconds = Math.round(sent * 1000);
    if (!Number.isSafeInteger(microseconds)) throw new EncodeError(`${what}: sent is ${sent} ms; give 0 to 2^53 - 1 µs.`);
    writer.u32('magic', MAGIC);
    writer.u32('discriminator', discriminator);
    writer.u32('sequence', sequence);
    writer.u32('sent', Math.floor(microseconds / 2 ** 32));
    writer.u32('sent', microseconds % 2 ** 32);
    writer.bytes(this.#tag(writer.finish().subarray(0, SIGNED)));
    return writer.finish();
  }

  /** Never throws, whatever the bytes. Whether the number is one of those under way only the session knows. */
  decode(payload: Uint8Array): BfdEcho | BfdDrop {
    if (payload.length !== LENGTH) return drop('echo-form', `${payload.length} bytes`);
    const reader = new ByteReader(what, payload);
    if (reader.u32() !== MAGIC) return drop('echo-form', 'of another program');
    if (!sameBytes(this.#tag(payload.subarray(0, SIGNED)), payload.subarray(SIGNED))) return drop('echo-digest', 'another tag');
    const discriminator = reader.u32();
    const sequence = reader.u32();
    return { kind: 'echo', discriminator, sequence, sent: ms((reader.u32() * 2 ** 32 + reader.u32()) / 1000) };
  }

  #tag(message: Uint8Array): Uint8Array {
    this.#inner.set(message, BLOCK);
    const outer = new Uint8Array(BLOCK + 20);
    outer.set(this.#outer);
    outer.set(this.#sha1(this.#inner), BLOCK);
    return this.#sha1(outer).subarray(0, TAG);
  }
}
