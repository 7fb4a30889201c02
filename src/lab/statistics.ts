/** Order statistics of a measured list. */

/** The value below which `share` (0..1) of the list lies, by the nearest rank; NaN of an empty list. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
export const largest = (values: readonly number[]): number => Math.max(...values);
export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
