/** The administrator's paths: each is one call of the Api, and nothing else. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type, type TSchema } from 'typebox';
import { ApiError, type Page, type WatchEvent } from '../api/api.ts';
import { plurals } from '../api/http-paths.ts';
import {
  AppliedList, ApplyBody, ApplyQuery, Checked, DerivedParameter, Health, HistoryQueryString, ListQuery, NameParameter, NoQuery, ProblemSchema, StopQuery, Token, TokenBody, Version,
  listOf, resources,
} from '../api/http-schemas.ts';
import { HistorySchema } from '../api/monitor-schemas.ts';
import { formatSse } from '../api/sse.ts';
import { MigrationRequest } from '../model/migration.ts';
import { type Kind, kinds } from '../model/resource.ts';
import type { ControlPlane } from './control-plane.ts';
import type { HttpContext } from './http-context.ts';
import { type Frame, sendStream } from './http-watch.ts';

const LARGEST_APPLY = 8 * 1024 * 1024;

/** A route's answers: the one that is meant, and a problem. */
export const answers = (status: number, schema: TSchema) => ({ [status]: schema, default: ProblemSchema });

export function adminRoutes(app: FastifyInstance, { control, ending, version }: HttpContext): void {
  app.get(
    '/healthz',
    { config: { audience: 'anyone' }, schema: { querystring: NoQuery, response: answers(200, Health) } },
    () => ({ status: 'ok' }),
  );
  app.get('/v1/version', { schema: { querystring: NoQuery, response: answers(200, Version) } }, () => ({ version }));

  for (const kind of kinds) resourceRoutes(app, control, kind, ending);

  app.post<{ Body: ApplyBody; Querystring: ApplyQuery }>(
    '/v1/apply', { bodyLimit: LARGEST_APPLY, schema: { body: ApplyBody, querystring: ApplyQuery, response: answers(200, AppliedList) } },
    ({ body, query }) => control.apply(body, { dryRun: query.dryRun === 'true' }),
  );
  app.post<{ Body: ApplyBody }>(
    '/v1/check', { bodyLimit: LARGEST_APPLY, schema: { body: ApplyBody, querystring: NoQuery, response: answers(200, Checked) } },
    async ({ body }) => ({ warnings: await control.check(body) }),
  );
  app.post<{ Body: MigrationRequest }>(
    '/v1/migrations', { schema: { body: MigrationRequest, querystring: NoQuery, response: answers(201, resources.Migration) } },
    async ({ body }, reply) => reply.code(201).send(await control.migrate(body)),
  );
  app.post<{ Params: NameParameter }>(
    '/v1/migrations/:name/cancel', { schema: { params: NameParameter, querystring: NoQuery, response: answers(200, resources.Migration) } },
    ({ params }) => control.cancel(params.name),
  );
  app.post<{ Params: NameParameter }>(
    '/v1/vms/:name/start', { schema: { params: NameParameter, querystring: NoQuery, response: answers(200, resources.Vm) } },
    ({ params }) => control.start(params.name),
  );
  app.post<{ Params: NameParameter }>(
    '/v1/vms/:name/announce', { schema: { params: NameParameter, querystring: NoQuery, response: answers(200, resources.Vm) } },
    ({ params }) => control.announce(params.name),
  );
  app.post<{ Params: NameParameter; Querystring: StopQuery }>(
    '/v1/vms/:name/stop', { schema: { params: NameParameter, querystring: StopQuery, response: answers(200, resources.Vm) } },
    ({ params, query }) => control.stop(params.name, { force: query.force === 'true' }),
  );
  app.get<{ Params: NameParameter; Querystring: HistoryQueryString }>(
    '/v1/hosts/:name/history', { schema: { params: NameParameter, querystring: HistoryQueryString, response: answers(200, HistorySchema) } },
    ({ params, query: { series, from, to, points } }) =>
      control.history({ host: params.name, series, from: Number(from), to: Number(to), points: Number(points) }),
  );
  app.post<{ Body: TokenBody }>(
    '/v1/tokens', { schema: { body: TokenBody, querystring: NoQuery, response: answers(201, Token) } },
    async ({ body }, reply) => reply.code(201).send(await control.createToken(body.ttl)),
  );
}

function resourceRoutes(app: FastifyInstance, control: ControlPlane, kind: Kind, ending: AbortSignal): void {
  const path = `/v1/${plurals[kind]}`;
  const listing = { querystring: ListQuery, response: answers(200, listOf(resources[kind])) };
  app.get<{ Querystring: ListQuery }>(path, { schema: listing }, async (request, reply) => {
    if (request.query.watch !== 'true') return { items: await control.list(kind, pageOf(request.query)) };
    const after = lastEventId(request);
    await watch(control, kind, reply, ending, after);
    return reply;
  });
  const params = kind === 'Address' || kind === 'Path' ? DerivedParameter : NameParameter;
  app.get<{ Params: NameParameter }>(
    `${path}/:name`, { schema: { params, querystring: NoQuery, response: answers(200, resources[kind]) } },
    ({ params }) => control.get(kind, params.name),
  );
  app.delete<{ Params: NameParameter }>(
    `${path}/:name`, { schema: { params, querystring: NoQuery, response: answers(204, Type.Null()) } },
    async ({ params }, reply) => {
      await control.remove(kind, params.name);
      return reply.code(204).send();
    },
  );
}

const watch = (control: ControlPlane, kind: Kind, reply: FastifyReply, ending: AbortSignal, after: number | undefined): Promise<void> =>
  // Revision `after` is told again: its transaction may have been cut in half.
  sendStream(reply, ending, reply.log, (signal) => frames(control.watch(kind, signal, after === undefined ? undefined : after - 1)));

/** Only from `synced` on has an event an id: what comes before it is in no order, and to go on from there would miss the rest. */
async function* frames(events: AsyncIterable<WatchEvent<Kind>>): AsyncGenerator<Frame, void, void> {
  let level = false;
  for await (const event of events) {
    level ||= event.kind === 'synced';
    yield { text: formatSse('change', JSON.stringify(event), level ? String(event.revision) : undefined), waits: !level };
  }
}

function lastEventId({ headers }: FastifyRequest): number | undefined {
  const id = headers['last-event-id'];
  if (id === undefined) return undefined;
  if (typeof id !== 'string' || !/^\d{1,15}$/.test(id)) {
    throw new ApiError(400, 'API_INVALID', 'Last-Event-ID is not a revision: send the id of the last event, or none');
  }
  return Number(id) === 0 ? undefined : Number(id);
}

function pageOf({ label, last, since }: ListQuery): Page {
  const labels = (typeof label === 'string' ? [label] : label)?.map(
    (text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)] as const,
  );
  return {
    ...(labels ? { labels: Object.fromEntries(labels) } : {}), ...(last === undefined ? {} : { last: Number(last) }),
    ...(since === undefined ? {} : { since: Number(since) }),
  };
}
