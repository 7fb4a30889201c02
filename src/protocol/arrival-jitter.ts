/**
 * How long a peer that lives is silent: the gaps between its last arrivals, and what they say about longer ones.
 *
 * Gaps are kept in units of the interval that was agreed then, so that a change of it loses nothing. Up to the 90 % quantile u their own
 * distribution is taken. Beyond, where suspicion begins and no window is large enough to count, the excess over u is taken as
 * exponential with its measured mean e: P(gap > t) = P(gap > u) × exp(-(t - u)/e). Lost packets make gaps that are near multiples of
 * the interval, which fit this too (a geometric tail). The same is done from the 98 % quantile on, and the larger P counts: a host that
 * stalls now and then has two tails, a thin one and a long one. And nothing that was seen itself is called improbable: P is never below
 * the share of gaps in the window that were longer.
 * How good that is: of exponential gaps, 512 of them, where one in 10 000 is longer the P told is 1.5 in 10 000 in the median, half of all
 * windows say 0.6 to 2.8, and one in twenty less than 0.2. A time-out is off by much less, since it goes with the logarithm.
 * (Hayashibara's phi accrual, 2004, takes a normal distribution, whose tail no real host keeps to.)
 */

const TAILS = [0.9, 0.98] as const;
/** Sorted anew after so many arrivals: sorting 512 costs some 40 µs. */
const REFRESH = 32;

interface Tail {
  readonly from: number;
  /** P(gap > from), and the mean excess over it. */
  readonly beyond: number;
  readonly excess: number;
}

interface Fit {
  /** Ascending. */
  readonly sorted: Float64Array;
  readonly tails: readonly Tail[];
  readonly mean: number;
}

export class ArrivalJitter {
  readonly #gaps: Float64Array;
  #count = 0;
  #fit: Fit | undefined;
  #fitAt = 0;

  /** @param window gaps that are kept, at least 64 */
  constructor(window: number) {
    this.#gaps = new Float64Array(window);
  }

  /** Gaps there are, at most the window's. */
  get size(): number {
    return Math.min(this.#count, this.#gaps.length);
  }

  /** A gap, in intervals. */
  add(gap: number): void {
    this.#gaps[this.#count % this.#gaps.length] = gap;
    this.#count++;
  }

  /** The mean gap, in intervals; 1 as long as there is none. */
  get mean(): number {
    return this.size === 0 ? 1 : this.#fitted().mean;
  }

  /** How probable it is that a gap of a living peer is longer than this, in intervals. */
  probability(gap: number): number {
    if (this.size === 0) return 1;
    const { sorted, tails } = this.#fitted();
    const seen = (sorted.length - upTo(sorted, gap)) / sorted.length;
    const fitted = tails.map(({ from, beyond, excess }) => (gap <= from || excess === 0 ? 0 : beyond * Math.exp((from - gap) / excess)));
    return Math.max(seen, ...fitted);
  }

  /** The shortest gap, in intervals, that is less probable than this. */
  quantile(probability: number): number {
    if (this.size === 0) return Infinity;
    const { sorted, tails } = this.#fitted();
    const n = sorted.length;
    // So many may have been longer.
    const seen = sorted[Math.max(0, n - 1 - Math.floor(probability * n))] ?? 0;
    const fitted = tails.map(({ from, beyond, excess }) => (probability >= beyond ? 0 : from + excess * Math.log(beyond / probability)));
    return Math.max(seen, ...fitted);
  }

  #fitted(): Fit {
    // A small window is sorted with every arrival: each one tells much, and it costs little.
    const fresh = this.#count - this.#fitAt < (this.size < 4 * REFRESH ? 1 : REFRESH);
    if (this.#fit && fresh) return this.#fit;
    const sorted = this.#gaps.slice(0, this.size).sort();
    this.#fit = { sorted, tails: TAILS.map((share) => tailOf(sorted, share)), mean: mean(sorted) };
    this.#fitAt = this.#count;
    return this.#fit;
  }
}

function tailOf(sorted: Float64Array, share: number): Tail {
  const from = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const tail = sorted.subarray(upTo(sorted, from));
  return { from, beyond: tail.length / sorted.length, excess: tail.length === 0 ? 0 : mean(tail) - from };
}

const mean = (list: Float64Array): number => list.reduce((sum, gap) => sum + gap, 0) / list.length;

/** How many are at `gap` or below. */
function upTo(sorted: Float64Array, gap: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = low + high >> 1;
    if ((sorted[middle] ?? 0) <= gap) low = middle + 1;
    else high = middle;
  }
  return low;
}
