/** What one host is to watch, looked up and with the policy's defaults filled in. Numbers and text: it travels as JSON. Times in ms. */
import type { Severity } from './event.ts';
import type { AlertMetric } from './detection-policy.ts';

export interface WatchPlan {
  readonly host: string;
  /** Its own address on each path. */
  readonly local: Readonly<Record<string, string>>;
  /** The other hosts, with theirs. */
  readonly peers: readonly { readonly host: string; readonly addresses: Readonly<Record<string, string>> }[];
  /** Bytes per second. */
  readonly paths: Readonly<Record<string, { readonly capacity: number; readonly classes: readonly number[]; readonly mtu?: number }>>;
  readonly detector: { readonly falseAlarmsPerDay: number; readonly floor: number; readonly ceiling: number };
  readonly probing: {
    readonly enabled: boolean; readonly rate: number; readonly leastRate: number; readonly core: number; readonly link: number;
    readonly dwell: number; readonly timeout: number; readonly port: number; readonly reflectTo: readonly string[];
  };
  readonly quality: {
    readonly loss: { readonly rising: number; readonly falling: number };
    readonly latency?: { readonly rising: number; readonly falling: number };
    readonly history: number; readonly hold: number; readonly holdMost: number; readonly relapse: number;
  };
  /** Those that this host judges. */
  readonly alerts: Readonly<Record<string, AlertPlan>>;
}

export interface AlertPlan {
  readonly metric: AlertMetric;
  readonly rising: number;
  readonly falling: number;
  readonly hold: number;
  readonly severity: Severity;
  readonly on?: string;
}

/** An alert on one thing of this host: `on` is `PEER/PATH`, a link, `VM/N`, or the host itself. */
export interface AlertReport {
  readonly alert: string;
  readonly on: string;
  readonly state: 'on' | 'off';
  /** ms since the epoch. */
  readonly since: number;
  /** The figure that turned it: an exponential average, and the last second's. */
  readonly value: number;
  readonly last: number;
  /** In words, with its numbers: `path.loss of h2/main 3.1 %, limit 2 %, for 10 s`. */
  readonly because: string;
  readonly severity: Severity;
}
