/** Transitions of routers and of BFD sessions that no agent has acknowledged yet, in one count, the newest thousand of them. */
import type { BfdTransition } from '../model/bfd-session.ts';
import type { RouterTransition } from '../model/virtual-router.ts';

const MOST = 1000;

export class Untold {
  #kept: (RouterTransition | BfdTransition)[] = [];
  #sequence = 0;

  /** Numbers it and keeps it. */
  add<T extends Omit<RouterTransition, 'sequence'> | Omit<BfdTransition, 'sequence'>>(transition: T): T & { readonly sequence: number } {
    const whole = { sequence: ++this.#sequence, ...transition };
    this.#kept.push(whole);
    if (this.#kept.length > MOST) this.#kept.shift();
    return whole;
  }

  /** Up to this one they need not be told again. */
  seen(sequence: number): void {
    this.#kept = this.#kept.filter((transition) => transition.sequence > sequence);
  }

  all(): readonly (RouterTransition | BfdTransition)[] {
    return this.#kept;
  }
}
