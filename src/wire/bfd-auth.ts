/**
 * The authentication sections of BFD control packets: RFC 5880 §4.2-§4.4, made and checked by §6.7.2-§6.7.4.
 *
 *   |   Auth Type   |   Auth Len    |  Auth Key ID  |  Password...  |   simple (type 1): 1 to 16 bytes of password
 *   |   Auth Type   |   Auth Len    |  Auth Key ID  |   Reserved    |   SHA-1 (type 4, meticulous 5): 28 bytes
 *   |                        Sequence Number                        |
 *   |                         Digest, 20 bytes                      |
 *
 * The digest is the hash of the whole packet with the key, padded with zeros, in the digest's place. MD5 (types 2 and 3) is known by
 * name alone: whoever can still choose takes SHA-1 (§4.3 has nothing that §4.4 has not), and FRR offers neither.
 */
import { type BfdDrop, drop } from './bfd-drop.ts';
import { sameBytes } from './same-bytes.ts';
import { EncodeError } from './wire.ts';

/** SHA-1 of the bytes, 20 of them: the pure rooms have no digest of their own. */
export type Sha1 = (bytes: Uint8Array) => Uint8Array;

/** What Godwit speaks. `sha1` and `meticulous-sha1` differ in what a receiver takes: a number again, or only the next ones. */
export type BfdAuthKind = 'simple' | 'sha1' | 'meticulous-sha1';

export interface BfdKey {
  /** 0..255 */
  readonly id: number;
  /** Simple: 1 to 16 bytes, in clear in every packet; SHA-1: 1 to 20. */
  readonly secret: Uint8Array;
}

export interface BfdAuthentication {
  readonly kind: BfdAuthKind;
  /** It sends with the first, and takes them all: so a key is changed without an outage. Not empty, no id twice. */
  readonly keys: readonly [BfdKey, ...BfdKey[]];
}

/** Of a session: bfd.RcvAuthSeq, or `undefined` where bfd.AuthSeqKnown is 0. */
export type LastSequence = number | undefined;

/** Auth Type (§4.1). */
const types = { simple: 1, sha1: 4, 'meticulous-sha1': 5 } as const;
const typeNames: Readonly<Record<number, string>> = {
  1: 'simple password', 2: 'keyed MD5', 3: 'meticulous keyed MD5', 4: 'keyed SHA-1', 5: 'meticulous keyed SHA-1',
};
const SHA1_SECTION = 28;
const DIGEST = 20;
const DIGEST_AT = 8;
const HEADER = 3;
const longestSecret = { simple: 16, sha1: DIGEST, 'meticulous-sha1': DIGEST } as const;

/** Bytes of the section. */
export const authLength = ({ kind, keys: [key] }: BfdAuthentication): number =>
  (kind === 'simple' ? HEADER + key.secret.length : SHA1_SECTION);

/** @throws EncodeError for keys that have no form on the wire */
export function checkAuthentication({ kind, keys }: BfdAuthentication): void {
  const longest = longestSecret[kind];
  const ids = new Set<number>();
  for (const { id, secret } of keys) {
    if (!Number.isInteger(id) || id < 0 || id > 0xff) throw new EncodeError(`BFD key: its id is ${id}; give a whole number in 0..255.`);
    if (ids.has(id)) throw new EncodeError(`BFD key ${id} is there twice. Give each key an id of its own.`);
    ids.add(id);
    if (secret.length < 1 || secret.length > longest) {
      throw new EncodeError(`BFD key ${id} has ${secret.length} bytes; ${typeNames[types[kind]]} takes 1 to ${longest}.`);
    }
  }
}

/** Fills the section, which is the end of `packet`; all before it is final. */
export function authenticate(packet: Uint8Array, authentication: BfdAuthentication, sequence: number, sha1: Sha1): void {
  const { kind, keys: [key] } = authentication;
  const section = packet.subarray(packet.length - authLength(authentication));
  section.set([types[kind], section.length, key.id]);
  if (kind === 'simple') {
    section.set(key.secret, HEADER);
    return;
  }
  new DataView(section.buffer, section.byteOffset).setUint32(4, sequence);
  section.set(key.secret, DIGEST_AT);
  section.set(sha1(packet), DIGEST_AT);
}

/**
 * §6.7.2, §6.7.4. The sequence number is judged before the digest, which costs more; it counts only with the digest.
 * @param packet up to the length that it says, its section at the end
 * @param at where the section begins
 * @param window how far ahead of the last one a sequence number may be: 3 × Detect Mult
 * @returns the sequence number, undefined for simple, which has none; or why not
 */
export function verify(
  packet: Uint8Array, at: number, { kind, keys }: BfdAuthentication, last: LastSequence, window: number, sha1: Sha1,
): number | undefined | BfdDrop {
  const section = packet.subarray(at);
  const [type = 0, length = 0, keyId = 0] = section;
  if (type !== types[kind]) return drop('auth-type', `${typeNames[type] ?? `type ${type}`}, wanted ${typeNames[types[kind]]}`);
  if (length !== section.length) return drop('auth-length', `${length} bytes of ${section.length}`);
  const key = keys.find(({ id }) => id === keyId);
  if (kind === 'simple') {
    if (length < HEADER + 1 || length > HEADER + longestSecret.simple) return drop('auth-length', `${length} bytes`);
    if (!key) return drop('auth-key-id', `key ${keyId}`);
    return sameBytes(section.subarray(HEADER), key.secret) ? undefined : drop('auth-digest', `password of key ${keyId}`);
  }
  if (length !== SHA1_SECTION) return drop('auth-length', `${length} bytes, wanted ${SHA1_SECTION}`);
  if (!key) return drop('auth-key-id', `key ${keyId}`);
  const sequence = new DataView(section.buffer, section.byteOffset).getUint32(4);
  if (last !== undefined) {
    const ahead = (sequence - last) >>> 0;
    if (ahead > window || (ahead === 0 && kind === 'meticulous-sha1')) return drop('auth-sequence', `${sequence} after ${last}`);
  }
  const keyed = packet.slice();
  keyed.fill(0, at + DIGEST_AT);
  keyed.set(key.secret, at + DIGEST_AT);
  return sameBytes(sha1(keyed), section.subarray(DIGEST_AT)) ? sequence : drop('auth-digest', `digest of key ${keyId}`);
}
