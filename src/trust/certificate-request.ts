/** PKCS #10 (RFC 2986): a host makes its own key, and asks for a certificate with a request that proves it has it. */
import 'reflect-metadata';
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import { TrustError } from './trust-error.ts';

/** ECDSA on P-256 with SHA-256, everywhere. */
export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new key pair; extractable, since it is kept in a file. */
export const makeKeyPair = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

/** PKCS #8 in PEM. */
export async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** Both halves of a private key in PEM. */
export async function importKeyPair(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const pkcs8 = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(pem).export({ format: 'der', type: 'spki' });
  return {
    privateKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
  };
}

export interface CertificateRequest {
  /** PKCS #8 PEM. It never leaves the host. */
  readonly key: string;
  /** PEM. */
  readonly request: string;
}

/** With a new key, or for the renewal of a certificate with the one it has. What it is for says who signs it. */
export async function makeCertificateRequest(key?: string): Promise<CertificateRequest> {
  const keys = key === undefined ? await makeKeyPair() : await importKeyPair(key);
  const request = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: ALGORITHM }, webcrypto);
  return { key: key ?? (await exportKey(keys.privateKey)), request: request.toString('pem') };
}

/** The public key of a request. Throws TrustError `TRUST_REQUEST_INVALID`: not P-256, or not signed by its own key. */
export async function readCertificateRequest(pem: string): Promise<webcrypto.CryptoKey> {
  try {
    const request = new Pkcs10CertificateRequest(pem);
    const key = await request.publicKey.export(ALGORITHM, ['verify'], webcrypto);
    if (await request.verify(webcrypto)) return key;
  } catch (cause) {
    throw new TrustError(
      'TRUST_REQUEST_INVALID', 'That is no certificate request of a P-256 key: make one as `godwit agent join` does', { cause },
    );
  }
  throw new TrustError('TRUST_REQUEST_INVALID', 'The certificate request is not signed by its own key: make a new one');
}
