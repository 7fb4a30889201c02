/**
 * trust/: who is who. The cluster's own certificate authority, the certificates of servers, agents and administrators, join tokens,
 * and the TLS settings that go with them.
 *
 * A certificate says its holder's role in OU and the name in CN; nothing else in it is read. The CA signs only names it was given
 * by the server, never what a request claims (RFC 5280; RFC 8446 for TLS 1.3).
 */
import 'reflect-metadata';
import {
  AuthorityKeyIdentifierExtension, BasicConstraintsExtension, ExtendedKeyUsage, ExtendedKeyUsageExtension, type Extension, KeyUsageFlags,
  KeyUsagesExtension, SubjectAlternativeNameExtension, SubjectKeyIdentifierExtension, X509Certificate, X509CertificateGenerator,
} from '@peculiar/x509';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { type Milliseconds, ms } from '../base/units.ts';
import { ALGORITHM, exportKey, importKeyPair, makeKeyPair, readCertificateRequest } from './certificate-request.ts';
import type { Identity } from './identity.ts';

/** Two clocks of a cluster may differ by this much and a certificate just made is still accepted. */
const SKEW = 5 * 60_000;
const YEAR = 365 * 86_400_000;
const CA_LIFE = 10 * YEAR;
const LIFE = YEAR;

const SERVER_USAGES = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth] as const;

/** A role with rights of its own: it stands in OU. */
export type Role = 'server' | 'agent' | 'admin';

interface Subject {
  readonly role: Role;
  readonly name: string;
  /** Host names and IP addresses it is reached by. */
  readonly addresses: readonly string[];
  readonly usages: readonly ExtendedKeyUsage[];
}

/** Times are ms since the epoch. */
export class Authority {
  /** Of the CA itself, PEM. */
  readonly certificate: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #ca: X509Certificate;

  private constructor(ca: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#ca = ca;
    this.#keys = keys;
    this.certificate = pem(ca);
  }

  /** A new CA, valid for ten years. */
  static async create(cluster: string, now: Milliseconds): Promise<Authority> {
    const keys = await makeKeyPair();
    const ca = await X509CertificateGenerator.createSelfSigned(
      {
        ...validity(now, CA_LIFE),
        serialNumber: serial(), name: [{ O: ['Godwit'] }, { CN: [`Godwit cluster ${cluster}`] }], keys, signingAlgorithm: ALGORITHM,
        extensions: [
          new BasicConstraintsExtension(true, 0, true),
          new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
          await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ],
      },
      webcrypto,
    );
    return new Authority(ca, keys);
  }

  /** From what `certificate` and `exportKey()` gave. */
  static async load(certificate: string, key: string): Promise<Authority> {
    return new Authority(new X509Certificate(certificate), await importKeyPair(key));
  }

  /** PKCS #8 PEM: whoever has it is the cluster. */
  exportKey(): Promise<string> {
    return exportKey(this.#keys.privateKey);
  }

  /** For a server that is reached under these host names and IP addresses. One year. */
  async issueServer(name: string, addresses: readonly string[], now: Milliseconds): Promise<Identity> {
    return this.#identity({ role: 'server', name, addresses, usages: SERVER_USAGES }, now);
  }

  /** A server's own certificate anew: the same key, name and addresses. One year. */
  async renewServer(identity: Identity, now: Milliseconds): Promise<Identity> {
    const old = new X509Certificate(identity.certificate);
    const addresses = old.getExtension(SubjectAlternativeNameExtension)?.names.items.map(({ value }) => value) ?? [];
    const [name = ''] = old.subjectName.getField('CN');
    const { publicKey } = await importKeyPair(identity.key);
    const subject: Subject = { role: 'server', name, addresses, usages: SERVER_USAGES };
    return { ...identity, certificate: await this.#sign(subject, publicKey, now) };
  }

  /** For an administrator's command line. One year. */
  async issueAdmin(name: string, now: Milliseconds): Promise<Identity> {
    return this.#identity({ role: 'admin', name, addresses: [], usages: [ExtendedKeyUsage.clientAuth] }, now);
  }

  /**
   * The certificate (PEM) for an agent's request, first or renewed. One year. Agents also serve each other, under the host's name.
   * Throws TrustError `TRUST_REQUEST_INVALID`.
   */
  async issueAgent(request: string, host: string, now: Milliseconds): Promise<string> {
    const key = await readCertificateRequest(request);
    return this.#sign(
      { role: 'agent', name: host, addresses: [host], usages: [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth] }, key, now,
    );
  }

  async #identity(subject: Subject, now: Milliseconds): Promise<Identity> {
    const keys = await makeKeyPair();
    return { ca: this.certificate, certificate: await this.#sign(subject, keys.publicKey, now), key: await exportKey(keys.privateKey) };
  }

  async #sign({ role, name, addresses, usages }: Subject, publicKey: webcrypto.CryptoKey, now: Milliseconds): Promise<string> {
    const extensions: Extension[] = [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([...usages]),
      await SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto),
      await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey, false, webcrypto),
    ];
    if (addresses.length > 0) {
      extensions.push(
        new SubjectAlternativeNameExtension(addresses.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }) as const)),
      );
    }
    const certificate = await X509CertificateGenerator.create(
      {
        ...validity(now, LIFE),
        serialNumber: serial(), subject: [{ OU: [role] }, { CN: [name] }], issuer: this.#ca.subjectName,
        publicKey, signingKey: this.#keys.privateKey, signingAlgorithm: ALGORITHM, extensions,
      },
      webcrypto,
    );
    return pem(certificate);
  }
}

const pem = (certificate: X509Certificate): string => `${certificate.toString('pem').trimEnd()}\n`;
const validity = (now: Milliseconds, life: number) => ({ notBefore: new Date(now - SKEW), notAfter: new Date(now + life) });

/** 127 random bits, positive (RFC 5280 §4.1.2.2). */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** Whether a certificate (PEM) has less than a third of its life left. */
export function renewalDue(certificate: string, now: Milliseconds): boolean {
  const { notBefore, notAfter } = new X509Certificate(certificate);
  return now > ms(notAfter.getTime() - (notAfter.getTime() - notBefore.getTime()) / 3);
}
