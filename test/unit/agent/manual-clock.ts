/** Time that passes only when a test says so. */
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../../src/base/clock.ts';
import { type Milliseconds, ms } from '../../../src/base/units.ts';

export class ManualClock implements Clock {
  #now = 0;
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): Milliseconds {
    return ms(1e12 + this.#now);
  }

  monotonic(): Milliseconds {
    return ms(this.#now);
  }

  sleep(duration: Milliseconds, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = { at: this.#now + Math.max(0, duration), wake: () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', sleeper.wake);
        resolve();
      } };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  get sleepers(): number {
    return this.#sleepers.size;
  }

  async advance(duration: number): Promise<void> {
    const end = this.#now + duration;
    for (;;) {
      await drain();
      const [next] = [...this.#sleepers].sort((a, b) => a.at - b.at);
      if (!next || next.at > end) break;
      this.#now = next.at;
      next.wake();
    }
    this.#now = end;
    await drain();
  }
}

/** Everything that does not wait for time has happened. */
export async function drain(): Promise<void> {
  for (let i = 0; i < 10; i++) await setImmediate();
}
