/** What happened, for people: one line each, kept in order. */
import type { Kind, Resource } from './resource.ts';
import type { RouterTransition } from './virtual-router.ts';

export type Severity = 'info' | 'warning' | 'alarm';

export interface EventSpec {
  /** By the server's clock, ms since the epoch. */
  readonly at: number;
  readonly severity: Severity;
  readonly about: { readonly kind: Kind; readonly name: string };
  readonly host?: string;
  /** One word for programs, CamelCase as kubectl has it: `Started`, `MoveFailed`, `AgentSilent`. */
  readonly reason: string;
  readonly message: string;
  /** Of a virtual router's transition: all that was known when it was decided, by its host's clock. */
  readonly evidence?: RouterTransition;
}
/** Its name is its place in the order: 16 digits. */
export type EventResource = Resource<'Event', EventSpec, never>;
