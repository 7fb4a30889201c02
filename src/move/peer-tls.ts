/** Connections between agents over mutual TLS 1.3: a certificate of the cluster's CA at both ends, each naming its host. */
import { once } from 'node:events';
import { type Server, type TLSSocket, connect, createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { type Milliseconds, seconds } from '../base/units.ts';
import type { Identity } from '../trust/identity.ts';
import { agentTls, secureContext, serverTls, socketPeer } from '../trust/tls.ts';
import { PeerLost } from './errors.ts';
import type { PeerAddress, PeerConnection, PeerDialer } from './peer-connection.ts';
import { LONGEST_LINE } from './peer-message.ts';

const DIAL_TIMEOUT = seconds(3);
/** Who says nothing does not keep a connection for long. */
const HANDSHAKE_TIMEOUT = seconds(10);

class TlsConnection implements PeerConnection {
  readonly peer: string;
  readonly #socket: TLSSocket;
  #rest = '';
  #lines: string[] = [];
  #closed: string | undefined;
  #onLine: ((line: string) => void) | undefined;
  #onClose: ((why: string) => void) | undefined;

  constructor(socket: TLSSocket, peer: string) {
    this.#socket = socket;
    this.peer = peer;
    // Lines are short and each is waited for.
    socket.setNoDelay(true);
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('the connection was closed'));
  }

  send(line: string): void {
    if (this.#closed === undefined) this.#socket.write(`${line}\n`);
  }

  receive(onLine: (line: string) => void, onClose: (why: string) => void): void {
    this.#onLine = onLine;
    this.#onClose = onClose;
    for (const line of this.#lines.splice(0)) onLine(line);
    if (this.#closed !== undefined) onClose(this.#closed);
  }

  close(): void {
    this.#closed ??= 'closed';
    this.#socket.destroy();
  }

  #take(text: string): void {
    // Only what is new is looked through: a line of megabytes comes in very many pieces.
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      const line = this.#rest + text.slice(from, end);
      this.#rest = '';
      from = end + 1;
      if (this.#onLine) this.#onLine(line);
      else this.#lines.push(line);
    }
    this.#rest += text.slice(from);
    if (this.#rest.length > LONGEST_LINE) this.#socket.destroy(new Error('a line without end came'));
  }

  #end(why: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = why;
    this.#onClose?.(why);
  }
}

export class TlsDialer implements PeerDialer {
  readonly #identity: () => Identity;

  /** `identity`: the one to go by now. */
  constructor(identity: () => Identity) {
    this.#identity = identity;
  }

  async dial({ host, address, port }: PeerAddress): Promise<PeerConnection> {
    const socket = connect({ host: address, port, ...agentTls(this.#identity(), host) });
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(DIAL_TIMEOUT) });
      return new TlsConnection(socket, host);
    } catch (error) {
      socket.destroy();
      const slow = error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
      const remedy = 'does it run there (`systemctl status godwit-agent`), is there a firewall between?';
      const where = `at ${address}, port ${port}`;
      throw new PeerLost(host, slow ? `no answer ${where} within ${DIAL_TIMEOUT / 1000} s; ${remedy}` : `no connection ${where}; ${remedy}`, slow ? undefined : error);
    }
  }
}

export interface PeerListener {
  readonly port: number;
  /** For connections from now on. */
  useIdentity(identity: Identity): void;
  close(): void;
}

/** Calls `onConnection` for agents of this cluster; all others are sent away. `refused` is told of those, for the log. */
export async function listenTls(
  identity: Identity, at: { readonly address: string; readonly port: number }, now: () => Milliseconds,
  onConnection: (connection: PeerConnection) => void, refused: (error: unknown, from: string | undefined) => void,
): Promise<PeerListener> {
  const open = new Set<TLSSocket>();
  const server: Server = createServer({ ...serverTls(identity), handshakeTimeout: HANDSHAKE_TIMEOUT }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    try {
      const peer = socketPeer(socket, now());
      if (peer?.role === 'agent') return onConnection(new TlsConnection(socket, peer.host));
      refused(new Error('Only agents are spoken with here'), socket.remoteAddress);
    } catch (error) {
      refused(error, socket.remoteAddress);
    }
    socket.destroy();
  });
  server.on('tlsClientError', (error, socket) => refused(error, socket.remoteAddress));
  server.listen(at.port, at.address);
  await once(server, 'listening');
  // As when accept(2) finds no descriptor free: it goes on listening, and an error nobody hears would end the agent.
  server.on('error', (error) => refused(error, undefined));
  // The cast: a server that listens on a port has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    useIdentity: (renewed) => server.setSecureContext(secureContext(renewed)),
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
