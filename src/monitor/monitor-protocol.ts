/**
 * monitor/: a process of its own on every host that measures (STAMP on every path, counters of links, NICs, TCP and of the host), keeps
 * what it measured, serves /metrics, and judges. It has no part in keeping anything alive: its agent starts it and it ends with its agent.
 * It must never hold up the agent or the pulse, which is why it is alone.
 *
 * What agent and monitor tell each other: lines of JSON on the child's stdin and stdout (its stderr is its log). Both ways whole states,
 * but for turns, which are numbered.
 */
import type { CounterReport } from '../model/counters.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import type { PathReport, PathTurnReport } from '../model/path.ts';
import type { AlertReport, WatchPlan } from '../model/watch-plan.ts';

/** A tap of a VM of this host, and what its counters are to be called. */
export interface WatchedNic {
  readonly device: string;
  readonly vm: string;
  readonly nic: number;
}

export type MonitorCommand =
  /** All that it is to do. What did not change goes on undisturbed. */
  | { readonly kind: 'plan'; readonly plan: WatchPlan; readonly nics: readonly WatchedNic[] }
  | { readonly kind: 'query'; readonly id: number; readonly query: HistoryQuery };

export type MonitorMessage =
  /** First. `monitor`: new with every start. */
  | { readonly kind: 'hello'; readonly monitor: string; readonly pid: number; readonly version: string }
  /** Every second. */
  | { readonly kind: 'report'; readonly paths: readonly PathReport[]; readonly counters: CounterReport; readonly alerts: readonly AlertReport[]; readonly troubles: readonly string[] }
  /** At once. */
  | { readonly kind: 'turn'; readonly turn: PathTurnReport }
  | { readonly kind: 'answer'; readonly id: number; readonly history: History }
  | { readonly kind: 'no-answer'; readonly id: number; readonly code: string; readonly message: string };
