/** Instants of the monotonic clock, in ms since the epoch: reckoned once each, since between the two clocks the offset wobbles. */
import type { Milliseconds } from '../base/units.ts';
import type { Native } from '../native/native.ts';

export class Epochs {
  readonly #native: Native;
  readonly #known = new Map<string, { readonly at: Milliseconds; readonly epoch: number }>();

  constructor(native: Native) {
    this.#native = native;
  }

  /** Whole ms. `key`: of what it is the instant, one at a time. */
  of(key: string, at: Milliseconds): number {
    const known = this.#known.get(key);
    if (known?.at === at) return known.epoch;
    const epoch = Math.round(this.#native.now() - (this.#native.monotonic() - at));
    this.#known.set(key, { at, epoch });
    return epoch;
  }

  /** Forgets the others. */
  keep(still: (key: string) => boolean): void {
    for (const key of this.#known.keys()) if (!still(key)) this.#known.delete(key);
  }
}
