/** Units as branded numbers, so that a rate cannot be passed where a time is wanted. */

declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]: Name };

/** A span or an instant of the monotonic clock, in milliseconds (fractions allowed). */
export type Milliseconds = Unit<'ms'>;
export type Bytes = Unit<'B'>;
export type BytesPerSecond = Unit<'B/s'>;

// The casts below are the only doors into the brands.
export const ms = (n: number): Milliseconds => n as Milliseconds;
export const seconds = (n: number): Milliseconds => (n * 1000) as Milliseconds;
export const bytes = (n: number): Bytes => n as Bytes;
export const kib = (n: number): Bytes => (n * 1024) as Bytes;
export const mib = (n: number): Bytes => (n * 1024 * 1024) as Bytes;
export const bytesPerSecond = (n: number): BytesPerSecond => n as BytesPerSecond;
