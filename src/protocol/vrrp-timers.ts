/** The spans of VRRP: RFC 9568 §6.1 (version 3) and RFC 3768 §6.1 (version 2). */
import { type Milliseconds, ms, seconds } from '../base/units.ts';

/** Steps and range of version 3's Max Advertise Interval: 12 bits of centiseconds (RFC 9568 §5.2.7). */
const STEP = 10;
const LONGEST = 40_950;

interface Timing {
  readonly version: 2 | 3;
  /** 1..255, as it is now. */
  readonly priority: number;
  readonly interval: Milliseconds;
}

/** Skew_Time. Version 2 has it in seconds whatever the interval: (256 - priority) / 256 s (RFC 3768 §6.1). */
export const skewTime = ({ version, priority }: Timing, activeInterval: Milliseconds): Milliseconds =>
  ms(((256 - priority) * (version === 2 ? seconds(1) : activeInterval)) / 256);

/** Active_Down_Interval, by Active_Adver_Interval: the interval of whoever is Active. */
export const activeDownInterval = (timing: Timing, activeInterval: Milliseconds): Milliseconds =>
  ms(3 * activeInterval + skewTime(timing, activeInterval));

/**
 * What it sends by: the configured interval, or the smallest that this host can hold, in steps of 10 ms. Version 2 cannot say that its
 * interval is another one than the Backups have configured: it stays.
 */
export const effectiveInterval = ({ version, interval }: Timing, holdable: Milliseconds): Milliseconds =>
  version === 2 ? interval : ms(Math.min(LONGEST, Math.max(interval, Math.ceil(holdable / STEP) * STEP)));

/**
 * Active_Adver_Interval, from an advert. Version 3 adopts the sender's. Version 2 would have the advert discarded where the intervals
 * differ (RFC 3768 §7.1), and two Actives would come of it, if only while an administrator changes one host after the other: it
 * waits by the longer of the two instead.
 */
export const adoptedInterval = ({ version, interval }: Timing, heard: Milliseconds): Milliseconds =>
  version === 2 ? ms(Math.max(interval, heard)) : heard;
