/** What a host's monitor keeps, and how it is asked for. */

/**
 * `path/PEER/PATH/rtt` (ms), `path/PEER/PATH/loss-forward`, `…/loss-backward`, `…/loss` (of all directions), `link/NAME/rx`, `link/NAME/tx`
 * (bytes per second), `nic/VM/N/rx`, `nic/VM/N/tx`, `host/softirq`, `host/lateness`.
 */
export type SeriesName = string;

export interface HistoryQuery {
  readonly host: string;
  readonly series: SeriesName;
  /** ms since the epoch. */
  readonly from: number;
  readonly to: number;
  /** At most; 1..2000. */
  readonly points: number;
}

/** `value`: mean of a gauge, share of a ratio; null: nothing was measured then. */
export interface HistoryPoint {
  readonly at: number;
  readonly span: number;
  readonly count: number;
  readonly value: number | null;
  readonly min: number | null;
  readonly max: number | null;
}

export interface History extends HistoryQuery {
  readonly kind: 'gauge' | 'ratio';
  readonly data: readonly HistoryPoint[];
}
