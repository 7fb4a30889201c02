/**
 * What follows the base of a STAMP packet (RFC 8972 §4): a list of TLVs, each `flags, type, length (16 bits), value`.
 *
 *     flags: U not understood, M malformed, I integrity failed, then 5 reserved bits
 *
 * A sender sets U, so that a TLV comes back without it only if the reflector understood it; a first TLV without U is therefore none at
 * all, but a TWAMP-Light peer's padding. The list may carry a digest of its own (§4.8): over the packet's sequence number and all TLVs
 * before it; only padding may follow it.
 */
import { ByteWriter, checkField } from './cursor.ts';
import { sameBytes } from './same-bytes.ts';
import { EncodeError } from './wire.ts';

/** HMAC-SHA-256 under the session's key; the first 16 bytes are used (RFC 8762 §4.4). */
export type StampDigest = (text: Uint8Array) => Uint8Array;

/** RFC 8972 §5.1. Those that are not here come back with U set. */
const TYPE = { padding: 1, 'timestamp-information': 3, 'class-of-service': 4, hmac: 8 } as const;

/** §4.4: how the IP header was marked, at each of its three stations. All in 0..63, ECN in 0..3. */
export interface ClassOfService {
  readonly type: 'class-of-service';
  /** DSCP1: what the answer is to be sent with. */
  readonly wanted: number;
  /** DSCP2: what the probe arrived with; 0 in a probe. */
  readonly received: number;
  /** What the probe arrived with; 0 in a probe. */
  readonly ecn: number;
  /** RP: the reflector does not permit `wanted`, and answered with `received`. */
  readonly refused: boolean;
}

/** §4.3. In a probe all are undefined. */
export interface TimestampInformation {
  readonly type: 'timestamp-information';
  readonly sourceIn: SyncSource | undefined;
  readonly methodIn: TimestampMethod | undefined;
  readonly sourceOut: SyncSource | undefined;
  readonly methodOut: TimestampMethod | undefined;
}

/** §5.4 and §5.5, by their numbers. */
const SYNC_SOURCES = [undefined, 'ntp', 'ptp', 'ssu-bits', 'satellite', 'local'] as const;
const METHODS = [undefined, 'hardware', 'software', 'control-plane'] as const;
export type SyncSource = NonNullable<(typeof SYNC_SOURCES)[number]>;
export type TimestampMethod = NonNullable<(typeof METHODS)[number]>;

/** What a probe may carry; `padding` makes the packet larger, `length` bytes and 4 of header. */
export type StampTlv = ClassOfService | TimestampInformation | { readonly type: 'padding'; readonly length: number };

/** The list as it came back. */
export interface StampTlvs {
  /** Those that were understood, at both ends. */
  readonly tlvs: readonly StampTlv[];
  /** Types that the reflector, or this host, does not know. */
  readonly unknown: readonly number[];
  /** One of them was broken: it and what follows was not read. */
  readonly malformed: boolean;
  /** Nothing in it may be believed: one end found that its digest does not fit. */
  readonly forged: boolean;
}

/** What a reflector knows of a probe that it answers. */
export interface ReflectFacts {
  /** The probe's number, which its digest covers, and the answer's. */
  readonly sequence: number;
  readonly answerSequence: number;
  /** As received. */
  readonly dscp: number;
  readonly ecn: number;
  /** What answers may be sent with (§4.4). */
  readonly permits: (dscp: number) => boolean;
  readonly source: SyncSource;
  readonly methodIn: TimestampMethod;
  readonly methodOut: TimestampMethod;
}

export interface ReflectedTlvs {
  /** As long as what was received. */
  readonly extension: Uint8Array;
  /** What the answer is to be sent with. */
  readonly dscp: number;
}

const what = 'STAMP TLV';
const HEADER = 4;
const DIGEST = 16;
const FLAG = { unrecognized: 0x80, malformed: 0x40, integrity: 0x20 } as const;
const FIELDS = 4;
const LENGTHS: Readonly<Record<number, number>> = {
  [TYPE['timestamp-information']]: FIELDS, [TYPE['class-of-service']]: FIELDS, [TYPE.hmac]: DIGEST,
};

/** One TLV of a list, where it lies. `end` is undefined where it is malformed: too long for its type, or for the packet. */
interface Found {
  readonly at: number;
  readonly flags: number;
  readonly type: number | undefined;
  readonly value: Uint8Array;
  readonly end: number | undefined;
}

