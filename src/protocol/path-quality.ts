/**
 * Whether a path is fit for use, by its loss and its latency: exponential averages with a rising and a falling threshold, after SmokePing's
 * ExpLoss matcher, where `history` is the number of probes after which one has 1 % of its weight left.
 *
 * - **Out of use** by the quick average, of `history` probes: it reaches `rising`, and the loss in it is not a chance of a good path: its
 *   lower bound at 4 standard deviations is above `falling`. Or by the fast path: `fast.lost` of the last
 *   `fast.probes` (a broken path need not wait).
 * - **Back** by the slow average, of twenty times as many: quick and slow are both at `falling` or below, and the path has been out
 *   for its hold time.
 * - The hold time doubles with each time it goes out again within `relapse` of coming back, to `hold.most`.
 *
 * Two averages, because one would have to be both: a loss that oscillates round `rising` drags the quick one to and fro, and the slow one,
 * with a twentieth of its variance, stays between the thresholds.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import { type ShareBounds, wilson } from './confidence.ts';

export interface Thresholds {
  /** Reached: bad. */
  readonly rising: number;
  /** Reached from above: good again. Below `rising`. */
  readonly falling: number;
}

export interface QualityPolicy {
  /** Shares of probes, 0..1. */
  readonly loss: Thresholds;
  /** RTT in ms; undefined: latency is not judged. */
  readonly latency: Thresholds | undefined;
  /** Probes. */
  readonly history: number;
  readonly fast: { readonly probes: number; readonly lost: number };
  readonly hold: { readonly least: Milliseconds; readonly most: Milliseconds };
  readonly relapse: Milliseconds;
}

/** 3 % loss is out within some 300 probes; back below 0.5 % after some 4000 good ones. */
export const defaultQualityPolicy: QualityPolicy = {
  loss: { rising: 0.02, falling: 0.005 }, latency: undefined, history: 400, fast: { probes: 10, lost: 5 },
  hold: { least: seconds(30), most: seconds(900) }, relapse: seconds(1800),
};

export type Fitness = 'fit' | 'unfit';

export interface QualityTurn {
  readonly to: Fitness;
  /** In words, with its numbers: `loss 3.1 % of 65 probes (1.2 to 7.6 %), limit 2 %`. */
  readonly because: string;
}

export interface QualityStatus {
  readonly fitness: Fitness;
  readonly since: Milliseconds;
  readonly because: string | undefined;
  readonly probes: number;
  /** The quick averages. */
  readonly loss: number;
  readonly latency: Milliseconds | undefined;
  readonly slowLoss: number;
  /** It is in use, and its loss is above `falling`: more probes a second would decide sooner. */
  readonly suspicious: boolean;
  /** Where the loss is with 95 % confidence, by the quick average and by the slow one. */
  readonly bounds: ShareBounds;
  readonly slowBounds: ShareBounds;
  /** Not before then it comes back. */
  readonly heldUntil: Milliseconds | undefined;
}

/** A mean that forgets: as if of the last `size` values, weighted. */
class Average {
  readonly #weight: number;
  #mean = 0;
  #total = 0;
  #squares = 0;

  /** @param history the last of so many values has 1 % of the weight of the first */
  constructor(history: number) {
    this.#weight = 0.01 ** (1 / history);
  }

  add(value: number): void {
    this.#total = this.#total * this.#weight + 1;
    this.#squares = this.#squares * this.#weight ** 2 + 1;
    this.#mean += (value - this.#mean) / this.#total;
  }

  get mean(): number {
    return this.#mean;
  }

  /** How many values of equal weight would know as much (Kish). */
  get size(): number {
    return this.#squares === 0 ? 0 : this.#total ** 2 / this.#squares;
  }
}

const SLOWER = 20;
/** One lost probe is no loss rate, however few there were. */
const LEAST_LOST = 2;
/**
 * Standard deviations: a path is looked at a million times a day. By simulation, with the defaults: 3 % loss is out within 300 probes in 94
 * of 100 cases, and 0.1 % in one of some 300 000 probes. At 3 it would be 99 of 100, and one in 50 000.
 */
const Z_FALL = 4;
/** A latency counts as so many times the rising threshold at most: one lost second is no slow path. */
const LATENCY_MOST = 4;
/** Before latency is judged. */
const LEAST_ANSWERS = 25;

