/** Every failure as problem details (RFC 9457): the caller's faults told in full, the server's own without its insides. */
import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifySchemaValidationError } from 'fastify';
import { ApiError, type Fault } from '../api/api.ts';
import { type Problem, problem } from '../api/http-problem.ts';
import { GodwitError } from '../base/error.ts';
import { StoreError } from '../store/store-errors.ts';

/** What is wrong with the form of a request, by Fastify's own codes. */
const MALFORMED: Readonly<Record<string, readonly [number, string, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'API_TOO_LARGE', 'The body is larger than this path takes: apply fewer documents at a time'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'API_MEDIA_TYPE', 'Bodies are JSON: send content-type application/json'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'API_MALFORMED', 'The body is not as long as it was said to be'],
  FST_ERR_CTP_EMPTY_JSON_BODY: [400, 'API_MALFORMED', 'The body is empty: send JSON'],
  FST_ERR_CTP_INVALID_JSON_BODY: [400, 'API_MALFORMED', 'The body is not JSON'],
};

/** Of one request: garbage can be wrong in thousands of ways. */
const MOST_FAULTS = 100;

export function problemOf(error: unknown): Problem {
  const make = (status: number, code: string, detail: string, faults?: readonly Fault[]): Problem => problem(
    status, code, STATUS_CODES[status] ?? 'Error', detail, faults,
  );
  if (error instanceof ApiError) return make(
    error.status >= 400 && error.status < 600 ? error.status : 502, error.code, error.message, error.faults,
  );
  if (error instanceof StoreError) return make(error.code === 'STORE_FULL' ? 507 : 503, error.code, error.message);
  if (error instanceof GodwitError) {
    return make(/^(MODEL|TRUST|WIRE)_/.test(error.code) ? 400 : 500, error.code, error.message);
  }
  if (isFastifyError(error)) {
    if (error.validation) {
      const faults = error.validation.slice(0, MOST_FAULTS).map((v) => faultOf(v, error.validationContext === 'body'));
      const words = faults.slice(0, 5).map((f) => `${f.path || '/'} ${f.message}`).join('; ');
      return make(400, 'API_INVALID', `The ${place(error.validationContext)} is not as it should be: ${words}`, faults);
    }
    const known = MALFORMED[error.code];
    if (known) return make(...known);
    const status = error.statusCode;
    if (status !== undefined && status >= 400 && status < 500) return make(
      status, 'API_MALFORMED', 'The request cannot be read: send what /openapi.json says',
    );
  }
  return make(500, 'API_INTERNAL', 'The server failed, through no fault of yours: its log says how');
}

const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && ('validation' in error || 'statusCode' in error || 'code' in error);

const place = (context: string | undefined): string =>
  context === 'params' ? 'path' : context === 'querystring' ? 'query' : (context ?? 'request');

/** Of the patterns for names of resources: nobody should have to read one. */
const NAME_BEGINS = '^[a-z0-9]([a-z0-9-]';

/** A body that is a list is one of documents: `/3/name` is `/name` of document 3. */
function faultOf({ instancePath, message, params, keyword }: FastifySchemaValidationError, body: boolean): Fault {
  const [, index, rest] = (body ? /^\/(\d+)(.*)$/.exec(instancePath) : undefined) ?? [];
  const names = typeof params['pattern'] === 'string' && params['pattern'].startsWith(NAME_BEGINS);
  if (keyword === 'pattern' && names) return { document: Number(index ?? 0), path: rest ?? instancePath, message: 'is no name: lower-case letters, digits and inner hyphens' };
  const extra = keyword === 'additionalProperties' ? ` (${JSON.stringify(params['additionalProperty'])})` : '';
  return { document: Number(index ?? 0), path: rest ?? instancePath, message: `${message ?? 'is not valid'}${extra}` };
}
