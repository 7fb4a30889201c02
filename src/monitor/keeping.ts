/** What becomes of what the monitor measured: history on disk, /metrics, alerts. The monitor's loop knows this file alone. */
import { join } from 'node:path';
import type { CounterReport } from '../model/counters.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import type { ClassFigures, PathReport } from '../model/path.ts';
import type { AlertReport, WatchPlan } from '../model/watch-plan.ts';
import { formatError } from '../base/error.ts';
import { Alerts } from './alerts.ts';
import { HistoryBook } from './history-book.ts';
import { noHistoryDisk, openHistoryDisk } from './history-disk.ts';
import { Metrics } from './metrics.ts';
import { type MetricsAddress, type MetricsServer, serveMetrics } from './metrics-server.ts';

export interface KeepingOptions {
  /** The monitor's own; `history/` is made in it. */
  readonly stateDir: string;
  /** Served there as HTTP; absent: not at all. */
  readonly metrics?: MetricsAddress;
  readonly version: string;
  /** Bytes of all series on disk and, the same again, in memory. Default: 200 MB. */
  readonly budget?: number;
  /** ms since the epoch. Default: the system's clock. */
  readonly now?: () => number;
}

/** A probe that came back. */
export interface ProbeAnswer {
  readonly peer: string;
  readonly path: string;
  readonly dscp: number;
  /** ms. */
  readonly rtt: number;
  /** ms since the epoch. */
  readonly at: number;
}

export interface Keeping {
  /** Every answer, as it comes: the RTT histograms and the history's RTT are made of these, not of a second's summary. */
  answered(answer: ProbeAnswer): void;
  /** Once a second. @param now ms since the epoch @returns the alerts that are on, and those that went off within the last minute */
  second(paths: readonly PathReport[], counters: CounterReport, now: number): readonly AlertReport[];
  /** @throws MonitorError MONITOR_NO_SERIES, MONITOR_BAD_QUERY */
  query(query: HistoryQuery): Promise<History>;
  /** May be told again and again; what is the same goes on undisturbed. */
  plan(plan: WatchPlan): void;
  /** What is wrong now, for people: to go into every report. */
  readonly troubles: readonly string[];
  /** Writes what is not yet written. */
  close(): Promise<void>;
}

export interface OpenKeeping extends Keeping {
  /** Where /metrics is served; undefined: it is not. */
  readonly metricsPort: number | undefined;
}

/** ms: before an address for /metrics that could not be listened on is tried again. */
const AGAIN = 10_000;

class RunningKeeping implements OpenKeeping {
  readonly #book: HistoryBook;
  readonly #alerts = new Alerts();
  /** Undefined: nobody is to be shown them. */
  readonly #metrics: Metrics | undefined;
  readonly #at: MetricsAddress | undefined;
  #server: MetricsServer | undefined;
  #serving: Promise<void> | undefined;
  /** ms since the epoch. */
  #served = -Infinity;
  /** Why nothing is kept on disk, and why /metrics is not served. */
  readonly #unkept: string | undefined;
  #unserved: string | undefined;
  readonly #now: () => number;

  constructor(book: HistoryBook, { metrics, version, now = Date.now }: KeepingOptions, unkept: string | undefined) {
    this.#book = book;
    this.#at = metrics;
    this.#metrics = metrics && new Metrics(version);
    this.#now = now;
    this.#unkept = unkept;
  }

  /** Tries it. Never rejects. */
  async serve(): Promise<void> {
    const metrics = this.#metrics;
    if (!metrics || !this.#at) return;
    this.#served = this.#now();
    try {
      this.#server = await serveMetrics(this.#at, () => metrics.text(this.#now()));
      this.#unserved = undefined;
    } catch (error) {
      this.#unserved = formatError(error);
    }
  }

  get troubles(): readonly string[] {
    return [this.#unkept, this.#unserved].filter((trouble) => trouble !== undefined).concat(this.#book.troubles);
  }

  get metricsPort(): number | undefined {
    return this.#server?.port;
  }

  plan({ host, alerts }: WatchPlan): void {
    this.#alerts.plan(host, alerts);
  }

  answered(answer: ProbeAnswer): void {
    this.#book.gauge(`path/${answer.peer}/${answer.path}/rtt`, answer.at, answer.rtt);
    this.#metrics?.answered(answer);
  }

  second(paths: readonly PathReport[], counters: CounterReport, now: number): readonly AlertReport[] {
    this.#keep(paths, counters);
    const alerts = this.#alerts.second(paths, counters, now);
    this.#metrics?.second(paths, counters, alerts, this.#book, now);
    this.#book.tick(now);
    if (this.#at && !this.#server && !this.#serving && Math.abs(this.#now() - this.#served) >= AGAIN) {
      this.#serving = this.serve().finally(() => {
        this.#serving = undefined;
      });
    }
    return alerts;
  }

  // Not async: a refusal is a rejection all the same.
  query(query: HistoryQuery): Promise<History> {
    return Promise.try(() => this.#book.query(query));
  }

  async close(): Promise<void> {
    await this.#serving;
    await this.#server?.close();
    await this.#book.close(this.#now());
  }

  #keep(paths: readonly PathReport[], { at, links, nics, host }: CounterReport): void {
    const book = this.#book;
    for (const { peer, path, classes, at } of paths) {
      const name = `path/${peer}/${path}/loss`;
      const sum = (of: (figures: ClassFigures) => number): number => classes.reduce((total, figures) => total + of(figures), 0);
      const sent = sum((figures) => figures.sent);
      if (sent === 0) continue;
      const [forward, backward] = [sum(({ lost }) => lost.forward), sum(({ lost }) => lost.backward)];
      book.ratio(`${name}-forward`, at, forward, sent);
      book.ratio(`${name}-backward`, at, backward, sent);
      book.ratio(name, at, forward + backward + sum(({ lost }) => lost.unknown), sent);
    }
    book.gauge('host/softirq', at, host.softirq);
    book.gauge('host/lateness', at, host.lateness);
    for (const { name, rxBytes, txBytes } of links) {
      book.gauge(`link/${name}/rx`, at, rxBytes);
      book.gauge(`link/${name}/tx`, at, txBytes);
    }
    for (const { vm, nic, rxBytes, txBytes } of nics) {
      book.gauge(`nic/${vm}/${nic}/rx`, at, rxBytes);
      book.gauge(`nic/${vm}/${nic}/tx`, at, txBytes);
    }
  }
}

/**
 * Opens the history and, where wanted, the metrics server. Never rejects: paths are measured and judged also where neither a disk nor an
 * address can be had. Then `troubles` says so; the address is tried again, the disk at the next start alone: what it has is not known.
 */
export async function openKeeping(options: KeepingOptions): Promise<OpenKeeping> {
  const { stateDir, budget, now = Date.now } = options;
  const where = join(stateDir, 'history');
  let unkept: string | undefined;
  let book: HistoryBook;
  try {
    book = await HistoryBook.open(await openHistoryDisk(where), now(), budget);
  } catch (error) {
    unkept = `history: ${where} cannot be used (${formatError(error)}): it is in memory alone until the agent is started again`;
    book = await HistoryBook.open(noHistoryDisk(where), now(), budget);
  }
  const keeping = new RunningKeeping(book, options, unkept);
  await keeping.serve();
  return keeping;
}
