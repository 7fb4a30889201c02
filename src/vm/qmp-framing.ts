/**
 * QMP on the wire: JSON objects, each ended by a line feed (QEMU: docs/interop/qmp-spec.rst, "Protocol Specification").
 *
 * QEMU writes every message on one line (it escapes control characters inside strings), so a line feed byte always ends
 * a message and never is inside one; in UTF-8 no other character contains that byte.
 *
 * Integers are 64 bits wide in QMP and 53 in a JavaScript number. One that is not a safe integer arrives as bigint, all
 * others as number; `QmpInteger` says so in the types, `Number(x)` is fine for both where an approximation will do.
 */
import { QmpProtocolError } from './qmp-errors.ts';

export type QmpInteger = number | bigint;

declare global {
  interface JSON {
    /** https://tc39.es/proposal-json-parse-with-source/, in V8 since 11.4, not yet in TypeScript's library. */
    rawJSON(text: string): unknown;
  }
}

/** More than any answer has (the schema, by far the largest, is 0.3 MB); what is beyond is not QMP. */
export const longestMessage = 16 * 1024 * 1024;

/** Collects chunks however they were split or merged, and hands out the messages they complete. */
export class QmpDecoder {
  readonly #longest: number;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true });
  #parts: Uint8Array[] = [];
  #length = 0;

  /** `longest`: bytes of one message, line feed not counted. */
  constructor(longest: number = longestMessage) {
    this.#longest = longest;
  }

  /** The messages that `chunk` completed, oldest first. Throws QmpProtocolError; the decoder is of no use afterwards. */
  push(chunk: Uint8Array): unknown[] {
    const messages: unknown[] = [];
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      this.#add(chunk.subarray(from, end));
      const line = this.#take();
      if (line.trim() !== '') messages.push(parseQmp(line));
      from = end + 1;
    }
    // A copy, since the caller may reuse the memory; `slice` of a Buffer would be none.
    this.#add(Uint8Array.from(chunk.subarray(from)));
    return messages;
  }

  #add(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#longest) {
      throw new QmpProtocolError(`A QMP message is longer than ${this.#longest} bytes: is the other end QEMU?`);
    }
    if (part.length > 0) this.#parts.push(part);
  }

  #take(): string {
    const bytes = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    try {
      return this.#utf8.decode(bytes);
    } catch (cause) {
      throw new QmpProtocolError('A QMP message is not UTF-8: is the other end QEMU?', { cause });
    }
  }
}

/** One message. Throws QmpProtocolError. */
export function parseQmp(line: string): unknown {
  try {
    // The reviver costs far more than the parse, and only a run of 16 digits can be beyond 2^53.
    return /\d{16}/.test(line) ? JSON.parse(line, exactInteger) : JSON.parse(line);
  } catch (cause) {
    throw new QmpProtocolError(`A QMP message is not JSON (${JSON.stringify(line.slice(0, 80))}): is the other end QEMU?`, { cause });
  }
}

function exactInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  const exact = typeof value !== 'number' || Number.isSafeInteger(value);
  return !exact && context?.source !== undefined && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/** The bytes of one message, line feed included. bigints are written as the integers they are. */
export function encodeQmp(message: object): Uint8Array {
  const text = JSON.stringify(message, (_key, value: unknown) => (typeof value === 'bigint' ? JSON.rawJSON(value.toString()) : value));
  return Buffer.from(`${text}\n`);
}
