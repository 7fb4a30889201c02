/** How a host joins: it knows the server by the hash in its token before it shows the token's secret, and its key stays at home. */
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { Connection } from '../api/http-connection.ts';
import { ApiError } from '../api/api.ts';
import type { JoinBody, Joined } from '../api/http-schemas.ts';
import type { HostSpec } from '../model/host.ts';
import { makeCertificateRequest } from './certificate-request.ts';
import type { Identity } from './identity.ts';
import { checkCa, parseJoinToken } from './join-token.ts';

/** ms for the server to show its certificate. */
const PATIENCE = 10_000;

/**
 * Makes a key, joins the cluster at `url` as host `name`, and gives the identity to be written (identity.ts). Fails with TrustError
 * (`TRUST_TOKEN_MALFORMED`, `TRUST_CA_MISMATCH`: nothing was told to whoever answers) or ApiError (unreachable, or the server's refusal).
 */
export async function join(url: string, token: string, name: string, spec: HostSpec): Promise<Identity> {
  const parts = parseJoinToken(token);
  const ca = await fetchCa(url);
  checkCa(parts, ca);
  const { key, request } = await makeCertificateRequest();
  const body: JoinBody = { name, spec, tokenId: parts.id, secret: parts.secret, request };
  const connection = new Connection({ url, identity: { ca } });
  try {
    // From the server that the token's hash has proved.
    const answer = (await connection.json({ method: 'POST', path: '/agent/v1/join', body })) as Joined;
    return { ca, certificate: answer.certificate, key };
  } finally {
    connection.close();
  }
}

/**
 * The CA's certificate that a server shows along with its own, not yet believed in anything: the connection is only for that, and
 * not a byte is sent over it.
 */
function fetchCa(address: string): Promise<string> {
  const url = URL.parse(address);
  if (!url) return Promise.reject(
    new ApiError(0, 'API_ADDRESS', `${JSON.stringify(address)} is no server's address: write it like https://10.0.0.1:7443`),
  );
  return new Promise((resolve, reject) => {
    const unreachable = (cause: unknown): void => reject(
      new ApiError(
        0,
        'API_UNREACHABLE',
        `The Godwit server at ${address} cannot be reached: does it run there (\`systemctl status godwit-server\`), is there a firewall?`,
        { cause },
      ),
    );
    const socket = connect(
      { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 443), minVersion: 'TLSv1.3', rejectUnauthorized: false },
    );
    socket.setTimeout(PATIENCE, () => socket.destroy(new Error(`no word from it for ${PATIENCE / 1000} s`)));
    socket.once('error', unreachable);
    socket.once('close', () => unreachable(new Error('it closed the connection')));
    socket.once('secureConnect', () => {
      const root = rootOf(socket.getPeerX509Certificate());
      if (root) resolve(root.toString());
      else unreachable(new Error('it showed no certificate'));
      socket.destroy();
    });
  });
}

/** The last of the chain that was shown. */
function rootOf(certificate: X509Certificate | undefined): X509Certificate | undefined {
  let root = certificate;
  while (root?.issuerCertificate && root.issuerCertificate.fingerprint256 !== root.fingerprint256) root = root.issuerCertificate;
  return root;
}