/** Whether the bytes behind the base of a probe are TLVs; otherwise they are padding. */
export const isTlvList = (extension: Uint8Array): boolean => ((extension[0] ?? 0) & FLAG.unrecognized) !== 0;

/** The TLVs up to the first malformed one, which is the last. */
function walk(extension: Uint8Array): readonly Found[] {
  if (extension.length === 0) return NONE;
  const found: Found[] = [];
  for (let at = 0; at < extension.length;) {
    const flags = extension[at] ?? 0;
    if (extension.length - at < HEADER) {
      found.push({ at, flags, type: extension[at + 1], value: extension.subarray(extension.length), end: undefined });
      return found;
    }
    const type = extension[at + 1] ?? 0;
    const length = (extension[at + 2] ?? 0) << 8 | (extension[at + 3] ?? 0);
    const end = at + HEADER + length;
    const fits = end <= extension.length && (LENGTHS[type] ?? length) === length;
    found.push({ at, flags, type, value: extension.subarray(at + HEADER, Math.min(end, extension.length)), end: fits ? end : undefined });
    if (!fits) return found;
    at = end;
  }
  return found;
}

const NONE: readonly Found[] = [];

/**
 * A probe's list: padding last, and the digest before it if there is one.
 * @throws EncodeError when a value does not fit its field
 */
export function encodeTlvs(tlvs: readonly StampTlv[], sequence: number, digest?: StampDigest): Uint8Array {
  const padding = tlvs.filter((tlv) => tlv.type === 'padding');
  const others = tlvs.filter((tlv) => tlv.type !== 'padding');
  // §4.8: padding alone needs no digest.
  const digested = digest !== undefined && others.length > 0;
  const before = others.length * (HEADER + FIELDS);
  const size = before + (digested ? HEADER + DIGEST : 0) + padding.reduce((sum, { length }) => sum + HEADER + length, 0);
  const writer = new ByteWriter(what, size);
  for (const tlv of others) {
    header(writer, tlv.type, FIELDS);
    if (tlv.type === 'class-of-service') {
      const { wanted, received, ecn, refused } = tlv;
      const marks = field('wanted', wanted, 63) << 10 | field('received', received, 63) << 4;
      writer.u16('class of service', marks | field('ecn', ecn, 3) << 2 | Number(refused));
      writer.u16('reserved', 0);
    } else {
      writer.u8('source in', SYNC_SOURCES.indexOf(tlv.sourceIn));
      writer.u8('method in', METHODS.indexOf(tlv.methodIn));
      writer.u8('source out', SYNC_SOURCES.indexOf(tlv.sourceOut));
      writer.u8('method out', METHODS.indexOf(tlv.methodOut));
    }
  }
  if (digested) {
    header(writer, 'hmac', DIGEST);
    writer.bytes(digestOf(digest, sequence, writer.finish().subarray(0, before)));
  }
  for (const { length } of padding) {
    header(writer, 'padding', length);
    writer.bytes(new Uint8Array(length));
  }
  return writer.finish();
}

const field = (name: string, value: number, max: number): number => checkField(what, name, value, max);

function header(writer: ByteWriter, type: keyof typeof TYPE, length: number): void {
  writer.u8('flags', FLAG.unrecognized);
  writer.u8('type', TYPE[type]);
  writer.u16('length', length);
}

/** @throws EncodeError when the digest function gives less than 16 bytes */
export function digestOf(digest: StampDigest, sequence: number, tlvs: Uint8Array): Uint8Array {
  const text = new Uint8Array(4 + tlvs.length);
  new DataView(text.buffer).setUint32(0, sequence);
  text.set(tlvs, 4);
  return truncated(digest(text));
}

/** @throws EncodeError when the digest function gives less than 16 bytes */
export function truncated(digest: Uint8Array): Uint8Array {
  if (digest.length < DIGEST) throw new EncodeError(`STAMP digest: ${digest.length} bytes. Give HMAC-SHA-256.`);
  return digest.subarray(0, DIGEST);
}

/**
 * Whether the list's digest fits: `false` also when it stands elsewhere than before the padding, when nobody has a key for it, and when
 * `demanded` and missing (§4.8). undefined: there is none.
 */
