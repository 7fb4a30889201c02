/** A move while it runs, as its driver reports it. Time comes in as an argument. */
import type { MoveProgress } from '../agent/agent.ts';
import type { Milliseconds } from '../base/units.ts';
import { ProgressLine, type ProgressOptions } from './progress-line.ts';
import { formatBytes } from './text.ts';

/** For the text: `9999 MB/s  copying, pass 99, 1023.9 MiB left`. */
const TEXT_WIDTH = 46;

const WORDS: Readonly<Record<MoveProgress['phase'], string>> = {
  preparing: 'preparing', copying: 'copying',
  permitting: 'switching', redirecting: 'switching', emptying: 'switching', stopping: 'switching', finishing: 'switching',
  'handing-over': 'switching',
  draining: 'draining', done: 'done', stranded: 'stranded', dead: 'dead', 'in-doubt': 'in doubt',
  cancelling: 'going back', aborting: 'going back', pausing: 'going back', returning: 'going back', resuming: 'going back',
  'rolled-back': 'rolled back',
};
/** The phases in which everything has been copied. */
const COPIED: ReadonlySet<MoveProgress['phase']> = new Set<MoveProgress['phase']>(['handing-over', 'draining', 'done']);

/** How much has been copied follows from what remains, which rises when the guest dirties more than is copied. */
export class MoveProgressView {
  readonly #line: ProgressLine;
  #total: number | undefined;

  constructor(options: ProgressOptions) {
    this.#line = new ProgressLine(options, TEXT_WIDTH);
  }

  /** How much of the memory has been copied, 0..1: 1 - remaining / what remained at the first sample. Never falls. */
  get fraction(): number {
    return this.#line.fraction;
  }

  /** `now` on any clock that does not go back. Ignored after `end`. */
  update({ phase, sample }: MoveProgress, now: Milliseconds): void {
    let fraction = COPIED.has(phase) ? 1 : 0;
    // Infinity, until QEMU has begun to count.
    if (sample && Number.isFinite(sample.remaining)) {
      if (sample.remaining > 0) this.#total ??= sample.remaining;
      if (this.#total !== undefined) fraction = Math.max(fraction, 1 - sample.remaining / this.#total);
    }
    const words = WORDS[phase];
    const copying = phase === 'copying' ? sample : undefined;
    const counted = copying !== undefined && copying.dirtySyncCount > 0;
    const text = counted ? `${words}, pass ${copying.dirtySyncCount}, ${formatBytes(copying.remaining)} left` : words;
    // QEMU says 0 before it has measured.
    const rate = copying && copying.throughput > 0 ? `${(copying.throughput / 1e6).toFixed(0)} MB/s` : undefined;
    this.#line.draw({ words, text, fraction, ...(rate === undefined ? {} : { rate }) }, now);
  }

  /** Gives the line back, empty. What became of the move is the receipt's to say. */
  end(): void {
    this.#line.end();
  }
}
