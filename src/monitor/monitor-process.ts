/** The monitor as a whole: its agent's commands in, a report each second out. Wired to the real world by main.ts. */
import { GodwitError, formatError } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { CounterReport } from '../model/counters.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import type { Deadline } from '../native/native.ts';
import type { MonitorGround } from './ground.ts';
import { MonitorLineInvalid } from './errors.ts';
import type { Keeping } from './keeping.ts';
import { decodeCommand } from './monitor-command.ts';
import type { MonitorCommand, MonitorMessage, WatchedNic } from './monitor-protocol.ts';
import { Probing } from './probing.ts';

/** What of counters.ts it uses. */
export interface CounterSource {
  nics(nics: readonly WatchedNic[]): void;
  capacities(plan: Pick<WatchPlan, 'local' | 'paths'>): void;
  read(now: number): CounterReport;
  close(): void;
}

export interface MonitorProcessOptions {
  readonly ground: MonitorGround;
  readonly keeping: Keeping;
  /** @param lateness ms: the worst of the monitor's clock since it was last asked */
  readonly counters: (lateness: () => number) => CounterSource;
  /** New with every start. */
  readonly monitor: string;
  readonly pid: number;
  readonly version: string;
  readonly tell: (message: MonitorMessage) => void;
  readonly log: (line: string) => void;
}

const SECOND = 1000;

export class MonitorProcess {
  readonly #options: MonitorProcessOptions;
  readonly #probing: Probing;
  readonly #counters: CounterSource;
  readonly #clock: Deadline;
  #second: Milliseconds;
  #turns = 0;
  #troubles: readonly string[] = [];
  /** Why the last plan is not followed. */
  #unread: string | undefined;

  constructor(options: MonitorProcessOptions) {
    this.#options = options;
    const { ground, keeping, monitor, pid, version, tell } = options;
    tell({ kind: 'hello', monitor, pid, version });
    this.#probing = new Probing({
      ground, onAnswer: (answer) => keeping.answered(answer),
      onTurn: (turn) => {
        options.log(`${turn.peer}/${turn.path} is ${turn.to}: ${turn.because}`);
        tell({ kind: 'turn', turn: { ...turn, monitor, sequence: ++this.#turns } });
      },
    });
    this.#counters = options.counters(() => this.#probing.lateness());
    this.#clock = ground.native.deadline();
    this.#clock.onExpired(() => this.#tick());
    this.#second = ms(ground.native.monotonic() + SECOND);
    this.#clock.arm(this.#second);
  }

  /**
   * What its agent says, which may be of another version, or have it from a server that is. What cannot be read is told of, and everything
   * goes on as it was: whoever ended over it would be told the same again. Never throws or rejects.
   */
  hear(value: unknown): void {
    let command: MonitorCommand;
    try {
      command = decodeCommand(value);
    } catch (error) {
      if (!(error instanceof MonitorLineInvalid)) throw error;
      const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : undefined;
      if (typeof id === 'number') this.#options.tell({ kind: 'no-answer', id, code: error.code, message: error.message });
      else this.#unread = `what is to be watched now cannot be read, and it goes on as before: ${error.message}`;
      return;
    }
    this.command(command);
  }

  /** Never throws or rejects. */
  command(command: MonitorCommand): void {
    if (command.kind === 'query') {
      void this.#answer(command);
      return;
    }
    const { plan, nics } = command;
    this.#unread = undefined;
    this.#options.keeping.plan(plan);
    this.#counters.nics(nics);
    this.#counters.capacities(plan);
    this.#probing.plan(plan);
  }

  async close(): Promise<void> {
    this.#clock.close();
    this.#probing.close();
    this.#counters.close();
    await this.#options.keeping.close();
  }

  #tick(): void {
    const { ground: { native }, keeping, tell } = this.#options;
    const now = native.monotonic();
    // Overslept seconds are one.
    this.#second = ms(Math.max(this.#second + SECOND, now + SECOND / 2));
    this.#clock.arm(this.#second);
    const at = native.now();
    const paths = this.#probing.second(at);
    const counters = this.#counters.read(at);
    const alerts = keeping.second(paths, counters, at);
    const troubles = [...(this.#unread === undefined ? [] : [this.#unread]), ...this.#probing.troubles, ...keeping.troubles];
    for (const trouble of troubles) if (!this.#troubles.includes(trouble)) this.#options.log(trouble);
    this.#troubles = troubles;
    tell({ kind: 'report', paths, counters, alerts, troubles });
  }

  async #answer({ id, query }: Extract<MonitorCommand, { kind: 'query' }>): Promise<void> {
    const { keeping, tell } = this.#options;
    try {
      tell({ kind: 'answer', id, history: await keeping.query(query) });
    } catch (error) {
      if (!(error instanceof GodwitError)) this.#options.log(`a query failed: ${formatError(error)}`);
      const code = error instanceof GodwitError ? error.code : 'MONITOR_QUERY_FAILED';
      tell({ kind: 'no-answer', id, code, message: error instanceof Error ? error.message : String(error) });
    }
  }
}
