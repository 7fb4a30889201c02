/** What so many probes can tell about a loss: the interval that contains the truth. */

/** Shares, 0..1. */
export interface ShareBounds {
  readonly low: number;
  readonly high: number;
}

/** 95 %, two-sided. */
export const Z95 = 1.96;

/**
 * Wilson's score interval (Wilson 1927; Brown, Cai, DasGupta 2001): honest near 0 too, where the usual one is empty. Of 0
 * lost in n its upper end is z²/(n + z²): 0.1 % after 3 840 probes. The one-sided question, `ruledOutAfter`, needs 3 000.
 * @param lost of `sent`, both may be weighted and no whole numbers
 */
export function wilson(lost: number, sent: number, z = Z95): ShareBounds {
  if (sent <= 0) return { low: 0, high: 1 };
  const share = lost / sent;
  const squared = z * z / sent;
  const centre = share + squared / 2;
  const half = z * Math.sqrt((share * (1 - share) + squared / 4) / sent);
  return { low: Math.max(0, (centre - half) / (1 + squared)), high: Math.min(1, (centre + half) / (1 + squared)) };
}

/** How many probes without a loss rule out, at 95 %, that the loss is `share` or more: 2995 for 0.1 % ("the rule of three"). */
export const ruledOutAfter = (share: number): number => Math.ceil(Math.log(0.05) / Math.log(1 - share));
