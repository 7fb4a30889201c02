/** Sockets that HTTP comes in by. */
import { rm } from 'node:fs/promises';
import { type IncomingMessage, type RequestListener, STATUS_CODES, type Server, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type Socket, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError } from '../api/api.ts';
import { CONSOLE_PROTOCOL } from '../api/http-paths.ts';
import { PROBLEM_TYPE, problem } from '../api/http-problem.ts';
import type { Identity } from '../trust/identity.ts';
import { secureContext, serverTls } from '../trust/tls.ts';

export interface Listener {
  /** Lets requests under way finish for that many ms, then ends them. */
  close(grace: number): Promise<void>;
}

/** Of a listener that goes on, as after accept(2) found no descriptor free. */
export type OnFault = (error: Error) => void;

/** Takes over connections that change to the console's protocol. */
export type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
const wantsConsole = ({ headers }: IncomingMessage): boolean => headers.upgrade === CONSOLE_PROTOCOL;

/** Slow heads and bodies do not hold a connection for ever; streams of events are not touched by these. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 60_000, maxHeaderSize: 16 * 1024 } as const;
/** TLS connections at a time: each host has a few. */
const MOST_CONNECTIONS = 4096;

/** For root alone. A socket left behind by a dead server is taken over. Fails with ApiError `CONTROL_ALREADY_RUNS`, `CONTROL_LISTEN`. */
export async function listenSocket(path: string, handle: RequestListener, onFault: OnFault, onUpgrade: OnUpgrade): Promise<Listener> {
  if (await answers(path)) throw new ApiError(409, 'CONTROL_ALREADY_RUNS', `A server answers at ${path} already: stop it first`);
  await rm(path, { force: true });
  const server = createServer({ ...LIMITS, shouldUpgradeCallback: wantsConsole }, handle);
  prepare(server, onUpgrade);
  // bind(2) makes the file, in this very call: there is no moment in which others could open it.
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await listening(server, path, onFault);
  return { close: (grace) => close(server, grace) };
}

export interface TlsListener extends Listener {
  readonly port: number;
  useIdentity(identity: Identity): void;
}

/** Fails with ApiError `CONTROL_LISTEN`. */
export async function listenTls(
  host: string, port: number, identity: Identity, handle: RequestListener, onFault: OnFault, onUpgrade: OnUpgrade,
): Promise<TlsListener> {
  // Who has no certificate may still join; who has a wrong one is told so (http-caller.ts).
  const server = createTlsServer({ ...LIMITS, shouldUpgradeCallback: wantsConsole, ...serverTls(identity, { strangers: true }), handshakeTimeout: 10_000 }, handle);
  prepare(server, onUpgrade);
  server.maxConnections = MOST_CONNECTIONS;
  server.listen(port, ...(host === '' ? [] : [host]));
  await listening(server, `${host}:${port}`, onFault);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    useIdentity: (renewed) => server.setSecureContext(secureContext(renewed)),
    close: (grace) => close(server, grace),
  };
}

function prepare(server: Server, onUpgrade: OnUpgrade): void {
  server.on('connection', (socket: Socket) => {
    socket.setKeepAlive(true, 10_000);
    socket.setNoDelay(true);
  });
  server.on('clientError', refuse);
  server.on('upgrade', onUpgrade);
}

/** What is not HTTP gets an answer that is. */
function refuse(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  endWithProblem(socket, status, 'API_MALFORMED', 'That is not a request this server can read: speak HTTP/1.1');
}

/** On a connection that no response object has. */
export function endWithProblem(socket: Duplex, status: number, code: string, detail: string): void {
  const title = STATUS_CODES[status] ?? '';
  const body = JSON.stringify(problem(status, code, title, detail));
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
    + `connection: close\r\n\r\n${body}`,
  );
}

function listening(server: Server, where: string, onFault: OnFault): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('listening', () => {
      server.removeAllListeners('error');
      server.on('error', onFault);
      resolve();
    });
    server.once('error', (cause) => {
      const words = `The server cannot listen on ${where}: is the address this machine's and free, does the directory exist?`;
      reject(new ApiError(500, 'CONTROL_LISTEN', words, { cause }));
    });
  });
}

function close(server: Server, grace: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), grace);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
