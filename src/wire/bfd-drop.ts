/** Why a BFD packet is not acted on: what a receiver counts it by, with the section that says so. */

/**
 * A row per reason, for people, in the order in which a packet is judged, so that one that breaks several rules counts for the first.
 * A § without an RFC is RFC 5880's.
 */
export const bfdDropReasons = {
  truncated: 'ends within the fixed bytes, or before its own length says (§6.8.6)',
  version: 'of another BFD version than 1 (§6.8.6)',
  length: 'says a length that its fields cannot have (§6.8.6)',
  'detect-mult': 'detect multiplier 0 (§6.8.6)',
  multipoint: 'the multipoint bit, which means another protocol (§6.8.6)',
  'my-discriminator': 'its sender calls itself 0 (§6.8.6)',
  'your-discriminator': 'does not say whose it is, and is past the state where it may not know (§6.8.6)',
  'no-session': 'of a session that this host has no part in (§6.8.6)',
  port: 'came to the port of another kind of session: one hop 3784, several 4784 (RFC 5881 §4, RFC 5883 §5)',
  source: 'from another address than the session\'s peer (RFC 5881 §3, RFC 5883 §2)',
  interface: 'came in by another interface than the session\'s (RFC 5881 §3)',
  ttl: 'came from further away than the session allows; over one hop TTL or hop limit 255 alone (RFC 5881 §5)',
  'auth-unexpected': 'authenticated, and the session is not (§6.8.6)',
  'auth-missing': 'not authenticated, and the session is (§6.8.6)',
  'auth-type': 'authenticated in another way than the session (§6.7.2-4)',
  'auth-length': 'an authentication section of an impossible length (§6.7.2-4)',
  'auth-key-id': 'a key that the session does not have (§6.7.2-4)',
  'auth-sequence': 'a sequence number that was used, or is too far ahead (§6.7.3-4)',
  'auth-digest': 'the password or the digest does not fit: another key, or changed on the way (§6.7.2-4)',
  'echo-form': 'no echo packet of this host\'s making: damaged, of another program, or of an earlier run (§6.8.8)',
  'echo-digest': 'an echo packet that this host did not make: its tag does not fit (§9)',
  'echo-sequence': 'an echo packet that came back before, or was never sent (§9)',
} as const;

export type BfdDropReason = keyof typeof bfdDropReasons;

export interface BfdDrop {
  readonly kind: 'drop';
  readonly reason: BfdDropReason;
  /** What was found, in a few words: `TTL 64, wanted 255`. */
  readonly found: string;
}

export const drop = (reason: BfdDropReason, found: string): BfdDrop => ({ kind: 'drop', reason, found });