export class PathQuality {
  readonly #policy: QualityPolicy;
  readonly #loss: { readonly quick: Average; readonly slow: Average };
  readonly #latency: { readonly quick: Average; readonly slow: Average };
  /** The last probes: 1 for a lost one. */
  readonly #recent: Uint8Array;
  #recentLost = 0;
  #probes = 0;
  #fitness: Fitness = 'fit';
  #because: string | undefined;
  #since: Milliseconds;
  #hold: Milliseconds;
  #backAt: Milliseconds | undefined;

  constructor(policy: QualityPolicy, now: Milliseconds) {
    const { history } = policy;
    this.#policy = policy;
    this.#loss = { quick: new Average(history), slow: new Average(history * SLOWER) };
    this.#latency = { quick: new Average(history), slow: new Average(history * SLOWER) };
    this.#recent = new Uint8Array(policy.fast.probes);
    this.#since = now;
    this.#hold = policy.hold.least;
  }

  /** What became of a probe, in the order of their settling. @param rtt undefined: it was lost */
  probe(rtt: Milliseconds | undefined, now: Milliseconds): QualityTurn | undefined {
    const lost = rtt === undefined ? 1 : 0;
    const slot = this.#probes % this.#recent.length;
    this.#recentLost += lost - (this.#recent[slot] ?? 0);
    this.#recent[slot] = lost;
    this.#probes++;
    this.#loss.quick.add(lost);
    this.#loss.slow.add(lost);
    if (rtt !== undefined) {
      const latency = Math.min(rtt, LATENCY_MOST * (this.#policy.latency?.rising ?? Infinity));
      this.#latency.quick.add(latency);
      this.#latency.slow.add(latency);
    }
    return this.#fitness === 'fit' ? this.#fall(now) : this.#rise(now);
  }

  status(): QualityStatus {
    const { quick, slow } = this.#loss;
    return {
      fitness: this.#fitness, since: this.#since, because: this.#because, probes: this.#probes, loss: quick.mean, slowLoss: slow.mean,
      suspicious: this.#fitness === 'fit' && quick.mean > this.#policy.loss.falling,
      latency: this.#latency.quick.size > 0 ? ms(this.#latency.quick.mean) : undefined, bounds: boundsOf(quick), slowBounds: boundsOf(slow),
      heldUntil: this.#fitness === 'unfit' ? ms(this.#since + this.#hold) : undefined,
    };
  }

  #fall(now: Milliseconds): QualityTurn | undefined {
    const { loss, latency, fast, history, hold, relapse } = this.#policy;
    const { quick } = this.#loss;
    const lost = quick.mean * quick.size;
    let because: string | undefined;
    if (this.#recentLost >= fast.lost) because = `${this.#recentLost} of the last ${Math.min(this.#probes, fast.probes)} probes lost`;
    else if (quick.mean >= loss.rising && lost >= LEAST_LOST && wilson(lost, quick.size, Z_FALL).low > loss.falling) {
      because = `loss ${lossText(quick)}, limit ${percent(loss.rising)}`;
    } else if (latency && this.#latency.quick.size >= Math.min(history / 4, LEAST_ANSWERS) && this.#latency.quick.mean >= latency.rising) {
      because = `latency ${this.#latency.quick.mean.toFixed(2)} ms, limit ${latency.rising} ms`;
    }
    if (because === undefined) return undefined;
    const again = this.#backAt !== undefined && now - this.#backAt < relapse;
    this.#hold = again ? ms(Math.min(hold.most, this.#hold * 2)) : hold.least;
    return this.#turn('unfit', because, now);
  }

  #rise(now: Milliseconds): QualityTurn | undefined {
    const { loss, latency } = this.#policy;
    const { quick, slow } = this.#loss;
    if (now - this.#since < this.#hold) return undefined;
    if (quick.mean > loss.falling || slow.mean > loss.falling) return undefined;
    if (latency && (this.#latency.quick.mean > latency.falling || this.#latency.slow.mean > latency.falling)) return undefined;
    this.#backAt = now;
    return this.#turn('fit', `loss ${lossText(slow)}, limit ${percent(loss.falling)}`, now);
  }

  #turn(to: Fitness, because: string, now: Milliseconds): QualityTurn {
    this.#fitness = to;
    this.#because = because;
    this.#since = now;
    return { to, because };
  }
}

const boundsOf = (average: Average): ShareBounds => wilson(average.mean * average.size, average.size);
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.001 ? 2 : 1)} %`;

function lossText(average: Average): string {
  const { low, high } = boundsOf(average);
  return `${percent(average.mean)} of some ${Math.round(average.size)} probes (${percent(low)} to ${percent(high)})`;
}
