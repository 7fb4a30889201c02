/**
 * STAMP test packets (RFC 8762 §4, with the session identifier of RFC 8972 §3): a probe, and the answer that a reflector makes of it.
 * The UDP payload alone. What follows the base, TLVs or padding, is `extension`: stamp-tlv.ts.
 *
 *   open, 44 bytes                             authenticated, 112 bytes
 *   probe             answer                   probe               answer
 *    0 Sequence        0 Sequence               0 Sequence          0 Sequence
 *    4 Timestamp       4 Timestamp             16 Timestamp        16 Timestamp
 *   12 Error Estimate 12 Error Estimate        24 Error Estimate   24 Error Estimate
 *   14 SSID           14 SSID                  26 SSID             26 SSID
 *   16 zeros          16 Receive Timestamp     28 zeros            32 Receive Timestamp
 *                     24 probe's Sequence                          48 probe's Sequence
 *                     28 probe's Timestamp                         64 probe's Timestamp
 *                     36 probe's Error Estimate                    72 probe's Error Estimate
 *                     40 probe's TTL, zeros    96 HMAC             80 probe's TTL; 96 HMAC
 *
 * TWAMP-Light (RFC 5357 Appendix I) has the open layout without the zeros: probes from 14 bytes, answers from 41 (RFC 8762 §4.6).
 * Zeros are not looked at (§4.2.1). A § without an RFC is RFC 8762's.
 */
import { checkField } from './cursor.ts';
import { sameBytes } from './same-bytes.ts';
import { type StampDrop, drop } from './stamp-drop.ts';
import { type ClockError, type StampTimestamp, type TimestampFormat, timestampFromBits } from './stamp-time.ts';
import { type StampDigest, truncated } from './stamp-tlv.ts';
import { EncodeError } from './wire.ts';

/** §4.1: where reflectors listen. */
export const STAMP_PORT = 862;

export interface StampProbe {
  /** From 0, up by one with each probe of a session; 32 bits. */
  readonly sequence: number;
  /** When it left. */
  readonly timestamp: StampTimestamp;
  readonly clock: ClockError;
  /** 0: none. */
  readonly ssid: number;
}

export interface StampAnswer {
  /** A stateful reflector's own count of its answers, from 0; a stateless one repeats the probe's (§4.3.1). */
  readonly sequence: number;
  /** When it left the reflector: of the same format as `received`. */
  readonly timestamp: StampTimestamp;
  readonly clock: ClockError;
  readonly ssid: number;
  /** When the probe reached the reflector. */
  readonly received: StampTimestamp;
  /** The probe's, as the reflector read them. */
  readonly probe: Omit<StampProbe, 'ssid'>;
  /** TTL or hop limit of the probe at the reflector. */
  readonly probeTtl: number;
}

export interface DecodedProbe {
  readonly kind: 'probe';
  readonly probe: StampProbe;
  /** What follows the base, as a view. */
  readonly extension: Uint8Array;
}

export interface DecodedAnswer {
  readonly kind: 'answer';
  readonly answer: StampAnswer;
  /** What follows the base, as a view. */
  readonly extension: Uint8Array;
}

/** Where each field lies; `least`: the shortest that has all of them. */
interface Layout {
  readonly size: number;
  readonly least: { readonly probe: number; readonly answer: number };
  readonly timestamp: number;
  readonly received: number;
  readonly probe: number;
  readonly probeTimestamp: number;
  readonly ttl: number;
}

const openLayout: Layout = {
  size: 44, least: { probe: 14, answer: 41 }, timestamp: 4, received: 16, probe: 24, probeTimestamp: 28, ttl: 40,
};
const authenticated: Layout = {
  size: 112, least: { probe: 112, answer: 112 }, timestamp: 16, received: 32, probe: 48, probeTimestamp: 64, ttl: 80,
};
/** §4.4: what the HMAC covers, and where it lies. */
const HMAC_AT = 96;
const TIMESTAMP = 8;

/** Of the base: 44 bytes, or 112 authenticated. */
export const stampBase = (digest?: StampDigest): number => layoutOf(digest).size;
const layoutOf = (digest: StampDigest | undefined): Layout => (digest ? authenticated : openLayout);

/** Never throws, whatever the bytes. @param digest given: the session is authenticated */
export function decodeStampProbe(payload: Uint8Array, digest?: StampDigest): DecodedProbe | StampDrop {
  const layout = layoutOf(digest);
  const fault = faultOf(payload, layout.least.probe, digest);
  if (fault) return fault;
  const view = viewOf(payload);
  const sequence = view.getUint32(0);
  const stamped = stampedAt(view, layout.timestamp);
  if (!stamped.timestamp) return drop('timestamp', 'the probe\'s');
  const { timestamp, clock } = stamped;
  // A TWAMP-Light probe may have its padding here.
  const ssid = payload.length < layout.size ? 0 : view.getUint16(layout.timestamp + TIMESTAMP + 2);
  return { kind: 'probe', probe: { sequence, timestamp, clock, ssid }, extension: payload.subarray(layout.size) };
}

