/**
 * A message of Godwit's own that finds out which sizes pass between two hosts: padded to the length to be tried, as payload of a
 * UDP datagram or of an Ethernet frame (EtherType.localExperimental1). Over UDP it is answered, by one without padding.
 */
import { ByteReader, ByteWriter } from './cursor.ts';
import { DecodeError, EncodeError } from './wire.ts';

export interface PathProbe {
  readonly kind: 'probe' | 'answer';
  /** Chosen by who asks, at random; 0..0xffff_ffff. */
  readonly nonce: number;
  /** Bytes of the probe with its padding, shortestProbe..0xffff; an answer tells that of the probe that came. */
  readonly length: number;
}

/** Bytes of a probe without padding, and of an answer. */
export const shortestProbe = 12;

const what = 'Path probe';
/** `GdwP`; whatever else uses the port or the EtherType is told apart by it. */
const magic = 0x4764_7750;
const kinds = { probe: 1, answer: 2 } as const;

/**
 * Bytes after the probe's length (Ethernet's own padding) are ignored.
 * @throws DecodeError `WIRE_UNSUPPORTED` for what is no path probe, `WIRE_MALFORMED`, or `WIRE_TRUNCATED`, also for a probe that
 *   lost some of its padding
 */
export function decodePathProbe(bytes: Uint8Array): PathProbe {
  const reader = new ByteReader(what, bytes);
  const first = reader.u32();
  if (first !== magic) throw new DecodeError('WIRE_UNSUPPORTED', `${what} begins with 0x${first.toString(16)}, so it is none. Drop it.`);
  const kind = reader.u16();
  if (kind !== kinds.probe && kind !== kinds.answer) {
    throw new DecodeError('WIRE_UNSUPPORTED', `${what} is of kind ${kind}, neither a probe nor an answer. Drop it.`);
  }
  const length = reader.u16();
  const nonce = reader.u32();
  if (length < shortestProbe) throw new DecodeError('WIRE_MALFORMED', `${what} says it has ${length} bytes. Drop it.`);
  if (kind === kinds.answer) return { kind: 'answer', nonce, length };
  reader.take(length - shortestProbe);
  return { kind: 'probe', nonce, length };
}

/** @throws EncodeError when `length` or `nonce` is out of its range */
export function encodePathProbe(probe: PathProbe): Uint8Array {
  const { kind, nonce, length } = probe;
  if (!(length >= shortestProbe)) throw new EncodeError(`${what}: length is ${length}; give at least ${shortestProbe}.`);
  const writer = new ByteWriter(what, kind === 'probe' && length <= 0xffff ? length : shortestProbe);
  writer.u32('magic', magic);
  writer.u16('kind', kinds[kind]);
  writer.u16('length', length);
  writer.u32('nonce', nonce);
  return writer.finish();
}
