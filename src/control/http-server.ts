/** The control plane's HTTP face: one application behind two listeners, the unix socket of this machine's root and TLS 1.3 for the rest. */
import swagger from '@fastify/swagger';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../native/system-clock.ts';
import { ApiError } from '../api/api.ts';
import { PROBLEM_TYPE } from '../api/http-problem.ts';
import { declarations } from '../api/http-schemas.ts';
import type { Authority } from '../trust/authority.ts';
import type { Identity } from '../trust/identity.ts';
import manifest from '../../package.json' with { type: 'json' };
import type { ControlPlane } from './control-plane.ts';
import { agentRoutes } from './http-agent-routes.ts';
import { authorize, callerOf } from './http-caller.ts';
import { Consoles } from './http-console.ts';
import type { HttpContext } from './http-context.ts';
import { type OnUpgrade, listenSocket, listenTls } from './http-listener.ts';
import { metricsRoutes } from './http-metrics.ts';
import { problemOf } from './http-problem.ts';
import { adminRoutes } from './http-routes.ts';

export interface HttpOptions {
  /** Mode 0600: who can open it is an administrator. */
  readonly socketPath: string;
  /** Port 0: one that is free, `HttpServer.port` says which. */
  readonly tls?: { readonly host: string; readonly port: number; readonly identity: Identity };
  readonly authority: Pick<Authority, 'certificate' | 'issueAgent'>;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface HttpServer {
  /** Of the TLS listener; 0 without one. */
  readonly port: number;
  /** A renewed certificate, for connections from now on. */
  useIdentity(identity: Identity): void;
  /** Ends streams, lets requests under way finish for a moment, closes both listeners and removes the socket. */
  close(): Promise<void>;
}

/** ms that requests under way get at the end. */
const GRACE = 2000;

/** Fails with ApiError `CONTROL_ALREADY_RUNS` (somebody answers at the socket), `CONTROL_LISTEN`; nothing is left open then. */
export async function startHttp(control: ControlPlane, options: HttpOptions): Promise<HttpServer> {
  const ending = new AbortController();
  const { authority, clock = systemClock } = options;
  const context: HttpContext = { control, authority, clock, version: manifest.version, ending: ending.signal };
  const consoles = new Consoles(context);
  const app = await makeApp(context, consoles, options.log);
  const handle = app.routing.bind(app);
  const onFault = (err: Error): void => options.log.error({ err }, 'a listener failed');
  const onUpgrade: OnUpgrade = (request, connection, head) => consoles.upgrade(request, connection, head);
  const socket = await listenSocket(options.socketPath, handle, onFault, onUpgrade);
  try {
    const tls = options.tls
      ? await listenTls(options.tls.host, options.tls.port, options.tls.identity, handle, onFault, onUpgrade)
      : undefined;
    return {
      port: tls?.port ?? 0,
      useIdentity: (identity) => tls?.useIdentity(identity),
      close: async () => {
        ending.abort();
        await Promise.all([socket.close(GRACE), tls?.close(GRACE)]);
        await app.close();
      },
    };
  } catch (error) {
    await socket.close(0);
    await app.close();
    throw error;
  }
}

async function makeApp(context: HttpContext, consoles: Consoles, log: Logger): Promise<FastifyInstance> {
  // pino's own type has a stricter message callback than Fastify's idea of a logger.
  const loggerInstance: FastifyBaseLogger = log;
  const app: FastifyInstance = Fastify({
    // Names of paths are FROM/TO/PATH, in one piece.
    routerOptions: { maxParamLength: 200 },
    loggerInstance, logController: new LogController({ disableRequestLogging: true }), bodyLimit: 1024 * 1024,
    // A path that cannot be decoded comes to no route and no hook.
    frameworkErrors: (error, request, reply) => answerProblem(error, request, reply),
    // Say what is wrong, all of it, and change nothing of what was sent.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: true } },
  });
  // Answers are typed by the Api; the schemas document them, and must not silently drop a member.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request) => {
    request.caller = callerOf(request.raw.socket, context.clock.now());
    authorize(request.caller, request.routeOptions.config.audience ?? 'admin');
  });
  app.setErrorHandler(answerProblem);
  app.setNotFoundHandler(() => {
    throw new ApiError(404, 'API_NO_SUCH_PATH', 'There is no such path or method: /openapi.json lists them');
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Godwit', version: context.version, description: 'Virtual machines that stay reachable while they move.' },
      // Plain copies: the plugin rewrites what it is given.
      components: { schemas: JSON.parse(JSON.stringify(declarations)) },
    },
  });
  await app.register(async (routes) => {
    adminRoutes(routes, context);
    agentRoutes(routes, context, consoles);
    metricsRoutes(routes, context);
    routes.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  });
  await app.ready();
  return app;
}

function answerProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const said = problemOf(error);
  if (said.status >= 500) request.log.error({ err: error, method: request.method, path: request.url }, 'a request failed');
  reply.code(said.status).type(PROBLEM_TYPE).serializer(JSON.stringify).send(said);
}
