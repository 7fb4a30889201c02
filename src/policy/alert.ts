/**
 * When an alert is on: by the exponential average of a figure, with a rising and a falling threshold, and a hold time either way.
 *
 * - **On** when the average has been at `rising` or above for `hold` without a break; when it has been at twice `rising` for a third of it
 *   (the fast path). **Off** when it has been at `falling` or below for `hold`.
 * - Two turns are never closer than `hold`.
 * - The average forgets with a time constant of a third of `hold`, and takes a figure as four times `rising` at most: one wild second
 *   alone, however wild, turns nothing on.
 *
 * Pure: states are values; times in ms, of any clock. A clock that was set back, or a gap in the figures longer than `hold` (5 s at
 * least), begins the waiting anew.
 */

export interface AlertLimits {
  /** Above 0, and above `falling`. */
  readonly rising: number;
  readonly falling: number;
  /** ms. */
  readonly hold: number;
}

export interface AlertState {
  readonly on: boolean;
  /** Of the last turn; undefined: never was one. */
  readonly turned: number | undefined;
  /** Of the last figure. */
  readonly at: number;
  /** What is held against the thresholds, and the same average of the figures as they were. */
  readonly judged: number;
  readonly average: number;
  /** Since when `judged` has been at `rising`, at twice `rising`, at `falling`; undefined: it is not. */
  readonly over: number | undefined;
  readonly far: number | undefined;
  readonly under: number | undefined;
}

const FAST = { times: 2, share: 1 / 3 } as const;
const MOST = 4;
const FORGETTING = 1 / 3;
/** ms */
const LEAST_GAP = 5000;
/** Of `rising`: so close an average has arrived, or else it would never reach a threshold of 0. */
const ARRIVED = 1e-3;

/** The next state. @param state undefined: this is the first figure @param figure 0 or above */
export function judgeAlert(state: AlertState | undefined, limits: AlertLimits, figure: number, now: number): AlertState {
  const { rising, falling, hold } = limits;
  const taken = Math.min(figure, MOST * rising);
  const elapsed = state ? now - state.at : 0;
  // A turn of a time that is yet to come says nothing of how long ago it was.
  const turned = state?.turned === undefined ? undefined : Math.min(state.turned, now);
  const known = state && elapsed >= 0 && elapsed <= Math.max(hold, LEAST_GAP) ? state : undefined;
  const weight = known && hold > 0 ? 1 - Math.exp(-elapsed / (hold * FORGETTING)) : 1;
  const judged = approach(known?.judged ?? taken, taken, weight, rising);
  const average = approach(known?.average ?? figure, figure, weight, rising);
  const since = (holds: boolean, before: number | undefined): number | undefined => (holds ? before ?? now : undefined);
  const over = since(judged >= rising, known?.over);
  const far = since(judged >= FAST.times * rising, known?.far);
  const under = since(judged <= falling, known?.under);
  const on = state?.on ?? false;
  const lasted = (begun: number | undefined, time: number): boolean => begun !== undefined && now - begun >= time;
  const due = on ? lasted(under, hold) : lasted(over, hold) || lasted(far, hold * FAST.share);
  const turns = due && (turned === undefined || now - turned >= hold);
  return { on: turns ? !on : on, turned: turns ? now : turned, at: now, judged, average, over, far, under };
}

function approach(from: number, to: number, weight: number, rising: number): number {
  const next = from + (to - from) * weight;
  return Math.abs(to - next) <= rising * ARRIVED ? to : next;
}
