/** The clock of a move's times. */
import { type Milliseconds, ms } from '../base/units.ts';

/**
 * CLOCK_REALTIME to the microsecond, to be compared with QEMU's events; steady once made, so make one per move: a long-lived
 * process's performance.timeOrigin drifts away from a clock that is being adjusted. Takes up to 1 ms, until the next tick.
 */
export function realtimeClock(): () => Milliseconds {
  const before = Date.now();
  let tick = before;
  while (tick === before) tick = Date.now();
  const offset = tick - performance.now();
  return () => ms(offset + performance.now());
}
