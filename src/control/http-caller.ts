/** Who asks, told by the connection alone: the unix socket is root's, a certificate names the rest. */
import { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import { ApiError } from '../api/api.ts';
import type { Milliseconds } from '../base/units.ts';
import { type Peer, socketPeer } from '../trust/tls.ts';
import { TrustError } from '../trust/trust-error.ts';

export type Caller =
  | { readonly role: 'admin'; readonly name: string }
  | { readonly role: 'agent'; readonly host: string }
  | { readonly role: 'anyone' };
/** Who a route is for: `anyone` includes those without a certificate. */
export type Audience = Caller['role'];

/**
 * Throws ApiError 403 with TRUST_FOREIGN_CERTIFICATE or TRUST_CERTIFICATE_EXPIRED. The check is made for every request: a connection may
 * live longer than its certificate.
 */
export function callerOf(socket: Socket, now: Milliseconds): Caller {
  if (!(socket instanceof TLSSocket)) return { role: 'admin', name: 'root' };
  let peer: Peer | undefined;
  try {
    peer = socketPeer(socket, now);
  } catch (error) {
    throw error instanceof TrustError ? new ApiError(403, error.code, error.message, { cause: error.cause }) : error;
  }
  if (!peer) return { role: 'anyone' };
  if (peer.role === 'agent') return { role: 'agent', host: peer.host };
  return peer.role === 'admin' ? { role: 'admin', name: peer.name } : { role: 'anyone' };
}

/** Throws ApiError: 401 `API_UNAUTHENTICATED`, 403 `API_FORBIDDEN`. */
export function authorize(caller: Caller, audience: Audience): void {
  if (audience === 'anyone' || caller.role === audience) return;
  if (caller.role === 'anyone') {
    throw new ApiError(
      401,
      'API_UNAUTHENTICATED',
      'This needs a client certificate of the cluster: use the unix socket as root, or an identity that the cluster made',
    );
  }
  throw new ApiError(
    403,
    'API_FORBIDDEN',
    caller.role === 'agent'
      ? `The agent of ${caller.host} may only speak for its own host: ask as an administrator`
      : 'Only agents may ask for this, with their own certificate',
  );
}
