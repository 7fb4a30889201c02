/** How often something was done lately. What was done may be undone only while there is room for doing it again. */
import type { ActPolicy, Deed } from './acting-facts.ts';
import type { Milliseconds } from '../base/units.ts';

export class Limits {
  readonly #policy: ActPolicy;
  readonly #lately = new Map<string, number>();
  /** In this decision. */
  readonly done: string[] = [];

  constructor(policy: ActPolicy, deeds: readonly Deed[], at: Milliseconds) {
    this.#policy = policy;
    for (const deed of deeds) if (at - deed.at < policy.within) this.#count(deed.key);
  }

  /** How often lately, this decision included. */
  lately(key: string): number {
    return this.#lately.get(key) ?? 0;
  }

  /** Why it may not be done now; undefined: it may. */
  full(key: string): string | undefined {
    const times = this.lately(key);
    const { limit, within } = this.#policy;
    return times < limit ? undefined : `it was done ${times} ${times === 1 ? 'time' : 'times'} in the last ${minutes(within)}: act.limit allows no more`;
  }

  take(key: string): void {
    this.#count(key);
    this.done.push(key);
  }

  #count(key: string): void {
    this.#lately.set(key, this.lately(key) + 1);
  }
}

const minutes = (span: Milliseconds): string => (span >= 120_000 ? `${Math.round(span / 60_000)} min` : `${Math.round(span / 1000)} s`);
