/** One live line on a terminal, plain lines elsewhere: the bar, the throttle, and a fraction that never falls. */
import { type Milliseconds, ms } from '../base/units.ts';
import { bar } from './bar.ts';
import { type Style, arrow } from './style.ts';
import { clip, formatMs } from './text.ts';

export interface ProgressOptions {
  /** Where to: stderr. `columns` is read anew for every line. */
  readonly out: { write(text: string): unknown; readonly columns?: number | undefined };
  readonly style: Style;
  readonly vm: string;
  readonly from: string;
  readonly to: string;
}

export interface ProgressState {
  /** What it is doing; a change of it is shown at once. */
  readonly words: string;
  /** The words with their numbers. */
  readonly text: string;
  /** Anything; it is held to 0..1, and what is shown does not fall. */
  readonly fraction: number;
  /** Between the percent and the text, on a live line. */
  readonly rate?: string;
}

const LONGEST_BAR = 24;
/** `  100 %  ` and the space in front of the bar. */
const PERCENT_WIDTH = 9;
const DEFAULT_COLUMNS = 80;
/** Between two drawings of the live line while the words stay the same. */
const INTERVAL = ms(100);
/** To the start of the line, and clear it. */
const CLEAR = '\r\u001b[K';

export class ProgressLine {
  readonly #o: ProgressOptions;
  readonly #textWidth: number;
  /** Between two plain lines while the words stay the same. */
  readonly #plainInterval: Milliseconds;
  #startedAt: Milliseconds | undefined;
  #words = '';
  #fraction = 0;
  #writtenAt: Milliseconds | undefined;
  #shown = '';
  #ended = false;

  /** `textWidth`: columns kept free for rate and text; the bar gets what is left of the terminal. */
  constructor(options: ProgressOptions, textWidth: number, plainInterval: Milliseconds = ms(Infinity)) {
    this.#o = options;
    this.#textWidth = textWidth;
    this.#plainInterval = plainInterval;
  }

  get fraction(): number {
    return this.#fraction;
  }

  /** `now` on any clock that does not go back. Ignored after `end`. */
  draw(state: ProgressState, now: Milliseconds): void {
    if (this.#ended) return;
    this.#startedAt ??= now;
    if (state.fraction > this.#fraction) this.#fraction = Math.min(1, state.fraction);
    const changed = state.words !== this.#words;
    const { bars } = this.#o.style;
    if (!changed && this.#writtenAt !== undefined && now - this.#writtenAt < (bars ? INTERVAL : this.#plainInterval)) return;
    this.#words = state.words;
    this.#writtenAt = now;
    if (!bars) {
      this.#o.out.write(`${this.#name()}: ${state.text} (after ${formatMs(now - this.#startedAt)})\n`);
      return;
    }
    // One column stays free: a full last column would wrap, and the line could not be cleared any more.
    const room = (this.#o.out.columns || DEFAULT_COLUMNS) - 1;
    this.#shown = [...this.#line(state, room)].slice(0, room).join('');
    this.#o.out.write(CLEAR + this.#shown);
  }

  /** A line of its own that stays, above the live one. */
  note(text: string): void {
    if (this.#shown === '' || this.#ended) this.#o.out.write(`${text}\n`);
    else this.#o.out.write(`${CLEAR}${text}\n${this.#shown}`);
  }

  /** Gives the line back, empty. */
  end(): void {
    if (this.#shown !== '' && !this.#ended) this.#o.out.write(CLEAR);
    this.#ended = true;
  }

  #name(): string {
    const { vm, from, to, style } = this.#o;
    return `${clip(vm, 24)} ${clip(from, 16)} ${arrow(style)} ${clip(to, 16)}`;
  }

  #line({ text, rate }: ProgressState, room: number): string {
    const { unicode } = this.#o.style;
    const name = this.#name();
    // The bar is as long on every line, whatever the words are.
    const width = Math.max(0, Math.min(LONGEST_BAR, room - name.length - PERCENT_WIDTH - this.#textWidth));
    const filled = bar(this.#fraction, width, unicode);
    const shown = filled + (unicode ? '░' : '.').repeat(width - filled.length);
    // Rounded down: 100 % is said only when it is so.
    const percent = `${Math.floor(this.#fraction * 100)} %`.padStart(5);
    return `${name}  ${shown} ${percent}${rate === undefined ? '' : `  ${rate}`}  ${text}`;
  }
}
