/** Transitions that no agent has acknowledged yet, the newest thousand of them. */
import type { RouterTransition } from '../model/virtual-router.ts';

const MOST = 1000;

export class Untold {
  #kept: RouterTransition[] = [];
  #sequence = 0;

  /** Numbers it and keeps it. */
  add(transition: Omit<RouterTransition, 'sequence'>): RouterTransition {
    const whole = { sequence: ++this.#sequence, ...transition };
    this.#kept.push(whole);
    if (this.#kept.length > MOST) this.#kept.shift();
    return whole;
  }

  /** Up to this one they need not be told again. */
  seen(sequence: number): void {
    this.#kept = this.#kept.filter((transition) => transition.sequence > sequence);
  }

  all(): readonly RouterTransition[] {
    return this.#kept;
  }
}
