/** GET /metrics: the control plane's figures, and how the requests to this server ended. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { NoQuery } from '../api/http-schemas.ts';
import { CONTENT_TYPE } from '../monitor/metrics-exposition.ts';
import type { HttpContext } from './http-context.ts';
import { answers } from './http-routes.ts';
import { Tally, exposition } from './metrics.ts';

/** Counts every answer of `app` from now on. Routes are few, whatever paths are asked for. */
export function metricsRoutes(app: FastifyInstance, { control }: HttpContext): void {
  const requests = new Tally();
  app.addHook('onResponse', async (request, reply) => {
    requests.add({ method: request.method, route: request.routeOptions.url ?? 'none', status: String(reply.statusCode) });
  });
  const text = Type.String({ description: 'Prometheus\' text exposition format 0.0.4' });
  app.get('/metrics', { schema: { querystring: NoQuery, response: answers(200, text) } }, (_, reply) => {
    reply.type(CONTENT_TYPE).serializer(String);
    const help = 'Answers to requests since the server began.';
    const samples = requests.samples();
    return exposition([...control.metrics(), { type: 'counter', name: 'godwit_http_requests_total', help, samples }]);
  });
}
