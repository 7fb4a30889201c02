/**
 * What lets a new host in, once: `gwt1.<id>.<secret>.<sha256 of the CA's certificate>`, the last two base64url of 32 bytes.
 *
 * The server keeps the id and a hash of the secret; the hash of the CA lets the host know the server before it shows the secret
 * (as `kubeadm join --discovery-token-ca-cert-hash` does).
 */
import { X509Certificate, createHash, timingSafeEqual } from 'node:crypto';
import { TrustError } from './trust-error.ts';

export interface JoinTokenParts {
  readonly id: string;
  readonly secret: string;
  readonly caHash: string;
}

const TOKEN = /^gwt1\.([A-Za-z0-9_-]{4,64})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** `random` gives that many bytes that nobody can guess; `caHash` is of the CA's certificate (see `caHash`). */
export function makeJoinToken(random: (length: number) => Uint8Array, caHash: string): JoinTokenParts {
  return { id: Buffer.from(random(8)).toString('hex'), secret: Buffer.from(random(32)).toString('base64url'), caHash };
}

export const formatJoinToken = ({ id, secret, caHash }: JoinTokenParts): string => `gwt1.${id}.${secret}.${caHash}`;

/** Throws TrustError `TRUST_TOKEN_MALFORMED`; its text never repeats the token. */
export function parseJoinToken(text: string): JoinTokenParts {
  const [, id, secret, caHash] = TOKEN.exec(text.trim()) ?? [];
  if (id === undefined || secret === undefined || caHash === undefined) {
    throw new TrustError(
      'TRUST_TOKEN_MALFORMED', 'That is no join token (gwt1.… in four parts): copy all of what `godwit token create` printed',
    );
  }
  return { id, secret, caHash };
}

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('base64url');

/** What the server keeps of a secret. The secret has 256 bits of entropy: a plain hash cannot be reversed by trying. */
export const hashSecret = (secret: string): string => sha256(secret);

/** In constant time. */
export function secretMatches(secret: string, hash: string): boolean {
  const [a, b] = [Buffer.from(hashSecret(secret)), Buffer.from(hash)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Of a certificate in PEM. */
export const caHash = (certificate: string): string => sha256(new X509Certificate(certificate).raw);

/** Throws TrustError `TRUST_CA_MISMATCH`. */
export function checkCa(token: JoinTokenParts, certificate: string): void {
  if (caHash(certificate) !== token.caHash) {
    throw new TrustError(
      'TRUST_CA_MISMATCH',
      'The server that answers is not of the cluster that made this token. Nothing was told to it: check the address and the token',
    );
  }
}
