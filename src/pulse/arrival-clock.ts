/** When something came in, on the monotonic clock, from the kernel's time stamps, which are of the other clock. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { Native } from '../native/native.ts';

/** One for each socket. */
export class ArrivalClock {
  readonly #native: Native;
  #drained: Milliseconds;
  /** CLOCK_REALTIME less CLOCK_MONOTONIC, of this drain. */
  #offset = 0;
  #began: Milliseconds;

  constructor(native: Native) {
    this.#native = native;
    this.#drained = ms(native.monotonic());
    this.#began = this.#drained;
  }

  /** A drain begins. */
  begin(): void {
    this.#began = ms(this.#native.monotonic());
    this.#offset = this.#native.now() - this.#began;
  }

  /** @param timestamp 0: none. The clock of the stamps may jump: nothing came in before the last drain, and nothing comes from the future. */
  at(timestamp: number): Milliseconds {
    const now = timestamp === 0 || timestamp - this.#offset > this.#began ? ms(this.#native.monotonic()) : this.#began;
    if (timestamp === 0) return now;
    return ms(Math.min(now, Math.max(timestamp - this.#offset, this.#drained)));
  }

  /** Did it come in while the drain was under way? Then it may be left for the next. */
  isNew(at: Milliseconds): boolean {
    return at > this.#began;
  }

  /** All that came in before `begin` has been read. */
  end(): void {
    this.#drained = this.#began;
  }
}
