/** What happened, for people: one line each, kept in order. */
import type { Kind, Resource } from './resource.ts';
import type { BfdTransition } from './bfd-session.ts';
import type { PathTurnReport } from './path.ts';
import type { RouterTransition } from './virtual-router.ts';
import type { AlertReport } from './watch-plan.ts';

export type Severity = 'info' | 'warning' | 'alarm';

/** All that was known when it was decided, for `godwit why`. */
export type EventEvidence =
  | RouterTransition
  | { readonly kind: 'session'; readonly transition: BfdTransition }
  | { readonly kind: 'path'; readonly turn: PathTurnReport }
  | { readonly kind: 'alert'; readonly alert: AlertReport }
  | { readonly kind: 'verdict'; readonly verdict: VerdictReport }
  | { readonly kind: 'action'; readonly action: ActionReport };

/** What the observers of a host came to (protocol/verdict.ts). */
export interface VerdictReport {
  readonly host: string;
  readonly verdict: 'dead' | 'path-down' | 'one-way' | 'gray' | 'self' | 'fine' | 'unknown';
  readonly because: string;
  readonly paths: readonly string[];
  readonly observers: number;
  readonly voters: number;
  /** Without a vote, with the reason. */
  readonly abstained: Readonly<Record<string, string>>;
  readonly disagreed: readonly string[];
  /** Sent to it and come from it, of all voters. */
  readonly probes: number;
  readonly arrivals: number;
  /** ms: the worst of those who have a vote. */
  readonly worstLateness: number;
}

/** Something that Godwit did of itself, or would have done. */
export interface ActionReport {
  readonly action: 'path' | 'bandwidth' | 'target' | 'evacuate' | 'priority';
  readonly mode: 'advise' | 'act';
  /** What, in words: `path storage between h1 and h2 is taken out of use`. */
  readonly what: string;
  /** Why, each with its numbers. */
  readonly because: readonly string[];
  /** Why it was advised only, or held back: the limit, the last path, no room elsewhere. */
  readonly heldBack?: string;
}

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
  readonly evidence?: EventEvidence;
}
/** Its name is its place in the order: 16 digits. */
export type EventResource = Resource<'Event', EventSpec, never>;
