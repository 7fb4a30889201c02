/** Refusals as problem details travel (RFC 9457), with Godwit's `code` and `faults` beside the members of the RFC. */
import { ApiError, type Fault } from './api.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  /** RFC 9457 §4.2.1: no more meaning than the status has; `code` says it. */
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly faults?: readonly Fault[];
}

export const problem = (status: number, code: string, title: string, detail: string, faults: readonly Fault[] = []): Problem => ({
  type: 'about:blank', title, status, detail, code, ...(faults.length > 0 ? { faults } : {}),
});

/** What a body says, if it is a problem of Godwit's; undefined if somebody else wrote it. */
export function parseProblem(status: number, body: string): ApiError | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || !('code' in parsed) || !('detail' in parsed)) return undefined;
  const { code, detail } = parsed;
  if (typeof code !== 'string' || typeof detail !== 'string') return undefined;
  const faults = 'faults' in parsed && Array.isArray(parsed.faults) ? parsed.faults.filter(isFault) : [];
  return new ApiError(status, code, detail, { faults });
}

const isFault = (fault: unknown): fault is Fault =>
  typeof fault === 'object' && fault !== null
  && 'document' in fault && typeof fault.document === 'number'
  && 'path' in fault && typeof fault.path === 'string'
  && 'message' in fault && typeof fault.message === 'string';
