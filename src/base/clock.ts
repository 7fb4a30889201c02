/** Time as a seam: what waits takes one of these, so that a whole cluster can be run in virtual time. */
import type { Milliseconds } from './units.ts';

export interface Clock {
  /** CLOCK_REALTIME, ms since the epoch. It may jump: for people and records, never for a decision. */
  now(): Milliseconds;
  /** Monotonic, from an arbitrary origin. */
  monotonic(): Milliseconds;
  /** Resolves after `duration`, or at once when `signal` is aborted. Never rejects. */
  sleep(duration: Milliseconds, signal?: AbortSignal): Promise<void>;
}