function integrity(
  found: readonly Found[], extension: Uint8Array, sequence: number, digest: StampDigest | undefined, demanded: boolean,
): boolean | undefined {
  let good: boolean | undefined;
  let onlyPadding = true;
  for (const { at, type, value, end } of found) {
    if (end === undefined) continue;
    if (good !== undefined && type !== TYPE.padding) return false;
    if (type === TYPE.hmac) good = digest !== undefined && sameBytes(value, digestOf(digest, sequence, extension.subarray(0, at)));
    onlyPadding &&= type === TYPE.padding;
  }
  return good ?? (demanded && !(found.length === 1 && onlyPadding) ? false : undefined);
}

/** What a reflector answers with: the same list, with its flags as they are to be, and the fields filled in that are its own. */
export function reflectTlvs(
  extension: Uint8Array, facts: ReflectFacts, digest: StampDigest | undefined, authenticated: boolean,
): ReflectedTlvs {
  const out = extension.slice();
  let { dscp } = facts;
  if (!isTlvList(extension)) return { extension: out, dscp };
  const found = walk(extension);
  if (integrity(found, extension, facts.sequence, digest, authenticated) === false) {
    for (const { at } of found) out[at] = FLAG.integrity;
    return { extension: out, dscp };
  }
  // Nothing of a list with a malformed TLV is acted on but what stands before that one.
  for (const { at, type, value, end } of found) {
    if (end === undefined) {
      out[at] = FLAG.malformed;
      break;
    }
    out[at] = 0;
    // Written to by its index: a view would cost more than all else here.
    const own = at + HEADER;
    if (type === TYPE['class-of-service']) {
      const wanted = (value[0] ?? 0) >> 2;
      const refused = !facts.permits(wanted);
      if (!refused) dscp = wanted;
      out[own] = wanted << 2 | facts.dscp >> 4;
      out[own + 1] = (facts.dscp & 0xf) << 4 | facts.ecn << 2 | Number(refused);
      out[own + 2] = out[own + 3] = 0;
    } else if (type === TYPE['timestamp-information']) {
      const source = SYNC_SOURCES.indexOf(facts.source);
      out.set([source, METHODS.indexOf(facts.methodIn), source, METHODS.indexOf(facts.methodOut)], own);
    } else if (type === TYPE.hmac && digest) {
      out.set(digestOf(digest, facts.answerSequence, out.subarray(0, at)), own);
    } else if (type !== TYPE.padding) {
      out[at] = FLAG.unrecognized;
    }
  }
  return { extension: out, dscp };
}

/** A list that came back. @param sequence the answer's, which its digest covers */
export function decodeTlvs(extension: Uint8Array, sequence: number, digest: StampDigest | undefined, authenticated: boolean): StampTlvs {
  const tlvs: StampTlv[] = [];
  const unknown: number[] = [];
  const found = walk(extension);
  const refused = found.some(({ flags }) => (flags & FLAG.integrity) !== 0);
  const forged = refused || integrity(found, extension, sequence, digest, authenticated) === false;
  if (forged) return { tlvs, unknown, malformed: false, forged };
  for (const { flags, type, value, end } of found) {
    if (end === undefined || (flags & FLAG.malformed) !== 0) return { tlvs, unknown, malformed: true, forged };
    if ((flags & FLAG.unrecognized) !== 0) unknown.push(type ?? 0);
    else if (type === TYPE.padding) tlvs.push({ type: 'padding', length: value.length });
    else if (type === TYPE['class-of-service']) {
      const bits = (value[0] ?? 0) << 8 | (value[1] ?? 0);
      tlvs.push({ type: 'class-of-service', wanted: bits >> 10, received: bits >> 4 & 63, ecn: bits >> 2 & 3, refused: (bits & 3) !== 0 });
    } else if (type === TYPE['timestamp-information']) {
      const [sourceIn = 0, methodIn = 0, sourceOut = 0, methodOut = 0] = value;
      tlvs.push({
        type: 'timestamp-information', sourceIn: SYNC_SOURCES[sourceIn], methodIn: METHODS[methodIn],
        sourceOut: SYNC_SOURCES[sourceOut], methodOut: METHODS[methodOut],
      });
    } else if (type !== TYPE.hmac) unknown.push(type ?? 0);
  }
  return { tlvs, unknown, malformed: false, forged };
}
