/**
 * How long nothing has been heard, and whether that means anything: the detection of RFC 5880 §6.8.4 (control packets) and of §6.8.5
 * (echoes), alike for both.
 *
 * **Silence counts only while this process was awake.** Several packets have to be missing, so it looks up in the middle between any two
 * that are due (`watch`), which costs nothing as long as they come. If it comes late there, or at any other of the session's deadlines, by
 * more than half an interval, it may have slept: stopped, starved, or its whole host was frozen and heard nothing. Then it does not
 * decide before it has listened for one interval, and half of one for what is under way. After MAX_NAPS such rounds in a row it decides
 * all the same.
 */
import { type Milliseconds, ms } from '../base/units.ts';

/** Rounds of listening anew because it had slept, before it decides all the same. */
const MAX_NAPS = 3;
/** Of an interval: later than that it may have slept. */
const LATE = 0.5;
/** Of an interval: what it grants the other side after a sleep, and until it first looks up. */
const PATIENCE = 1.5;

export interface Silence {
  /** When the last packet came in; before the first, when it began to listen. */
  readonly heard: Milliseconds;
  /** The longest that the other side may take between two packets. */
  readonly interval: Milliseconds;
  /** The detection time: after so long it is gone. */
  readonly patience: Milliseconds;
  /** When it decides. */
  readonly until: Milliseconds;
  /** When it next makes sure that it is awake. */
  readonly watch: Milliseconds;
  /** How often in a row it listened longer because it had slept. */
  readonly naps: number;
  /** The latest it came to one of its deadlines since then. */
  readonly late: Milliseconds;
}

/** A packet came in at `at`, not when it was read. */
export const heardAt = (at: Milliseconds, interval: Milliseconds, mult: number): Silence => ({
  heard: at, interval, patience: ms(mult * interval), until: ms(at + mult * interval), watch: ms(at + PATIENCE * interval),
  naps: 0, late: ms(0),
});

/** Other intervals from now on. What was not due by the old ones is not overdue by the new. */
export function retimed(silence: Silence, interval: Milliseconds, mult: number, now: Milliseconds): Silence {
  if (interval === silence.interval && mult * interval === silence.patience) return silence;
  const patience = ms(mult * interval);
  return { ...silence, interval, patience, until: ms(Math.max(silence.until, now + patience)), watch: ms(now + PATIENCE * interval) };
}

export const silenceDeadline = ({ until, watch }: Silence): Milliseconds => (until < watch ? until : watch);

export type Verdict =
  /** Nothing is due, or all may still be well. */
  | 'listen'
  /** It overslept, and listens again. */
  | 'slept'
  | 'gone';

/** The sockets are drained. @param late how late this look is */
export function judge(silence: Silence, late: Milliseconds, now: Milliseconds): readonly [Silence, Verdict] {
  const { interval, naps } = silence;
  const worst = late > silence.late ? late : silence.late;
  const watch = now >= silence.watch ? ms(now + interval) : silence.watch;
  const until = ms(now + PATIENCE * interval);
  if (late > LATE * interval && until > silence.until && naps < MAX_NAPS) {
    return [{ ...silence, until, watch: ms(now + interval), naps: naps + 1, late: worst }, 'slept'];
  }
  if (watch === silence.watch && worst === silence.late && now < silence.until) return [silence, 'listen'];
  return [{ ...silence, watch, late: worst }, now >= silence.until ? 'gone' : 'listen'];
}
