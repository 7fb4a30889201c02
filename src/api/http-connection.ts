/** One server and the way to it: requests with JSON in and out over a unix socket or TLS 1.3, every failure an ApiError. */
import { type ClientRequest, type IncomingMessage, Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type PeerCertificate, checkServerIdentity } from 'node:tls';
import { ApiError } from './api.ts';
import { parseProblem } from './http-problem.ts';

/** PEM, as trust/identity.ts reads it; without certificate and key the server is told nothing of who asks (only joining does that). */
export interface ClientIdentity {
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
}

export type ServerAddress =
  | { readonly socketPath: string }
  /** `https://host:port`. */
  | { readonly url: string; readonly identity: ClientIdentity };

export interface Request {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** ms without a word from the server until it counts as unreachable. */
const PATIENCE = 30_000;
/** An answer longer than this is nobody's list. */
const LONGEST = 256 * 1024 * 1024;

export class Connection {
  #agent: HttpAgent | HttpsAgent;
  readonly #renew: ((identity: ClientIdentity) => HttpsAgent) | undefined;
  readonly #open: (request: Request, onResponse: (response: IncomingMessage) => void) => ClientRequest;
  /** How people name it. */
  readonly address: string;

  /** Throws ApiError `API_ADDRESS` for a URL that is none. */
  constructor(server: ServerAddress) {
    const keep = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets: 32 };
    if ('socketPath' in server) {
      const { socketPath } = server;
      const agent = new HttpAgent(keep);
      this.address = socketPath;
      this.#agent = agent;
      this.#open = ({ method, path, headers }, onResponse) => httpRequest(
        { socketPath, agent, method, path, headers: { ...headers, host: 'godwit' } }, onResponse,
      );
      return;
    }
    const url = URL.parse(server.url);
    if (url?.protocol !== 'https:' || url.pathname !== '/' || url.search !== '') {
      throw new ApiError(0, 'API_ADDRESS', `${JSON.stringify(server.url)} is no server's address: write it like https://10.0.0.1:7443`);
    }
    this.#renew = ({ ca, certificate, key }) => new HttpsAgent({
      ...keep, ca, minVersion: 'TLSv1.3', rejectUnauthorized: true, checkServerIdentity: checkServer,
      ...(certificate === undefined ? {} : { cert: certificate }), ...(key === undefined ? {} : { key }),
    });
    const port = url.port === '' ? 443 : Number(url.port);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    this.address = `https://${url.host}`;
    this.#agent = this.#renew(server.identity);
    this.#open = ({ method, path, headers }, onResponse) => httpsRequest({ host, port, agent: this.#agent, method, path, headers }, onResponse);
  }

  /** The answer's JSON; undefined for 204. Fails with ApiError: the server's own, or one with status 0. */
  async json(request: Request): Promise<unknown> {
    const response = await this.stream(request);
    const body = await this.#text(response);
    if (response.statusCode === 204) return undefined;
    try {
      return JSON.parse(body);
    } catch (cause) {
      throw this.#foreign(cause);
    }
  }

  /** The answer, its body yet to be read. Fails as `json` does. A signal aborted later ends the body. */
  async stream(request: Request): Promise<IncomingMessage> {
    const response = await this.#send(request);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw parseProblem(status, await this.#text(response)) ?? this.#foreign(undefined, status);
  }

  /** The connection itself, once the server has changed over to `protocol`: the caller's to end. Fails as `json` does. */
  async upgrade(request: Pick<Request, 'path' | 'headers'>, protocol: string): Promise<Duplex> {
    try {
      return await this.#changeOver(request, protocol);
    } catch (error) {
      if (error instanceof StaleConnection) return await this.#changeOver(request, protocol);
      throw error;
    }
  }

  /** Goes by another certificate from now on; connections that go by the old one are ended, in use or not. */
  useIdentity(identity: ClientIdentity): void {
    if (!this.#renew) return;
    this.#agent.destroy();
    this.#agent = this.#renew(identity);
  }

  /** Ends idle connections, and those in use. */
  close(): void {
    this.#agent.destroy();
  }

  /**
   * A connection that was kept and that the server closed in the same moment is no failure of the server: a GET is asked once more, on
   * a new one. What changes something is not: nobody knows whether it was read.
   */
  async #send(request: Request): Promise<IncomingMessage> {
    try {
      return await this.#attempt(request);
    } catch (error) {
      if (error instanceof StaleConnection && request.method === 'GET') return await this.#attempt(request);
      throw error;
    }
  }

  #attempt(request: Request): Promise<IncomingMessage> {
    const { body, signal } = request;
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const length = payload === undefined ? 0 : Buffer.byteLength(payload);
    const entity = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(length) };
    const headers = { accept: 'application/json', ...entity, ...request.headers };
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(aborted());
        return;
      }
      const out = this.#open({ ...request, headers }, (response) => {
        response.once('close', () => signal?.removeEventListener('abort', stop));
        resolve(response);
      });
      const stop = (): void => void out.destroy();
      signal?.addEventListener('abort', stop, { once: true });
      out.setTimeout(PATIENCE, () => out.destroy(new Error(`no word from it for ${PATIENCE / 1000} s`)));
      // More than one may come; the first counts.
      out.on('error', (cause) => {
        signal?.removeEventListener('abort', stop);
        reject(signal?.aborted ? aborted() : this.#unreachable(cause, out.reusedSocket));
      });
      out.end(payload);
    });
  }

  #changeOver({ path, headers }: Pick<Request, 'path' | 'headers'>, protocol: string): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      const out = this.#open({ method: 'GET', path, headers: { ...headers, connection: 'Upgrade', upgrade: protocol } }, (response) => {
        const status = response.statusCode ?? 0;
        this.#text(response).then((body) => reject(parseProblem(status, body) ?? this.#foreign(undefined, status)), reject);
      });
      out.on('upgrade', (_, socket: Socket, head) => {
        socket.setTimeout(0);
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      out.setTimeout(PATIENCE, () => out.destroy(new Error(`no word from it for ${PATIENCE / 1000} s`)));
      out.on('error', (cause) => reject(this.#unreachable(cause, out.reusedSocket)));
      out.end();
    });
  }

  async #text(response: IncomingMessage): Promise<string> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of response) {
        if (!(chunk instanceof Uint8Array)) continue;
        size += chunk.length;
        if (size > LONGEST) throw this.#foreign();
        chunks.push(chunk);
      }
    } catch (cause) {
      throw cause instanceof ApiError ? cause : this.#unreachable(cause, false);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #unreachable(cause: unknown, reused: boolean): ApiError {
    const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
    if (/^ERR_SSL_|^EPROTO$|^HPE_/.test(code)) return this.#foreign(cause);
    if (/CERT|UNABLE_TO|SIGNATURE|API_UNTRUSTED/.test(code)) {
      return new ApiError(
        0,
        'API_UNTRUSTED_SERVER',
        `What answers at ${this.address} did not prove to be this cluster's: did \`godwit init\` get that address? is the clock right?`,
        { cause },
      );
    }
    if (reused && (code === 'ECONNRESET' || code === 'EPIPE')) return new StaleConnection(this.#lookHint(code), cause);
    return new ApiError(0, 'API_UNREACHABLE', this.#lookHint(code), { cause });
  }

  #lookHint(code: string): string {
    if (code === 'EACCES') return `The Godwit server's socket ${this.address} is for root only: be root, or use --server with an identity`;
    if (this.address.startsWith('https:')) {
      return `The Godwit server cannot be reached at ${this.address}: does it run (\`systemctl status godwit-server\`)? A firewall?`;
    }
    return `The Godwit server cannot be reached at ${this.address}: does it run (\`systemctl status godwit-server\`)? Elsewhere: --socket, GODWIT_SOCKET or --server`;
  }

  #foreign(cause?: unknown, status?: number): ApiError {
    return new ApiError(
      0,
      'API_PROTOCOL',
      `What answers at ${this.address}${status === undefined ? '' : ` (with status ${status})`} is no Godwit server: check the address`,
      { cause },
    );
  }
}

/** A kept connection that turned out to be closed. */
class StaleConnection extends ApiError {
  constructor(message: string, cause: unknown) {
    super(0, 'API_UNREACHABLE', message, { cause });
    this.name = 'ApiError';
  }
}

const aborted = (): ApiError => new ApiError(0, 'API_ABORTED', 'The request was given up by who asked');

/** By name and by role: an agent's certificate is of the same CA and must not pass for the server. */
function checkServer(host: string, certificate: PeerCertificate): Error | undefined {
  const wrongName = checkServerIdentity(host, certificate);
  if (wrongName) return wrongName;
  if (certificate.subject.OU === 'server') return undefined;
  return new ApiError(0, 'API_UNTRUSTED_SERVER', `The certificate of ${host} is not a server's`);
}
