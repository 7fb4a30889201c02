/** How late this process is, and what of it the others are told: the interval that it can hold. */
import { type Milliseconds } from '../base/units.ts';
import type { PulseTiming } from '../model/virtual-router.ts';
import type { RealtimeResult } from '../native/native.ts';
import { type Held, LatenessWindow, beginHeld, hold, holdableInterval } from '../protocol/pulse-lateness.ts';

export class OwnLateness {
  readonly #window = new LatenessWindow();
  readonly #realtime: RealtimeResult;
  #held: Held;

  constructor(realtime: RealtimeResult, now: Milliseconds) {
    this.#realtime = realtime;
    this.#held = beginHeld(holdableInterval(this.#window.statistics(now), realtime.scheduling));
  }

  /** The smallest interval that this host can hold now. */
  get holdable(): Milliseconds {
    return this.#held.interval;
  }

  /** A deadline was met so late. True: so late that `look` is due at once. */
  tick(late: Milliseconds, now: Milliseconds): boolean {
    this.#window.tick(late, now);
    return late > this.#held.interval;
  }

  /** Every second. True: what it can hold has changed. */
  look(now: Milliseconds): boolean {
    const before = this.#held.interval;
    this.#held = hold(this.#held, holdableInterval(this.#window.statistics(now), this.#realtime.scheduling), now);
    return this.#held.interval !== before;
  }

  worst(now: Milliseconds): number {
    return this.#window.statistics(now).worst;
  }

  timing(now: Milliseconds): PulseTiming {
    const { scheduling, because } = this.#realtime;
    const { ticks, median, p99, worst } = this.#window.statistics(now);
    return { scheduling, ...(because !== undefined && { because }), ticks, median, p99, worst, smallestInterval: this.#held.interval };
  }
}
