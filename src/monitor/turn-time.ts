/**
 * The two clocks, read together once in each turn of the event loop: the kernel stamps what arrives by the wall's clock, and round trips
 * are measured by the monotonic one.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { Native } from '../native/native.ts';
import { type UnixNanoseconds, unixNanoseconds } from '../wire/stamp-time.ts';

export class TurnTime {
  readonly #native: Pick<Native, 'monotonic' | 'now'>;
  /** Wall minus monotonic, ms. */
  #offset = 0;
  #turn = ms(0);

  constructor(native: Pick<Native, 'monotonic' | 'now'>) {
    this.#native = native;
    this.begin();
  }

  /** At the beginning of a turn: the wall's clock may have been set meanwhile. */
  begin(): Milliseconds {
    const now = this.#native.monotonic();
    this.#offset = this.#native.now() - now;
    this.#turn = ms(now);
    return this.#turn;
  }

  /** When this turn began. */
  get turn(): Milliseconds {
    return this.#turn;
  }

  now(): Milliseconds {
    return ms(this.#native.monotonic());
  }

  /** ms since the epoch. */
  epoch(at: Milliseconds): number {
    return at + this.#offset;
  }

  wall(at: Milliseconds): UnixNanoseconds {
    return nanoseconds(at + this.#offset);
  }

  /**
   * When something arrived that the kernel stamped with `timestamp`: after `since`, when nothing was waiting, and not in the future, even if
   * the wall's clock was set in between. @param now when this turn began
   */
  arrival(timestamp: number, since: Milliseconds, now: Milliseconds): Milliseconds {
    const at = timestamp - this.#offset;
    return ms(Math.max(since, at <= now ? at : Math.min(at, this.now())));
  }
}

/** A double holds today's ms to a quarter of a µs. */
export const nanoseconds = (epoch: number): UnixNanoseconds => unixNanoseconds(BigInt(Math.round(epoch * 1e6)));
