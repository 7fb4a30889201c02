/** A move while it runs: one live line on a terminal, one plain line per phase elsewhere. Time comes in as an argument. */
import type { MoveProgress } from '../agent/agent.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import { bar } from './bar.ts';
import { type Style, arrow } from './style.ts';
import { clip, formatBytes, formatMs } from './text.ts';

export interface ProgressOptions {
  /** Where to: stderr. `columns` is read anew for every line. */
  readonly out: { write(text: string): unknown; readonly columns?: number | undefined };
  readonly style: Style;
  readonly vm: string;
  readonly from: string;
  readonly to: string;
}

const LONGEST_BAR = 24;
/** For all but the name and the bar: `  100 %  9999 MB/s  copying, pass 99, 1023.9 MiB left` and spaces. */
const WORDS_WIDTH = 55;
const DEFAULT_COLUMNS = 80;
/** Between two drawings of the live line while the words stay the same. */
const INTERVAL = ms(100);
/** To the start of the line, and clear it. */
const CLEAR = '\r\u001b[K';

const WORDS: Readonly<Record<MoveProgress['phase'], string>> = {
  preparing: 'preparing', copying: 'copying',
  redirecting: 'switching', emptying: 'switching', stopping: 'switching', finishing: 'switching', committing: 'switching',
  releasing: 'switching', 'handing-over': 'switching',
  draining: 'draining', done: 'done', stranded: 'stranded',
  cancelling: 'going back', aborting: 'going back', pausing: 'going back', returning: 'going back', resuming: 'going back',
  'rolled-back': 'rolled back',
};
/** The phases in which everything has been copied. */
const COPIED: ReadonlySet<MoveProgress['phase']> = new Set<MoveProgress['phase']>([
  'committing', 'releasing', 'handing-over', 'draining', 'done',
]);

/** The words, the bar and the throttle; `fraction` never falls, not even when the guest dirties more than is copied. */
export class MoveProgressView {
  readonly #o: ProgressOptions;
  #startedAt: Milliseconds | undefined;
  #words = '';
  #total: number | undefined;
  #fraction = 0;
  #drawnAt: Milliseconds | undefined;
  #ended = false;

  constructor(options: ProgressOptions) {
    this.#o = options;
  }

  /** How much of the memory has been copied, 0..1: 1 - remaining / what remained at the first sample. */
  get fraction(): number {
    return this.#fraction;
  }

  /** `now` on any clock that does not go back. Ignored after `end`. */
  update(progress: MoveProgress, now: Milliseconds): void {
    if (this.#ended) return;
    this.#startedAt ??= now;
    this.#advance(progress);
    const words = WORDS[progress.phase];
    const changed = words !== this.#words;
    this.#words = words;
    if (!this.#o.style.bars) {
      if (changed) this.#o.out.write(`${this.#name()}: ${this.#describe(progress)} (after ${formatMs(now - this.#startedAt)})\n`);
      return;
    }
    if (!changed && this.#drawnAt !== undefined && now - this.#drawnAt < INTERVAL) return;
    this.#drawnAt = now;
    // One column stays free: a full last column would wrap, and the line could not be cleared any more.
    const room = (this.#o.out.columns || DEFAULT_COLUMNS) - 1;
    this.#o.out.write(CLEAR + [...this.#line(progress, room)].slice(0, room).join(''));
  }

  /** Gives the line back, empty. What became of the move is the receipt's to say. */
  end(): void {
    if (this.#drawnAt !== undefined && !this.#ended) this.#o.out.write(CLEAR);
    this.#ended = true;
  }

  #advance({ phase, sample }: MoveProgress): void {
    // Infinity, until QEMU has begun to count.
    if (sample && Number.isFinite(sample.remaining)) {
      if (sample.remaining > 0) this.#total ??= sample.remaining;
      if (this.#total !== undefined) this.#fraction = Math.max(this.#fraction, 1 - sample.remaining / this.#total);
    }
    if (COPIED.has(phase)) this.#fraction = 1;
  }

  #name(): string {
    const { vm, from, to, style } = this.#o;
    return `${clip(vm, 24)} ${clip(from, 16)} ${arrow(style)} ${clip(to, 16)}`;
  }

  #describe({ phase, sample }: MoveProgress): string {
    const words = WORDS[phase];
    if (phase !== 'copying' || !sample || sample.dirtySyncCount === 0) return words;
    return `${words}, pass ${sample.dirtySyncCount}, ${formatBytes(sample.remaining)} left`;
  }

  #line(progress: MoveProgress, room: number): string {
    const { unicode } = this.#o.style;
    const name = this.#name();
    // The bar is as long on every line, whatever the words are.
    const width = Math.max(0, Math.min(LONGEST_BAR, room - name.length - WORDS_WIDTH));
    const filled = bar(this.#fraction, width, unicode);
    const shown = filled + (unicode ? '░' : '.').repeat(width - filled.length);
    const rate = progress.phase === 'copying' && progress.sample ? progress.sample.throughput / 1e6 : 0;
    // QEMU says 0 before it has measured. Rounded down: 100 % is said only when it is so.
    const percent = `${Math.floor(this.#fraction * 100)} %`.padStart(5);
    return `${name}  ${shown} ${percent}${rate > 0 ? `  ${rate.toFixed(0)} MB/s` : ''}  ${this.#describe(progress)}`;
  }
}
