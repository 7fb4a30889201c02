/**
 * wire/: what travels, as values. Each file is one protocol or one kind of address: `decodeX` turns bytes into a value,
 * `encodeX` turns the value into bytes, and `decodeX(encodeX(x))` equals x. Nothing here does I/O or knows the time.
 *
 * Rules every codec keeps:
 * - bytes from the network may be anything, so a decoder throws DecodeError and nothing else;
 * - a value that does not fit its field throws EncodeError instead of being cut to size;
 * - addresses and numbers are copied out; a field of type Uint8Array (`payload`, `options`) is a view of the bytes handed
 *   in, and changes when they do: `slice()` it to keep it beyond the buffer's next use;
 * - an encoder returns fresh bytes that alias nothing.
 */
import { GodwitError } from '../base/error.ts';

/**
 * Why bytes (or an address's text) were refused:
 * - `WIRE_TRUNCATED`: ends before its own length says, or before the fixed part is complete;
 * - `WIRE_MALFORMED`: breaks a rule of the protocol;
 * - `WIRE_CHECKSUM`: damaged on the way;
 * - `WIRE_UNSUPPORTED`: well formed as far as read, but of a kind that Godwit does not speak.
 */
export type DecodeErrorCode = 'WIRE_TRUNCATED' | 'WIRE_MALFORMED' | 'WIRE_CHECKSUM' | 'WIRE_UNSUPPORTED';

/** What was received cannot be read. A receiver counts it by `code` and drops the packet. */
export class DecodeError extends GodwitError {
  declare readonly code: DecodeErrorCode;

  constructor(code: DecodeErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** A value has no form on the wire: a mistake of the caller, never of the peer. Code `WIRE_UNENCODABLE`. */
export class EncodeError extends GodwitError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('WIRE_UNENCODABLE', message, options);
  }
}
