/** Random numbers from a seed, for traces that are too long for fast-check to draw one by one, and for worlds that it only seeds. */

/** Mulberry32. 0 ≤ x < 1. */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}

export const exponential = (random: () => number, mean: number): number => -mean * Math.log(1 - random());
/** Box and Muller. */
export const normal = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
