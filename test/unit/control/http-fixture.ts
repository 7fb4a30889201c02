/** A server on loopback and a unix socket, on a plane in memory, with a CA of its own; all gone after the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { request as httpsRequest } from 'node:https';
import { request as httpRequest } from 'node:http';
import pino from 'pino';
import { type Milliseconds, ms } from '../../../src/base/units.ts';
import { systemClock } from '../../../src/native/system-clock.ts';
import { type HttpServer, startHttp } from '../../../src/control/http-server.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { makeCertificateRequest } from '../../../src/trust/certificate-request.ts';
import type { Identity } from '../../../src/trust/identity.ts';
import { PlaneStub } from './http-plane.ts';

export interface Fixture {
  readonly plane: PlaneStub;
  readonly authority: Authority;
  readonly server: HttpServer;
  readonly socketPath: string;
  readonly url: string;
  readonly port: number;
  readonly directory: string;
  readonly log: string[];
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export const now = (): Milliseconds => ms(Date.now());

export async function startFixture(t: TestContext): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'gwt-http-'));
  const socketPath = join(directory, 'godwit.sock');
  const plane = new PlaneStub();
  const authority = await Authority.create('test', now());
  const identity = await authority.issueServer('server', ['127.0.0.1', 'localhost', '::1'], now());
  const log: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void log.push(line) });
  const start = (port: number): Promise<HttpServer> =>
    startHttp(plane, { socketPath, tls: { host: '127.0.0.1', port, identity }, authority, log: logger, clock: systemClock });
  let server: HttpServer | undefined = await start(0);
  const { port } = server;
  const stop = async (): Promise<void> => {
    await server?.close();
    server = undefined;
  };
  t.after(async () => {
    await stop();
    rmSync(directory, { recursive: true });
  });
  return {
    plane, authority, socketPath, port, directory, log, url: `https://127.0.0.1:${port}`,
    get server() {
      if (!server) throw new Error('stopped');
      return server;
    },
    stop,
    restart: async () => {
      await stop();
      server = await start(port);
    },
  };
}

export async function agentIdentity(authority: Authority, host: string, at = now()): Promise<Identity> {
  const { key, request } = await makeCertificateRequest();
  return { ca: authority.certificate, certificate: await authority.issueAgent(request, host, at), key };
}

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly json: { readonly code?: string; readonly [key: string]: unknown };
}

/** A raw request, as anybody may make one. */
export function ask(
  to: { readonly socketPath: string } | { readonly port: number; readonly ca: string; readonly certificate?: string; readonly key?: string },
  method: string, path: string, body?: string, headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const all = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers };
  return new Promise((resolve, reject) => {
    const out = 'socketPath' in to
      ? httpRequest({ socketPath: to.socketPath, agent: false, method, path, headers: all })
      : httpsRequest(
        { host: '127.0.0.1', port: to.port, ca: to.ca, agent: false, ...(to.certificate ? { cert: to.certificate, key: to.key ?? '' } : {}), method, path, headers: all },
      );
    out.on('error', reject);
    out.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('error', reject).on('end', () => {
        let json: Answer['json'] = {};
        try {
          // What the tests look into.
          json = JSON.parse(text) as Answer['json'];
        } catch {
          // Not every answer is JSON.
        }
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body: text, json });
      });
    });
    out.end(body);
  });
}

/** Until it holds, or the test's time is over. */
export async function until(t: TestContext, holds: () => boolean): Promise<void> {
  while (!holds()) {
    t.signal.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
