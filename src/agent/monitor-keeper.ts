/**
 * The agent's side of its monitor: runs one as soon as it is known what is to be watched, tells it the VMs' NICs, keeps what it said last,
 * and its turns of paths until the server has them. It ends with the agent; what keeps it running is monitor/monitor-client.ts.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { seconds } from '../base/units.ts';
import type { MonitorReport } from '../api/agent-protocol.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import type { PathTurnReport } from '../model/path.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { MonitorUnreachable } from '../monitor/errors.ts';
import type { MonitorClient, MonitorClientOptions } from '../monitor/monitor-client.ts';
import type { WatchedNic } from '../monitor/monitor-protocol.ts';

/** A monitor that is started anew whenever it ends, until it is closed. */
export type RunningMonitor = Pick<MonitorClient, 'plan' | 'query' | 'close'>;
export type MonitorEvents = Pick<MonitorClientOptions, 'onHello' | 'onReport' | 'onTurn' | 'onEnd'>;

export interface MonitorKeeperParts {
  readonly start: (events: MonitorEvents) => RunningMonitor;
  readonly clock: Clock;
  readonly log: Log;
  /** There is something that the server should hear of at once. */
  readonly changed: () => void;
  /** The taps of this host's VMs, as they are now. */
  readonly nics: () => readonly WatchedNic[];
  /** It runs also as long as nothing is to be watched: it serves /metrics. */
  readonly always: boolean;
}

/** Turns kept for a server that is away. */
const MOST = 500;
/** Told to the server at once: what it cannot do to each of hundreds of paths is one trouble to whoever reads it. */
const MOST_TROUBLES = 32;
/** Looks, a second apart, that it says nothing in between: then nothing is known. Counted, for this agent may have slept itself. */
const SILENT = 3;

export class MonitorKeeper {
  readonly #parts: MonitorKeeperParts;
  readonly #closing = new AbortController();
  readonly #looking: Promise<void>;
  #monitor: RunningMonitor | undefined;
  #plan: WatchPlan | undefined;
  /** As it was last told. */
  #told = '';
  #report: MonitorReport | undefined;
  /** How it ended; undefined: it has spoken since. */
  #ended: string | undefined;
  #silentLooks = 0;
  #turns: readonly PathTurnReport[] = [];
  /** Turns that there was no room for, since this agent started. */
  #dropped = 0;

  constructor(parts: MonitorKeeperParts) {
    this.#parts = parts;
    if (parts.always) this.#start();
    this.#looking = this.#look();
  }

  /** Undefined: as it was. */
  want(plan: WatchPlan | undefined): void {
    if (!plan || this.#closing.signal.aborted) return;
    this.#plan = plan;
    this.#tell();
  }

  /** What it said last; undefined when none runs, or it says nothing any more. */
  report(): MonitorReport | undefined {
    if (!this.#report || this.#silentLooks >= SILENT) return undefined;
    const { troubles: own } = this.#report;
    const troubles = own.length > MOST_TROUBLES ? [...own.slice(0, MOST_TROUBLES), `${own.length - MOST_TROUBLES} more like these: its log has them`] : [...own];
    if (this.#dropped > 0) troubles.push(`${this.#dropped} turns of paths were dropped, the oldest: the server was away too long to be told of them all`);
    return { ...this.#report, troubles };
  }

  /** In words, why nothing is reported where something should be. */
  troubles(): readonly string[] {
    if (this.#ended !== undefined) return [`the monitor does not run: ${this.#ended}; it is started again by itself`];
    return this.#report && this.#silentLooks >= SILENT ? ['the monitor runs and says nothing: look at the load of this host'] : [];
  }

  /** In their order. */
  turns(): readonly PathTurnReport[] {
    return this.#turns;
  }

  /** The server has this turn, and all before. */
  acknowledged(last: { readonly monitor: string; readonly sequence: number } | undefined): void {
    if (!last) return;
    const at = this.#turns.findLastIndex(({ monitor, sequence }) => monitor === last.monitor && sequence <= last.sequence);
    this.#turns = this.#turns.slice(at + 1);
  }

  /** Fails with MonitorUnreachable, or by the monitor's own code. */
  async query(query: HistoryQuery): Promise<History> {
    if (!this.#monitor) throw new MonitorUnreachable('does not run: this host has not heard yet what it is to watch');
    return this.#monitor.query(query);
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#monitor?.close(), this.#looking]);
  }

  #start(): RunningMonitor {
    const { log, changed } = this.#parts;
    this.#monitor ??= this.#parts.start({
      onHello: ({ monitor, pid, version }) => log.info({ monitor, pid, version }, 'The monitor is there'),
      onReport: ({ paths, counters, alerts, troubles }) => {
        const alerting = (of: MonitorReport | undefined): string => JSON.stringify(of?.alerts.map(({ alert, on, state }) => [alert, on, state]));
        const before = this.#report;
        this.#report = { paths, counters, alerts, troubles };
        this.#silentLooks = 0;
        this.#ended = undefined;
        if (alerting(before) !== alerting(this.#report)) changed();
      },
      onTurn: (turn) => {
        this.#turns = [...this.#turns, turn];
        this.#dropped += Math.max(0, this.#turns.length - MOST);
        this.#turns = this.#turns.slice(-MOST);
        changed();
      },
      onEnd: (how, again) => {
        // One that cannot start ends the same way each time.
        if (how !== this.#ended) log.error({ how, again }, 'The monitor ended: paths of this host are not measured until it runs again; it is started again and again');
        this.#ended = how;
        this.#report = undefined;
        changed();
      },
    });
    return this.#monitor;
  }

  /** What did not change is not told again. */
  #tell(): void {
    if (!this.#plan) return;
    const nics = this.#parts.nics();
    const text = JSON.stringify([this.#plan, nics]);
    if (text === this.#told) return;
    this.#told = text;
    this.#start().plan(this.#plan, nics);
  }

  async #look(): Promise<void> {
    const { clock, log, changed } = this.#parts;
    const { signal } = this.#closing;
    for (;;) {
      await clock.sleep(seconds(1), signal);
      if (signal.aborted) return;
      // VMs come and go.
      this.#tell();
      if (!this.#report || ++this.#silentLooks !== SILENT) continue;
      log.warn({}, 'The monitor says nothing: how the paths of this host are is not known');
      changed();
    }
  }
}
