/**
 * What a STAMP session's samples amount to: of a second, and of the last minute. Percentiles are those of the real samples (nearest rank).
 *
 * A probe is told of in the second in which its fate is known: `sent` is `answered` plus lost. A loss whose direction may still turn out
 * (stamp-direction.ts: with the next answer) waits for one second; in a total outage it is told as `unknown` then, and is not told again
 * when the path is back. In the minute it has the direction that turned out.
 *
 * Pure. Memory: 16 bytes for each answer of the last minute.
 */
import type { ClassFigures, Directions } from '../model/path.ts';
import type { StampSample, StampTotals } from '../protocol/stamp-sender.ts';

/** Seconds. */
const WINDOW = 60;

const NONE = new Float64Array(0);

interface Marks {
  readonly atReflector: number;
  readonly returned: number;
}

/** A second. */
class Slot {
  /** Sorted, when it is over. */
  rtts: Float64Array = NONE;
  jitter = 0;
  variations = 0;
  forward = 0;
  backward = 0;
  error = 0;
  errorKnown = true;
  oneWays = 0;
  marks: Marks | undefined;
}

export class PathFigures {
  readonly #dscp: number;
  #rtts = new Float64Array(16);
  #count = 0;
  #lastRtt: number | undefined;
  #now = new Slot();
  readonly #slots: Slot[] = [];
  /** The RTTs of all slots, sorted: kept so, since sorting them anew each second costs more than all else here. */
  #sorted: Float64Array = NONE;
  /** Totals at the end of each of these seconds, and one before. */
  readonly #totals: StampTotals[];
  /** Losses told so far, and of them without direction. */
  #told = 0;

  constructor(dscp: number, totals: StampTotals) {
    this.#dscp = dscp;
    this.#totals = [totals];
    this.#told = lostOf(totals);
  }

  answered({ rtt, forward, backward, marking }: Pick<StampSample, 'rtt' | 'forward' | 'backward' | 'marking'>): void {
    if (this.#count === this.#rtts.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#rtts);
      this.#rtts = larger;
    }
    this.#rtts[this.#count++] = rtt;
    const now = this.#now;
    if (this.#lastRtt !== undefined) {
      now.jitter += Math.abs(rtt - this.#lastRtt);
      now.variations++;
    }
    this.#lastRtt = rtt;
    if (forward.delay !== undefined && backward.delay !== undefined) {
      now.forward += forward.delay;
      now.backward += backward.delay;
      now.oneWays++;
      if (forward.error === undefined) now.errorKnown = false;
      else now.error = Math.max(now.error, forward.error);
    }
    if (marking) now.marks = { atReflector: marking.atReflector, returned: marking.returned };
  }

  /** The second is over. @param totals of the session, now */
  second(totals: StampTotals): ClassFigures {
    const before = this.#totals.at(-1) ?? totals;
    const lost = this.#tell(before, totals);
    const slot = this.#now;
    slot.rtts = this.#rtts.slice(0, this.#count).sort();
    this.#slots.push(slot);
    this.#totals.push(totals);
    let gone: Slot | undefined;
    if (this.#slots.length > WINDOW) {
      gone = this.#slots.shift();
      this.#totals.shift();
    }
    this.#sorted = exchanged(this.#sorted, gone?.rtts ?? NONE, slot.rtts);
    this.#count = 0;
    this.#now = new Slot();
    return figures(this.#dscp, before, totals, lost, [slot], slot.rtts);
  }

  /** The last minute, up to the end of the last second. */
  window(): ClassFigures {
    const [first, last] = [this.#totals[0], this.#totals.at(-1)];
    if (!first || !last) throw new Error('totals are never empty');
    const lost = {
      forward: Math.max(0, last.lost.forward - first.lost.forward), backward: Math.max(0, last.lost.backward - first.lost.backward),
      unknown: Math.max(0, last.lost.unknown - first.lost.unknown),
    };
    return figures(this.#dscp, first, last, lost, this.#slots, this.#sorted);
  }

  #tell(before: StampTotals, totals: StampTotals): Directions {
    // Of the losses without direction those count that were there a second ago.
    const settled = totals.lost.forward + totals.lost.backward + Math.min(before.lost.unknown, totals.lost.unknown);
    const count = Math.max(0, settled - this.#told);
    this.#told = Math.max(this.#told, settled);
    const forward = Math.max(0, totals.lost.forward - before.lost.forward);
    const backward = Math.max(0, totals.lost.backward - before.lost.backward);
    const directed = forward + backward;
    if (directed <= count) return { forward, backward, unknown: count - directed };
    // Some of them were told of, without direction, while nothing came back.
    const share = Math.round(count * forward / directed);
    return { forward: share, backward: count - share, unknown: 0 };
  }
}

/** Sorted, as all three are: without those of `gone`, which are all in it, and with those of `come`. */
function exchanged(sorted: Float64Array, gone: Float64Array, come: Float64Array): Float64Array {
  const out = new Float64Array(sorted.length - gone.length + come.length);
  let [at, left, added] = [0, 0, 0];
  for (const rtt of sorted) {
    if (left < gone.length && gone[left] === rtt) {
      left++;
      continue;
    }
    for (let next; (next = come[added]) !== undefined && next < rtt; added++) out[at++] = next;
    out[at++] = rtt;
  }
  out.set(come.subarray(added), at);
  return out;
}

const lostOf = ({ lost }: StampTotals): number => lost.forward + lost.backward + lost.unknown;

/** Nearest rank: the smallest that so great a share of all is not above. */
export const percentile = (sorted: Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0;

function figures(
  dscp: number, before: StampTotals, after: StampTotals, lost: Directions, slots: readonly Slot[], sorted: Float64Array,
): ClassFigures {
  const answered = sorted.length;
  let [jitter, variations, forward, backward, oneWays, error, errorKnown] = [0, 0, 0, 0, 0, 0, true];
  let marks: Marks | undefined;
  for (const slot of slots) {
    jitter += slot.jitter;
    variations += slot.variations;
    forward += slot.forward;
    backward += slot.backward;
    oneWays += slot.oneWays;
    error = Math.max(error, slot.error);
    errorKnown &&= slot.errorKnown;
    marks = slot.marks ?? marks;
  }
  let total = 0;
  for (const rtt of sorted) total += rtt;
  return {
    dscp, sent: answered + lost.forward + lost.backward + lost.unknown, answered, lost,
    late: after.late - before.late,
    duplicates: after.duplicates.forward + after.duplicates.backward - before.duplicates.forward - before.duplicates.backward,
    reordered: {
      forward: after.reordered.forward - before.reordered.forward, backward: after.reordered.backward - before.reordered.backward,
    },
    ...(answered > 0 && {
      rtt: {
        min: sorted[0] ?? 0, mean: total / answered, max: sorted[answered - 1] ?? 0,
        p50: percentile(sorted, 0.5), p90: percentile(sorted, 0.9), p99: percentile(sorted, 0.99),
        jitter: variations === 0 ? 0 : jitter / variations,
      },
    }),
    ...(oneWays > 0 && {
      oneWay: {
        forward: forward / oneWays, backward: backward / oneWays, ...(errorKnown && { error }),
      },
    }),
    ...(marks && { marking: marks }),
  };
}
