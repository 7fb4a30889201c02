/** What each host is to watch, made once for all agents that listen: of what is declared, whenever that changed. */
import type { BfdSessionPlan } from '../model/bfd-session.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { sessionPlans } from '../policy/bfd-plan.ts';
import { watchPlan } from '../policy/watch-plan.ts';
import type { View } from './draft.ts';
import { policyOf } from './lookup.ts';

export interface DetectionPlan {
  readonly sessions: readonly BfdSessionPlan[];
  /** Absent: there is no such host. */
  readonly watch?: WatchPlan;
}

export class DetectionPlans {
  /** What they were made of, as text, and of which revision it was looked at last. */
  #of = '';
  #revision: number | undefined;
  #plans = new Map<string, DetectionPlan>();

  plan(view: View, host: string): DetectionPlan {
    const known = this.#revision === view.revision ? this.#plans.get(host) : undefined;
    if (known) return known;
    const hosts = new Map(view.rows('hosts').map(({ name, record }) => [name, record.spec]));
    const sessions = new Map(view.rows('bfdsessions').map(({ name, record }) => [name, record.spec]));
    if (this.#revision !== view.revision) {
      const of = JSON.stringify([[...hosts], [...sessions], policyOf(view)]);
      if (of !== this.#of) this.#plans = new Map();
      [this.#of, this.#revision] = [of, view.revision];
    }
    const kept = this.#plans.get(host);
    if (kept) return kept;
    const watch = watchPlan(host, hosts, policyOf(view));
    const made: DetectionPlan = { sessions: sessionPlans(sessions, host, hosts, policyOf(view)), ...(watch ? { watch } : {}) };
    this.#plans.set(host, made);
    return made;
  }
}
