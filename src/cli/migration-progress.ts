/** A migration while it runs, as the server tells it. */
import { type Milliseconds, seconds } from '../base/units.ts';
import type { MigrationResource, MigrationStatus } from '../model/migration.ts';
import { ProgressLine, type ProgressOptions } from './progress-line.ts';
import { formatBytes, formatMs, formatRate, oneLine } from './text.ts';

/** For the text: `copy, 9999 MB/s, dirty 9999 MB/s, 1023.9 MiB left, 59 min 59 s to go`. */
const TEXT_WIDTH = 68;
/** A log gets a line this often while nothing but numbers change. */
const PLAIN_INTERVAL = seconds(10);

/** What it waits for and why it is slow stand on lines of their own, once each: the live line would cut them off. */
export class MigrationProgressView {
  readonly #line: ProgressLine;
  #reason: string | undefined;

  constructor(options: ProgressOptions) {
    this.#line = new ProgressLine(options, TEXT_WIDTH, PLAIN_INTERVAL);
  }

  /** 0..1, never falls. */
  get fraction(): number {
    return this.#line.fraction;
  }

  /** `now` on any clock that does not go back. Ignored after `end`. */
  update({ status }: MigrationResource, now: Milliseconds): void {
    if (!status) return;
    const { phase, progress } = status;
    const moved = status.end?.kind === 'moved';
    const cancelling = status.cancel && status.decision !== 'committed';
    const words = status.end ? status.end.kind : cancelling ? `${phase}, being cancelled` : phase;
    this.#line.draw({ words, text: describe(words, status), fraction: moved ? 1 : progress?.fraction ?? 0 }, now);
    this.#say(status);
  }

  /** A line that stays. */
  note(text: string): void {
    this.#line.note(text);
  }

  /** Gives the line back, empty. */
  end(): void {
    this.#line.end();
  }

  #say({ phase, reason, progress }: MigrationStatus): void {
    const slow = phase === 'copy' ? progress?.slow : undefined;
    const [word, why] = reason === undefined ? ['slow', slow] : [phase === 'queued' ? 'waits' : 'NOTE', reason];
    const text = why === undefined ? undefined : `${word}: ${oneLine(why)}`;
    if (text !== undefined && text !== this.#reason) this.#line.note(text);
    this.#reason = text;
  }
}

function describe(words: string, { phase, progress, end }: MigrationStatus): string {
  if (phase !== 'copy' || !progress || end) return words;
  const { throughput, dirtyRate, remaining, timeLeft } = progress;
  const inSeconds = timeLeft === undefined ? undefined : formatMs(Math.max(1000, timeLeft)).replace(/\.\d+ s$/, ' s');
  const left = inSeconds === undefined ? 'time left unknown' : `${inSeconds} to go`;
  return `${words}, ${formatRate(throughput)}, dirty ${formatRate(dirtyRate)}, ${formatBytes(remaining)} left, ${left}`;
}
