/**
 * What is to be thought of one path: protocol/path-quality.ts, fed by every probe of all its classes, and beside it whether anything comes
 * back at all. Pure.
 *
 * `down` is a silence, counted from the first probe that was sent after the last answer: of ten intervals, of a second at least. An answer
 * ends it; whether the path is fit is then as PathQuality says, which saw the loss. `unknown`: no answer yet, and no such silence.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { PathJudgement, PathState } from '../model/path.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { type Fitness, PathQuality, type QualityPolicy, type QualityTurn, defaultQualityPolicy } from '../protocol/path-quality.ts';

export interface JudgeTurn {
  readonly from: PathState;
  readonly to: PathState;
  readonly because: string;
}

const LEAST_SILENCE = seconds(1);
const INTERVALS = 10;
/** Hosts send one such ICMP message a second (icmp_ratelimit), and a loss is known a second after it. */
const NOBODY = seconds(3);
/** No answer for so long after it, and for two intervals. */
const BELIEVED = ms(250);

export function qualityPolicy({ loss, latency, history, hold, holdMost, relapse }: WatchPlan['quality']): QualityPolicy {
  return {
    loss, latency, history, hold: { least: ms(hold), most: ms(Math.max(hold, holdMost)) }, relapse: ms(relapse),
    fast: defaultQualityPolicy.fast,
  };
}

export class PathJudge {
  readonly #quality: PathQuality;
  #fitness: Fitness = 'fit';
  #state: PathState = 'unknown';
  #since: Milliseconds;
  #because: string | undefined;
  #silentSince: Milliseconds | undefined;
  #sent = 0;
  #refused: { readonly because: string; readonly since: Milliseconds; readonly until: Milliseconds } | undefined;
  #answersSince: Milliseconds | undefined;

  constructor(policy: QualityPolicy, now: Milliseconds) {
    this.#quality = new PathQuality(policy, now);
    this.#since = now;
  }

  get state(): PathState {
    return this.#state;
  }

  /** More probes a second would decide sooner, or bring it back sooner. */
  get wantsMore(): boolean {
    return this.#state === 'unfit' || this.#quality.status().suspicious;
  }

  sent(now: Milliseconds): void {
    this.#sent++;
    this.#silentSince ??= now;
  }

  answered(rtt: Milliseconds, now: Milliseconds): JudgeTurn | undefined {
    this.#silentSince = undefined;
    this.#refused = undefined;
    this.#answersSince ??= now;
    this.#sent = 0;
    return this.#settle(this.#quality.probe(rtt, now), now, true);
  }

  /**
   * The peer itself says that nobody listens: the path carries that much, but there is nothing to judge it by. Losses do not count then. It
   * is believed when no answer comes after it, since the one may have been taken in later than the other.
   */
  nobody(because: string, now: Milliseconds): void {
    this.#refused = { because, since: this.#refused?.since ?? now, until: ms(now + NOBODY) };
  }

  /** @param sent when it left */
  lost(sent: Milliseconds, now: Milliseconds): JudgeTurn | undefined {
    // Before the first answer there may be nobody yet to give one.
    if (this.#refused || this.#answersSince === undefined || sent < this.#answersSince) return undefined;
    return this.#settle(this.#quality.probe(undefined, now), now, false);
  }

  /** When all that came was taken in. @param interval between two probes of all its classes together */
  look(interval: Milliseconds, now: Milliseconds): JudgeTurn | undefined {
    const refused = this.#refused;
    if (refused && now - refused.since >= Math.max(BELIEVED, 2 * interval)) {
      if (now >= refused.until) this.#refused = undefined;
      else return this.#nobodyThere(refused.because, now);
    }
    if (this.#state === 'down' || this.#silentSince === undefined || refused) return undefined;
    const silent = now - this.#silentSince;
    // Probes, too: who slept has sent none.
    if (silent < Math.max(LEAST_SILENCE, INTERVALS * interval) || this.#sent < INTERVALS) return undefined;
    return this.#turn('down', `nothing came back for ${(silent / 1000).toFixed(1)} s, of ${this.#sent} probes`, now);
  }

  /** Not probed for the time being: a silence is not counted on. */
  rest(): void {
    this.#silentSince = undefined;
    this.#sent = 0;
  }

  /** @param epoch an instant of the monotonic clock in ms since the epoch */
  judgement(epoch: (at: Milliseconds) => number): PathJudgement {
    const { loss, slowLoss, latency, suspicious, heldUntil } = this.#quality.status();
    return {
      state: this.#state, since: epoch(this.#since), ...(this.#because !== undefined && { because: this.#because }), loss, slowLoss,
      ...(latency !== undefined && { latency }), suspicious, ...(heldUntil !== undefined && { heldUntil: epoch(heldUntil) }),
    };
  }

  #nobodyThere(because: string, now: Milliseconds): JudgeTurn | undefined {
    this.#answersSince = this.#silentSince = undefined;
    return this.#state === 'unknown' || this.#state === 'unfit' ? undefined : this.#turn('unknown', because, now);
  }

  #settle(turn: QualityTurn | undefined, now: Milliseconds, heard: boolean): JudgeTurn | undefined {
    if (turn) this.#fitness = turn.to;
    if (heard && this.#state === 'unknown' && this.#because === undefined && this.#fitness === 'fit') {
      // The first answer is no news.
      this.#state = 'fit';
      this.#since = now;
      return undefined;
    }
    if (heard && (this.#state === 'down' || this.#state === 'unknown')) {
      const why = this.#fitness === 'fit' ? 'it answers again' : `it answers again; ${this.#quality.status().because}`;
      return this.#turn(this.#fitness, turn?.because ?? why, now);
    }
    if (!turn || this.#state === 'down' || this.#state === 'unknown' || turn.to === this.#state) return undefined;
    return this.#turn(turn.to, turn.because, now);
  }

  #turn(to: PathState, because: string, now: Milliseconds): JudgeTurn {
    const from = this.#state;
    this.#state = to;
    this.#because = because;
    this.#since = now;
    return { from, to, because };
  }
}