/** Never throws, whatever the bytes. @param digest given: the session is authenticated */
export function decodeStampAnswer(payload: Uint8Array, digest?: StampDigest): DecodedAnswer | StampDrop {
  const layout = layoutOf(digest);
  const fault = faultOf(payload, layout.least.answer, digest);
  if (fault) return fault;
  const view = viewOf(payload);
  const { timestamp, clock } = stampedAt(view, layout.timestamp);
  const received = timestamp && timestampFromBits(view.getBigUint64(layout.received), timestamp.format);
  const probe = stampedAt(view, layout.probeTimestamp);
  if (!timestamp || !received) return drop('timestamp', 'the answer\'s');
  if (!probe.timestamp) return drop('timestamp', 'the probe\'s');
  return {
    kind: 'answer',
    answer: {
      sequence: view.getUint32(0), timestamp, clock, ssid: view.getUint16(layout.timestamp + TIMESTAMP + 2), received,
      probe: { sequence: view.getUint32(layout.probe), timestamp: probe.timestamp, clock: probe.clock },
      probeTtl: view.getUint8(layout.ttl),
    },
    extension: payload.subarray(layout.size),
  };
}

/** @param extension what goes behind the base @throws EncodeError when a field is out of its range */
export function encodeStampProbe(probe: StampProbe, extension: Uint8Array = new Uint8Array(), digest?: StampDigest): Uint8Array {
  const layout = layoutOf(digest);
  const out = new Uint8Array(layout.size + extension.length);
  out.set(extension, layout.size);
  const view = viewOf(out);
  view.setUint32(0, checkField('STAMP probe', 'sequence', probe.sequence, 0xffff_ffff));
  stamp(view, layout.timestamp, probe.timestamp, probe.clock);
  view.setUint16(layout.timestamp + TIMESTAMP + 2, checkField('STAMP probe', 'ssid', probe.ssid, 0xffff));
  return sealed(out, digest);
}

/**
 * Makes an open probe that was encoded before the next one of its session: another number, another time, the same clock error and the same
 * extension. @param view of all of it
 */
export function renumberStampProbe(view: DataView, sequence: number, { bits }: StampTimestamp): void {
  view.setUint32(0, sequence);
  view.setBigUint64(openLayout.timestamp, bits);
}

/**
 * @param extension what goes behind the base: as long as the probe's (§4.3)
 * @param out where it is written, and what is returned; all of it is: base and extension long
 * @throws EncodeError when a field is out of its range
 */
export function encodeStampAnswer(
  answer: StampAnswer, extension: Uint8Array = new Uint8Array(), digest?: StampDigest,
  out: Uint8Array = new Uint8Array(layoutOf(digest).size + extension.length),
): Uint8Array {
  const layout = layoutOf(digest);
  const { probe } = answer;
  out.fill(0, 0, layout.size).set(extension, layout.size);
  const view = viewOf(out);
  view.setUint32(0, checkField('STAMP answer', 'sequence', answer.sequence, 0xffff_ffff));
  if (answer.received.format !== answer.timestamp.format) {
    throw new EncodeError('STAMP answer: received and timestamp are of different formats. One error estimate says the format of both.');
  }
  stamp(view, layout.timestamp, answer.timestamp, answer.clock);
  view.setUint16(layout.timestamp + TIMESTAMP + 2, checkField('STAMP answer', 'ssid', answer.ssid, 0xffff));
  view.setBigUint64(layout.received, answer.received.bits);
  view.setUint32(layout.probe, checkField('STAMP answer', 'probe.sequence', probe.sequence, 0xffff_ffff));
  stamp(view, layout.probeTimestamp, probe.timestamp, probe.clock);
  view.setUint8(layout.ttl, checkField('STAMP answer', 'probeTtl', answer.probeTtl, 0xff));
  return sealed(out, digest);
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function faultOf(payload: Uint8Array, least: number, digest: StampDigest | undefined): StampDrop | undefined {
  if (payload.length < least) return drop('truncated', `${payload.length} bytes`);
  if (!digest) return undefined;
  const good = sameBytes(payload.subarray(HMAC_AT, authenticated.size), truncated(digest(payload.subarray(0, HMAC_AT))));
  return good ? undefined : drop('hmac', 'the digest does not fit');
}

interface Stamped {
  readonly timestamp: StampTimestamp | undefined;
  readonly clock: ClockError;
}

/** A timestamp and the error estimate behind it, whose Z says its format (RFC 8186 §2.3). */
function stampedAt(view: DataView, at: number): Stamped {
  const estimate = view.getUint16(at + TIMESTAMP);
  const format: TimestampFormat = (estimate & 0x4000) === 0 ? 'ntp' : 'ptp';
  return {
    timestamp: timestampFromBits(view.getBigUint64(at), format),
    clock: { synchronized: (estimate & 0x8000) !== 0, scale: estimate >> 8 & 63, multiplier: estimate & 0xff },
  };
}

function stamp(view: DataView, at: number, { format, bits }: StampTimestamp, { synchronized, scale, multiplier }: ClockError): void {
  view.setBigUint64(at, bits);
  const high = Number(synchronized) << 7 | Number(format === 'ptp') << 6 | checkField('STAMP error estimate', 'scale', scale, 63);
  view.setUint16(at + TIMESTAMP, high << 8 | checkField('STAMP error estimate', 'multiplier', multiplier, 0xff));
}

function sealed(out: Uint8Array, digest: StampDigest | undefined): Uint8Array {
  if (digest) out.set(truncated(digest(out.subarray(0, HMAC_AT))), HMAC_AT);
  return out;
}
