/** The intervals of BFD and how they are changed without a false alarm: RFC 5880 §6.5, §6.8.2, §6.8.3, §6.8.7. */
import { type Milliseconds, ms, seconds } from '../base/units.ts';

/** §6.8.3: the least that a session may send by while it is not Up, and the least it should ask for while echoes watch. */
export const SLOW: Milliseconds = seconds(1);
const JITTER = 0.25;
/** §6.8.7: with a multiplier of 1, 10 % off at least, or the next packet would come when the other side gives up. */
const JITTER_LEAST_ALONE = 0.1;

export interface Intervals {
  /** bfd.DesiredMinTxInterval */
  readonly tx: Milliseconds;
  /** bfd.RequiredMinRxInterval */
  readonly rx: Milliseconds;
}

export interface Negotiation {
  /** What its packets say. */
  readonly advertised: Intervals;
  /**
   * What it goes by: while a Poll Sequence runs and the session is Up, the shorter of old and new to send, the longer to wait, because
   * the other side may not know the new ones yet.
   */
  readonly inForce: Intervals;
  /** `begun`: no packet with these intervals and P has left yet, so no F can be its answer. */
  readonly poll: 'none' | 'begun' | 'sent';
}

const same = (a: Intervals, b: Intervals): boolean => a.tx === b.tx && a.rx === b.rx;

export const settled = (intervals: Intervals): Negotiation => ({ advertised: intervals, inForce: intervals, poll: 'none' });

/**
 * §6.8.3: a Poll Sequence for whatever changes. While one runs, an Up session keeps the next change for later, since nobody could tell
 * which of the two an F answers.
 */
export function negotiate(negotiation: Negotiation, wanted: Intervals, up: boolean): Negotiation {
  const { advertised, inForce, poll } = negotiation;
  if (!up) return same(wanted, advertised) && same(wanted, inForce) ? negotiation : { advertised: wanted, inForce: wanted, poll: 'begun' };
  if (same(wanted, advertised) || poll === 'sent') return negotiation;
  const careful = { tx: ms(Math.min(inForce.tx, wanted.tx)), rx: ms(Math.max(inForce.rx, wanted.rx)) };
  return { advertised: wanted, inForce: careful, poll: 'begun' };
}

/** A packet with P left. */
export const polled = (negotiation: Negotiation): Negotiation =>
  (negotiation.poll === 'begun' ? { ...negotiation, poll: 'sent' } : negotiation);

/** A packet with F came in. */
export const answered = (negotiation: Negotiation): Negotiation =>
  (negotiation.poll === 'sent' ? settled(negotiation.advertised) : negotiation);

/** §6.8.7. @param chance 0 ≤ chance < 1 */
export function jittered(interval: Milliseconds, mult: number, chance: number): Milliseconds {
  const least = mult === 1 ? JITTER_LEAST_ALONE : 0;
  return ms(interval * (1 - least - (JITTER - least) * chance));
}
