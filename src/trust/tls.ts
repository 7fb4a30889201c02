/** TLS 1.3 between the machines of a cluster, each side with a certificate of the cluster's CA; no other CA is believed. */
import { X509Certificate, constants } from 'node:crypto';
import { type ConnectionOptions, type SecureContextOptions, type TlsOptions, checkServerIdentity } from 'node:tls';
import type { Milliseconds } from '../base/units.ts';
import type { Role } from './authority.ts';
import type { Identity } from './identity.ts';
import { TrustError } from './trust-error.ts';

export type Peer = { readonly role: 'agent'; readonly host: string } | { readonly role: 'admin' | 'server'; readonly name: string };

/**
 * What both sides have in common. The CA goes along with the certificate, so that a host that joins can compare it with its token.
 * Sessions are never resumed: of a resumed one Node says `authorized` even when its peer never showed a certificate.
 */
export function secureContext({ ca, certificate, key }: Identity): SecureContextOptions {
  return { ca, cert: `${certificate}${ca}`, key, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET };
}

/**
 * For a listener. Only peers with a certificate of this CA get in; with `strangers`, all do, and it is for the caller to ask
 * `socketPeer` who they are.
 */
export function serverTls(identity: Identity, { strangers = false }: { readonly strangers?: boolean } = {}): TlsOptions {
  return { ...secureContext(identity), requestCert: true, rejectUnauthorized: !strangers };
}

/** For an agent that calls the agent of `host`, whatever the address: it must show that host's certificate. */
export function agentTls(identity: Identity, host: string): ConnectionOptions {
  return {
    ...secureContext(identity), rejectUnauthorized: true, servername: host,
    checkServerIdentity: (_, certificate) => {
      const peer = readSubject(certificate.subject);
      if (peer?.role === 'agent' && peer.host === host) return checkServerIdentity(host, certificate);
      return new TrustError('TRUST_FOREIGN_CERTIFICATE', `What answers is not the agent of ${host}: check the host's address`);
    },
  };
}

/**
 * Who a certificate (of this CA, which TLS has checked) names. Throws TrustError: `TRUST_FOREIGN_CERTIFICATE` (a role or form that this
 * cluster never signs), `TRUST_CERTIFICATE_EXPIRED`.
 */
export function peerRole(certificate: X509Certificate, now: Milliseconds): Peer {
  if (now > certificate.validToDate.getTime()) throw expired(certificate.validToDate);
  const peer = readSubject(certificate.toLegacyObject().subject);
  if (!peer) throw new TrustError(
    'TRUST_FOREIGN_CERTIFICATE', 'The certificate names no role that this cluster gives: use one that it made',
  );
  return peer;
}

/** The part of a TLSSocket that says who is at its other end. */
export interface PeerSocket {
  readonly authorized: boolean;
  readonly authorizationError: Error | string | null | undefined;
  getPeerX509Certificate(): X509Certificate | undefined;
}

/** Who is at the other end; undefined for somebody without a certificate. Throws as `peerRole` does. */
export function socketPeer(socket: PeerSocket, now: Milliseconds): Peer | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) return undefined;
  if (socket.authorized) return peerRole(certificate, now);
  const reason = socket.authorizationError instanceof Error ? socket.authorizationError.message : String(socket.authorizationError);
  if (reason === 'CERT_HAS_EXPIRED') throw expired(certificate.validToDate);
  throw new TrustError(
    'TRUST_FOREIGN_CERTIFICATE', `The certificate is not one of this cluster's (${reason}): use one that it made, or join this cluster`,
  );
}

const expired = (end: Date): TrustError =>
  new TrustError('TRUST_CERTIFICATE_EXPIRED', `The certificate ended on ${end.toISOString()}: get a new one (is the clock right?)`);

const ROLES: Readonly<Record<string, Role>> = { agent: 'agent', admin: 'admin', server: 'server' };

/** One OU and one CN, or it is not ours. */
function readSubject(subject: { readonly OU?: string | string[]; readonly CN?: string | string[] }): Peer | undefined {
  const { OU, CN } = subject;
  const role = typeof OU === 'string' && Object.hasOwn(ROLES, OU) ? ROLES[OU] : undefined;
  if (role === undefined || typeof CN !== 'string' || CN === '') return undefined;
  return role === 'agent' ? { role, host: CN } : { role, name: CN };
}
