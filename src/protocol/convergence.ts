/**
 * When is a copy close enough to its end to stop the guest? `remaining` is only true right after a dirty sync, so decide on the
 * first answer after the pass count rose.
 */
import { type Bytes, type BytesPerSecond, type Milliseconds, bytesPerSecond, ms } from '../base/units.ts';

/** One answer of query-migrate. */
export interface CopySample {
  readonly at: Milliseconds;
  /** dirty-sync-count: 1 during the first pass over all memory. */
  readonly pass: number;
  /** Bytes known to be dirty, less those sent since the last sync. */
  readonly remaining: Bytes;
  readonly throughput: BytesPerSecond;
}

export interface Convergence {
  readonly passes: number;
  /** The highest seen: near the end there is too little to send for a rate to be measured. */
  readonly throughput: BytesPerSecond;
  readonly startedAt?: Milliseconds;
}

export interface SwitchPolicy {
  /** What is left may take this long to send while the guest stands still. */
  readonly lastPass: Milliseconds;
  /** After this long without convergence the last pass may take `lastPassLate`. */
  readonly patience: Milliseconds;
  readonly lastPassLate: Milliseconds;
  /** After this long the move is given up. */
  readonly maxCopy: Milliseconds;
}

export type Verdict =
  | { readonly decide: 'wait'; readonly convergence: Convergence; readonly after: Milliseconds }
  | { readonly decide: 'switch' }
  | { readonly decide: 'give-up'; readonly reason: string };

/**
 * For progress, and in case QEMU's word of a pass's end is missed: whoever asks looks again at once when a pass ends. Asking more
 * often would take from the copy the processor time that it needs.
 */
const INTERVAL = ms(50);
/** QEMU measures its throughput every 100 ms; before that it says 0. */
const THROUGHPUT_UNKNOWN = 256 * 1024 * 1024;

export const unconverged: Convergence = { passes: 0, throughput: bytesPerSecond(0) };

export function judge(before: Convergence, sample: CopySample, policy: SwitchPolicy): Verdict {
  const startedAt = before.startedAt ?? sample.at;
  const copying = sample.at - startedAt;
  const throughput = bytesPerSecond(Math.max(before.throughput, sample.throughput));
  const left = (sample.remaining / (throughput || THROUGHPUT_UNKNOWN)) * 1000;
  const fresh = sample.pass > before.passes;
  const late = copying > policy.patience;
  const convergence: Convergence = { passes: sample.pass, throughput, startedAt };

  if (sample.pass >= 2 && fresh && left <= (late ? policy.lastPassLate : policy.lastPass)) return { decide: 'switch' };
  if (copying > policy.maxCopy) {
    return { decide: 'give-up', reason: `The guest dirties memory faster than it can be copied: after ${Math.round(copying / 1000)} s a pass still leaves ${Math.round(left)} ms` };
  }
  return { decide: 'wait', convergence, after: INTERVAL };
}
