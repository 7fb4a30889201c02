/** What a monitor kept, as values for a chart. */
import type { History } from '../model/history.ts';

/** One value per column of time; the mean of what lies in it, weighted by its count; null: nothing was measured then. */
export function columnsOf({ data, from, to }: History, columns: number): (number | null)[] {
  const sums = Array.from({ length: columns }, () => ({ sum: 0, count: 0 }));
  for (const { at, value, count } of data) {
    const column = sums[Math.min(columns - 1, Math.max(0, Math.floor(((at - from) / Math.max(1, to - from)) * columns)))];
    if (value === null || !column) continue;
    column.sum += value * Math.max(1, count);
    column.count += Math.max(1, count);
  }
  return sums.map(({ sum, count }) => (count === 0 ? null : sum / count));
}

export interface HistorySummary {
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** Values behind it, and points in which nothing was measured. */
  readonly count: number;
  readonly empty: number;
}

/** undefined: nothing was measured at all. */
export function summaryOf({ data }: History): HistorySummary | undefined {
  const [mins, maxs, empty] = [[] as number[], [] as number[], data.filter(({ value }) => value === null).length];
  let [sum, count] = [0, 0];
  for (const { value, min, max, count: n } of data) {
    if (value === null) continue;
    sum += value * Math.max(1, n);
    count += Math.max(1, n);
    mins.push(min ?? value);
    maxs.push(max ?? value);
  }
  return count === 0 ? undefined : { mean: sum / count, min: Math.min(...mins), max: Math.max(...maxs), count, empty };
}
