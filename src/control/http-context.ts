/** What every route has at hand, and what every request carries. */
import type { Clock } from '../base/clock.ts';
import type { Authority } from '../trust/authority.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Audience, Caller } from './http-caller.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Without, `admin`. */
    audience?: Audience;
  }
  interface FastifyRequest {
    caller: Caller;
  }
}

export interface HttpContext {
  readonly control: ControlPlane;
  readonly authority: Pick<Authority, 'certificate' | 'issueAgent'>;
  readonly clock: Clock;
  readonly version: string;
  /** Aborted when the server ends: no stream outlives it. */
  readonly ending: AbortSignal;
}
