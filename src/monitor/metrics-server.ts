/** Serves GET /metrics and nothing else, to few at a time. */
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MetricsUnavailable } from './errors-keeping.ts';
import { CONTENT_TYPE } from './metrics-exposition.ts';

/** Connections at a time; ms that a request may take, and that an idle connection stays; bytes of a request's head. */
const LIMITS = { connections: 16, request: 10_000, idle: 75_000, head: 8192 } as const;

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface MetricsAddress {
  readonly address: string;
  /** 0: one that is free. */
  readonly port: number;
}

/** @param text called for each request @throws MetricsUnavailable */
export async function serveMetrics({ address, port }: MetricsAddress, text: () => string): Promise<MetricsServer> {
  const limits = {
    requestTimeout: LIMITS.request, headersTimeout: LIMITS.request, keepAliveTimeout: LIMITS.idle, maxHeaderSize: LIMITS.head,
  };
  const server = createServer(limits, (request, response) => {
    const answer = (status: number, body: string, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body), ...headers });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    // A body is none of our business.
    request.resume();
    if (request.url?.split('?')[0] !== '/metrics') answer(404, 'There is /metrics here.\n');
    else if (request.method !== 'GET' && request.method !== 'HEAD') answer(405, 'GET it.\n', { allow: 'GET, HEAD' });
    else answer(200, text(), { 'content-type': CONTENT_TYPE });
  });
  server.maxConnections = LIMITS.connections;
  try {
    // Rejects with the server's error.
    await once(server.listen({ host: address, port }), 'listening');
  } catch (error) {
    throw new MetricsUnavailable(address, port, error);
  }
  // EMFILE of an accept, say: that connection is lost, and the monitor goes on.
  server.on('error', () => {});
  return { port: portOf(server), close: () => closed(server) };
}

function portOf(server: Server): number {
  // It listens on an address, not on a path.
  return (server.address() as AddressInfo).port;
}

async function closed(server: Server): Promise<void> {
  const gone = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await gone;
}
