/** The agents' paths (api/agent-protocol.ts). Which host speaks is what its certificate says; nothing in a request can say otherwise. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AgentReportSchema, type AgentReportBody, asAgentReport } from '../api/agent-schemas.ts';
import type { Wanted } from '../api/agent-protocol.ts';
import { ApiError } from '../api/api.ts';
import { Acknowledged, HistoryIdParameter, JoinBody, Joined, NoQuery, RenewBody } from '../api/http-schemas.ts';
import { type HistoryAnswerBody, HistoryAnswerSchema } from '../api/monitor-schemas.ts';
import { formatSse } from '../api/sse.ts';
import { JoinLimit } from './http-join-limit.ts';
import { answers } from './http-routes.ts';
import type { Consoles } from './http-console.ts';
import type { HttpContext } from './http-context.ts';
import { type Frame, sendStream } from './http-watch.ts';

const LARGEST_REPORT = 8 * 1024 * 1024;
const LARGEST_JOIN = 16 * 1024;

export function agentRoutes(app: FastifyInstance, { control, authority, clock, ending }: HttpContext, consoles: Consoles): void {
  const limit = new JoinLimit();
  const agent = { audience: 'agent' } as const;

  app.post<{ Body: AgentReportBody }>(
    '/agent/v1/report',
    {
      config: agent, bodyLimit: LARGEST_REPORT,
      schema: { body: AgentReportSchema, querystring: NoQuery, response: answers(200, Acknowledged) },
    },
    (request) => control.report(hostOf(request), asAgentReport(request.body)),
  );

  const stream = Type.String({ description: 'server-sent events `wanted`, `console`, `history`' });
  const wanted = { config: agent, schema: { querystring: NoQuery, response: answers(200, stream) } };
  app.get('/agent/v1/wanted', wanted, async (request, reply) => {
    const host = hostOf(request);
    // Whoever has not been told yet what is wanted is not asked for more.
    const off = consoles.listen(host, (order) => reply.raw.headersSent && !reply.raw.destroyed && reply.raw.write(formatSse('console', JSON.stringify(order))));
    const unheard = control.onHistory(host, (order) => reply.raw.headersSent && !reply.raw.destroyed && reply.raw.write(formatSse('history', JSON.stringify(order))));
    try {
      await sendStream(reply, ending, request.log, (signal) => frames(control.wanted(host, signal)));
    } finally {
      off();
      unheard();
    }
    return reply;
  });

  app.post<{ Params: HistoryIdParameter; Body: HistoryAnswerBody }>(
    '/agent/v1/history/:id',
    { config: agent, schema: { params: HistoryIdParameter, body: HistoryAnswerSchema, querystring: NoQuery, response: answers(204, Type.Null()) } },
    async (request, reply) => {
      control.answerHistory(hostOf(request), request.params.id, request.body);
      return reply.code(204).send();
    },
  );

  app.post<{ Body: RenewBody }>(
    '/agent/v1/renew',
    { config: agent, bodyLimit: LARGEST_JOIN, schema: { body: RenewBody, querystring: NoQuery, response: answers(200, Joined) } },
    async (request) => {
      const host = hostOf(request);
      // A host that was removed does not live on by its certificate.
      await control.get('Host', host);
      return { ca: authority.certificate, certificate: await authority.issueAgent(request.body.request, host, clock.now()) };
    },
  );

  app.post<{ Body: JoinBody }>(
    '/agent/v1/join',
    {
      config: { audience: 'anyone' }, bodyLimit: LARGEST_JOIN,
      schema: { body: JoinBody, querystring: NoQuery, response: answers(201, Joined) },
      // Before anything of the body is read.
      onRequest: async (request) => {
        if (limit.take(request.ip, clock.monotonic())) return;
        throw new ApiError(429, 'API_RATE_LIMITED', 'Too many tries to join from this address: wait a minute');
      },
    },
    async ({ body, log }, reply) => {
      // First, for it can fail: a token is not spent on a request that cannot be granted. It is given away only when the token was good.
      const certificate = await authority.issueAgent(body.request, body.name, clock.now());
      await control.admit(body.name, body.spec, body.tokenId, body.secret);
      log.info({ host: body.name, token: body.tokenId }, 'a host has joined');
      return reply.code(201).send({ ca: authority.certificate, certificate });
    },
  );
}

function hostOf({ caller }: FastifyRequest): string {
  if (caller.role !== 'agent') throw new ApiError(403, 'API_FORBIDDEN', 'Only agents may ask for this, with their own certificate');
  return caller.host;
}

/** The first is waited for; after that an agent that does not read comes back, and gets the newest. */
async function* frames(states: AsyncIterable<Wanted>): AsyncGenerator<Frame, void, void> {
  let first = true;
  for await (const wanted of states) {
    yield { text: formatSse('wanted', JSON.stringify(wanted)), waits: first };
    first = false;
  }
}
