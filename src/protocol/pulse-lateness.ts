/**
 * How late this process is at its own deadlines, and what follows from it: the smallest interval between adverts that this host can hold.
 *
 * A Backup takes over 3 × interval + skew after the last advert that came in. An advert that leaves L late comes in interval + L after
 * the one before, so nobody takes over falsely as long as
 *
 *     interval + L < 3 × interval + skew        that is        L < 2 × interval        (skew is nearly 0 at priority 254)
 *
 * Only the worst L counts, and the worst that was seen is not the worst there is: with a margin of 2, interval ≥ L. One advert that is
 * lost on the way is then survived too: 2 × interval + L < 3 × interval. The Backup's own lateness only delays it: it reads its
 * socket before it decides.
 *
 * What was measured says little about load that has not come yet, so there is a floor:
 * - real-time scheduling: 10 ms, the smallest that version 3 can say. (Measured here: 2 to 3 ms late at worst, under 4 busy loops
 *   on 2 cores; 20 ms would be needed to do harm.)
 * - otherwise 100 ms, until a minute was measured; after that 50 ms. (Under the same loops 10 to 80 ms late: 50 ms bears just
 *   under 100, and the first bad tick raises it further.)
 * And a ceiling, 1 s: whoever stands still for longer has failed for as long, and a Backup should take over.
 */
import { unreachable } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';

/** Of the last minute. All times in ms, 0 as long as there was no tick. */
export interface LatenessStatistics {
  readonly ticks: number;
  /** The upper end of its class; classes are a fifth wide. */
  readonly median: number;
  readonly p99: number;
  /** Exact. */
  readonly worst: number;
  /** How long it has been measured, a minute at most. */
  readonly span: number;
}

export type Scheduling = 'realtime' | 'nice' | 'ordinary';

const SLOTS = 60;
const SLOT = 1000;
/** Classes of lateness: up to 0.01 ms, then each wider by a factor of 2^(1/4), so that the last begins at 655 s. */
const CLASSES = 105;
const FINEST = 0.01;
const PER_OCTAVE = 4;

const classOf = (late: number): number =>
  late <= FINEST ? 0 : Math.min(CLASSES - 1, Math.ceil(Math.log2(late / FINEST) * PER_OCTAVE));
const upperEnd = (index: number): number => FINEST * 2 ** (index / PER_OCTAVE);

/** A minute of ticks in slots of a second, in memory of a fixed size: nothing is allocated on a tick. */
export class LatenessWindow {
  readonly #counts = new Uint32Array(SLOTS * CLASSES);
  readonly #worst = new Float64Array(SLOTS);
  /** Which second a slot holds. */
  readonly #second = new Float64Array(SLOTS).fill(-Infinity);
  #first: number | undefined;

  /** A deadline that was met `late` ms after it was due. */
  tick(late: Milliseconds, now: Milliseconds): void {
    this.#first ??= now;
    const second = Math.floor(now / SLOT);
    const slot = ((second % SLOTS) + SLOTS) % SLOTS;
    if (this.#second[slot] !== second) {
      this.#counts.fill(0, slot * CLASSES, (slot + 1) * CLASSES);
      this.#worst[slot] = 0;
      this.#second[slot] = second;
    }
    const index = slot * CLASSES + classOf(late);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#worst[slot] = Math.max(this.#worst[slot] ?? 0, late);
  }

  statistics(now: Milliseconds): LatenessStatistics {
    const oldest = Math.floor(now / SLOT) - SLOTS;
    const sum = new Uint32Array(CLASSES);
    let [ticks, worst] = [0, 0];
    for (const [slot, second] of this.#second.entries()) {
      if (second <= oldest) continue;
      worst = Math.max(worst, this.#worst[slot] ?? 0);
      for (let i = 0; i < CLASSES; i++) {
        const count = this.#counts[slot * CLASSES + i] ?? 0;
        sum[i] = (sum[i] ?? 0) + count;
        ticks += count;
      }
    }
    const quantile = (share: number): number => {
      let left = Math.ceil(ticks * share);
      if (left === 0) return 0;
      const index = sum.findIndex((count) => (left -= count) <= 0);
      return Math.min(worst, upperEnd(index));
    };
    const span = this.#first === undefined ? 0 : Math.min(SLOTS * SLOT, now - this.#first);
    return { ticks, median: quantile(0.5), p99: quantile(0.99), worst, span };
  }
}

const STEP = 10;
const CEILING = 1000;

/** The smallest interval between adverts that these figures allow: 10 ms to 1 s, in steps of 10 ms. */
export const holdableInterval = ({ worst, span }: LatenessStatistics, scheduling: Scheduling): Milliseconds =>
  ms(Math.min(CEILING, Math.max(floor(scheduling, span), Math.ceil(worst / STEP) * STEP)));

function floor(scheduling: Scheduling, span: number): number {
  switch (scheduling) {
    case 'realtime': return STEP;
    case 'nice':
    case 'ordinary': return span < SLOTS * SLOT ? 100 : 50;
    default: return unreachable(scheduling);
  }
}

/** What is sent by, of what is needed: it rises at once, and falls once a minute at most, so that it does not flap with the load. */
export interface Held {
  readonly interval: Milliseconds;
  /** Since when something shorter would do. */
  readonly slackSince: Milliseconds | undefined;
}

const PATIENCE = 60_000;

export const beginHeld = (needed: Milliseconds): Held => ({ interval: needed, slackSince: undefined });

/** To be asked at least as often as once a second, and at once after a bad tick. It falls to what is needed then. */
export function hold(held: Held, needed: Milliseconds, now: Milliseconds): Held {
  if (needed >= held.interval) return { interval: needed, slackSince: undefined };
  if (held.slackSince === undefined) return { ...held, slackSince: now };
  return now - held.slackSince >= PATIENCE ? { interval: needed, slackSince: undefined } : held;
}
