/** The real clock. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { ms } from '../base/units.ts';

export const systemClock: Clock = {
  now: () => ms(Date.now()),
  monotonic: () => ms(performance.now()),
  sleep: (duration, signal) => sleep(duration, undefined, signal ? { signal } : {}).catch(() => undefined),
};
