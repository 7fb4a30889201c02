/** Why a STAMP packet is not acted on: what a receiver counts it by, with the section that says so. */

/** A row per reason, for people. A packet is judged in about this order, so one that breaks several rules counts for the first. */
export const stampDropReasons = {
  truncated: 'shorter than a TWAMP-Light probe, 14 bytes, or its answer, 41; authenticated than 112 (RFC 5357 §4.1.2, RFC 8762 §4.2)',
  hmac: 'the digest over its first 96 bytes does not fit: another key, or damaged (RFC 8762 §4.4)',
  timestamp: 'a PTPv2 timestamp of a thousand million nanoseconds or more (IEEE 1588-2008, RFC 8186 §2.3)',
  port: 'a probe from the reflector\'s own port: an answer to it would be reflected back for ever',
  peer: 'a probe from an address or of a session that this reflector has no part in (RFC 8972 §3)',
  full: 'the reflector has as many sessions as it may have',
  ssid: 'an answer of another session (RFC 8972 §3)',
  sequence: 'an answer to a probe that was not sent, or long ago',
  echo: 'an answer that does not repeat the time its probe was sent at: of an earlier session, or made up (RFC 8762 §4.3.1)',
} as const;

export type StampDropReason = keyof typeof stampDropReasons;

export interface StampDrop {
  readonly kind: 'drop';
  readonly reason: StampDropReason;
  /** What was found, in a few words: `13 bytes`. */
  readonly found: string;
}

export function drop(reason: StampDropReason, found: string): StampDrop {
  return { kind: 'drop', reason, found };
}
