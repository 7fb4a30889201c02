/**
 * In which direction a probe was lost. A stateful reflector numbers its answers (RFC 8762 §4.3.1), so a gap in those numbers at the
 * sender is an answer lost on the way back, and a probe that is missing without a gap was lost on the way there.
 *
 *     probe    4  5  6  7  8        sent
 *     answer   9  -  -  10 12       of probes 5 and 6 neither arrived there; the answer 11, to nobody knows which, was lost
 *
 * Nothing is said of one loss alone: what is missing between two answers is divided when the later of them settles, and all answers that
 * overtook it are in by then. What a restart of the reflector hides stays without direction.
 *
 * Answers are counted from 0 in a 32-bit field: here they are unrolled, and never wrap.
 */

/** How many are missing, by direction. */
export interface LossByDirection {
  readonly forward: number;
  readonly backward: number;
  /** Before the first answer, around a restart, or since the last answer. */
  readonly unknown: number;
}

export type AnswerSeen = 'new' | 'again' | 'restart';

/** A count of answers that probes do not explain (a probe doubled on the way, one answer to it lost) is forgotten after so many. */
const SURPLUS_LASTS = 64;
/** How far back an answer is looked for that overtook another one. */
const REORDER_REACH = 32;

export class StampDirection {
  readonly #size: number;
  /** By answer number modulo size: which answer was seen, and to which probe. */
  readonly #seen: Float64Array;
  readonly #probeOf: Float64Array;
  #epoch = 0;
  #highest: number | undefined;
  #highestProbe = -1;
  #anchor: number | undefined;
  #anchorEpoch = 0;
  /** Probes missing since the anchor. */
  #pending = 0;
  #missing = 0;
  #gaps = 0;
  #surplusFor = 0;
  #unknown = 0;

  /** @param window how many probes may be under way */
  constructor(window: number) {
    this.#size = 2 * window;
    this.#seen = new Float64Array(this.#size).fill(-1);
    this.#probeOf = new Float64Array(this.#size);
  }

  /** Which of the reflector's lives is heard now, from 0. */
  get epoch(): number {
    return this.#epoch;
  }

  get totals(): LossByDirection {
    const backward = Math.min(this.#gaps, this.#missing);
    return { forward: this.#missing - backward, backward, unknown: this.#unknown + this.#pending };
  }

  /** The 32-bit number of an answer, unrolled. */
  unroll(answer: number): number {
    return this.#highest === undefined ? answer : this.#highest + ((answer - this.#highest) | 0);
  }

  /** Was `answer` overtaken by a higher one of this life? */
  isOvertaken(answer: number): boolean {
    return this.#highest !== undefined && answer < this.#highest;
  }

  /** An answer arrives, unrolled, to the probe of that number. */
  heard(answer: number, probe: number): AnswerSeen {
    const slot = answer % this.#size;
    const known = answer >= 0 && this.#seen[slot] === answer;
    if (known && this.#probeOf[slot] === probe) return 'again';
    const highest = this.#highest;
    // More answers than probes were sent since, or a number that was another probe's: the reflector counts anew.
    const ahead = highest !== undefined && answer - highest > Math.max(0, probe - this.#highestProbe) + this.#size / 2;
    const behind = highest !== undefined && answer <= highest - this.#size;
    const restart = known || ahead || behind;
    if (restart) {
      this.#epoch++;
      this.#seen.fill(-1);
      this.#highest = undefined;
    }
    // A new life begins at a small number, whatever the old one had unrolled to.
    if (answer >= 0) {
      this.#seen[slot] = answer;
      this.#probeOf[slot] = probe;
    }
    this.#highest = Math.max(this.#highest ?? answer, answer);
    this.#highestProbe = Math.max(this.#highestProbe, probe);
    return restart ? 'restart' : 'new';
  }

  /** Probes settle in their order: this one was not answered in time. */
  lost(): void {
    this.#pending++;
  }

  /** This one was, in that life. Returns whether the probe was overtaken on the way there (RFC 4737 §3). */
  answered(answer: number, probe: number, epoch: number): boolean {
    if (this.#anchor === undefined || epoch > this.#anchorEpoch) {
      this.#unknown += this.#pending;
      this.#pending = 0;
      this.#anchor = answer;
      this.#anchorEpoch = epoch;
      return false;
    }
    if (epoch < this.#anchorEpoch || epoch !== this.#epoch) return false;
    if (answer > this.#anchor) {
      for (let n = Math.max(this.#anchor + 1, answer - this.#size); n < answer; n++) if (this.#seen[n % this.#size] !== n) this.#gaps++;
      this.#missing += this.#pending;
      this.#pending = 0;
      this.#anchor = answer;
      this.#surplusFor = this.#gaps > this.#missing ? this.#surplusFor + 1 : 0;
      if (this.#surplusFor > SURPLUS_LASTS) this.#gaps = this.#missing;
    }
    for (let n = answer - 1; n >= 0 && n > answer - REORDER_REACH; n--) {
      const slot = n % this.#size;
      if (this.#seen[slot] === n && (this.#probeOf[slot] ?? 0) > probe) return true;
    }
    return false;
  }
}
