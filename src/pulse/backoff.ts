/** When what was refused is tried again: after a second, then after twice as long each time, up to a minute. Pure. */
import { type Milliseconds, seconds } from '../base/units.ts';

const FIRST = seconds(1);
const MOST = seconds(60);

export class Backoff {
  readonly #waits = new Map<string, { readonly wait: number; readonly due: number }>();

  failed(what: string, now: Milliseconds): void {
    const wait = Math.min(MOST, 2 * (this.#waits.get(what)?.wait ?? FIRST / 2));
    this.#waits.set(what, { wait, due: now + wait });
  }

  /** It was not refused, or is another now: what comes next begins anew. */
  succeeded(what: string): void {
    this.#waits.delete(what);
  }

  /** Those to try now; each is told once until it failed again. */
  due(now: Milliseconds): string[] {
    const due = [...this.#waits].filter(([, wait]) => wait.due <= now);
    for (const [what, { wait }] of due) this.#waits.set(what, { wait, due: Infinity });
    return due.map(([what]) => what);
  }
}
