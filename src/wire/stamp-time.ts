/**
 * The two timestamps of STAMP, to the bit, and how good a clock says it is.
 *
 * - NTP (RFC 5905 §6): seconds since 1900 and a fraction of 2^-32 s, 32 bits each. It begins anew in 2036.
 * - PTPv2, truncated (IEEE 1588-2008, RFC 8186 §2.3): the lower 32 bits of the seconds since 1970, and nanoseconds. It begins anew
 *   in 2106. PTP itself counts TAI, some whole seconds ahead of UTC; here it is UTC, as software clocks have it, and a peer that really
 *   sends TAI shows as a clock that is off by as much.
 *
 * Both name an instant only together with one that is known to be near, `near`: within 68 years.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { checkField } from './cursor.ts';
import { EncodeError } from './wire.ts';

declare const unit: unique symbol;
/** Nanoseconds since 1970, without leap seconds: CLOCK_REALTIME. */
export type UnixNanoseconds = bigint & { readonly [unit]: 'ns since 1970' };
export type NtpTimestamp = bigint & { readonly [unit]: 'NTP' };
export type PtpTimestamp = bigint & { readonly [unit]: 'PTPv2, truncated' };

export type StampTimestamp =
  | { readonly format: 'ntp'; readonly bits: NtpTimestamp }
  | { readonly format: 'ptp'; readonly bits: PtpTimestamp };
export type TimestampFormat = StampTimestamp['format'];

/** RFC 4656 §4.1.2: at most `multiplier` × 2^(`scale` - 32) s off. */
export interface ClockError {
  /** The clock is set by something outside, to UTC. */
  readonly synchronized: boolean;
  /** 0..63. */
  readonly scale: number;
  /** 1..255; 0 where the peer does not say. */
  readonly multiplier: number;
}

const SECOND = 1_000_000_000n;
/** From 1900 to 1970. */
const NTP_EPOCH = 2_208_988_800n;
const WORD = 1n << 32n;
const LOW = WORD - 1n;
const NTP_EPOCH_NS = NTP_EPOCH * SECOND;
/** After it a timestamp begins anew. */
const ERA = WORD * SECOND;
const HALF_ERA = ERA / 2n;

// The casts below are the only doors into the brands.
export const unixNanoseconds = (n: bigint): UnixNanoseconds => n as UnixNanoseconds;
const ntp = (bits: bigint): NtpTimestamp => bits as NtpTimestamp;
const ptp = (bits: bigint): PtpTimestamp => bits as PtpTimestamp;

/** The instant in that format; of NTP the nearest there is, so that `unixOf` gives the same nanosecond again. */
export function timestampOf(instant: UnixNanoseconds, format: TimestampFormat): StampTimestamp {
  if (format === 'ptp') {
    const nanoseconds = ((instant % SECOND) + SECOND) % SECOND;
    const seconds = (instant - nanoseconds) / SECOND;
    return { format, bits: ptp(BigInt.asUintN(32, seconds) << 32n | nanoseconds) };
  }
  // In one go, since each step makes a bigint: units of 2^-32 s, rounded. What is before 1900 is moved by eras, which does not show.
  let since = instant + NTP_EPOCH_NS;
  if (since < 0n) since += (-since / ERA + 1n) * ERA;
  return { format, bits: ntp(BigInt.asUintN(64, ((since << 32n) + SECOND / 2n) / SECOND)) };
}

/** The instant that is meant, of all that look alike the one nearest to `near`; rounded to a nanosecond. */
export function unixOf({ format, bits }: StampTimestamp, near: UnixNanoseconds): UnixNanoseconds {
  const instant = format === 'ntp' ? ((bits * SECOND + WORD / 2n) >> 32n) - NTP_EPOCH_NS : (bits >> 32n) * SECOND + (bits & LOW);
  const away = near - instant;
  if (away < HALF_ERA && away > -HALF_ERA) return unixNanoseconds(instant);
  // Rounded to the nearest era; >> would do for a power of two alone.
  const eras = (away >= 0n ? away + HALF_ERA : away - HALF_ERA) / ERA;
  return unixNanoseconds(instant + eras * ERA);
}

/** The bits as read; undefined: no PTPv2 timestamp has as many nanoseconds. */
export function timestampFromBits(bits: bigint, format: TimestampFormat): StampTimestamp | undefined {
  if (format === 'ntp') return { format, bits: ntp(bits) };
  return (bits & LOW) < SECOND ? { format, bits: ptp(bits) } : undefined;
}

/** From `from` to `to`, exact to a nanosecond as long as they are less than 100 days apart. */
export const between = (from: UnixNanoseconds, to: UnixNanoseconds): Milliseconds => ms(Number(to - from) / 1e6);

/** The smallest that says at least `error`. @throws EncodeError when `error` is negative or more than some 17 000 years */
export function clockError(synchronized: boolean, error: Milliseconds): ClockError {
  if (!(error >= 0)) throw new EncodeError(`STAMP error estimate: ${error} ms; give 0 or more.`);
  let units = Math.max(1, Math.ceil(error / 1000 * 2 ** 32));
  let scale = 0;
  while (units > 0xff) {
    units = Math.ceil(units / 2);
    scale++;
  }
  return { synchronized, scale: checkField('STAMP error estimate', 'scale', scale, 63), multiplier: units };
}

/** undefined: the peer does not say. */
export const errorOf = ({ scale, multiplier }: ClockError): Milliseconds | undefined =>
  (multiplier === 0 ? undefined : ms(multiplier * 2 ** (scale - 32) * 1000));
