/**
 * The agent's end of its monitor: starts it, tells it the plan, hands on what it says, and starts it again when it ended, after a second,
 * then after twice as long each time, up to a minute. A monitor that says nothing for 15 s is stuck, and replaced.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { formatError } from '../base/error.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { History, HistoryQuery } from '../model/history.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { MonitorError, MonitorLineInvalid, MonitorUnreachable } from './errors.ts';
import { readLines } from './json-lines.ts';
import type { MonitorCommand, MonitorMessage, WatchedNic } from './monitor-protocol.ts';
import { type MonitorChild, type MonitorSpawnOptions, monitorLog, spawnMonitor } from './monitor-spawn.ts';

export type MonitorHello = Extract<MonitorMessage, { readonly kind: 'hello' }>;
export type MonitorReport = Extract<MonitorMessage, { readonly kind: 'report' }>;
export type MonitorTurn = Extract<MonitorMessage, { readonly kind: 'turn' }>['turn'];

export interface MonitorClientOptions {
  readonly spawn: MonitorSpawnOptions;
  readonly onHello?: (hello: MonitorHello) => void;
  /** Every second. */
  readonly onReport: (report: MonitorReport) => void;
  /** At once. */
  readonly onTurn: (turn: MonitorTurn) => void;
  /** It ended, and will be started `again` in so many ms: in words, with what it wrote last where it ended by itself. */
  readonly onEnd: (how: string, again: Milliseconds) => void;
  /** For tests: instead of a process. */
  readonly start?: () => MonitorChild;
  /** 15 s without. */
  readonly silence?: Milliseconds;
  /** Before the first new start; 1 s without. */
  readonly patience?: Milliseconds;
}

interface Question {
  readonly resolve: (history: History) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

const SILENCE = seconds(15);
/** Looks in that time. Counted, for this agent may have slept itself: what was said meanwhile waits to be read. */
const LOOKS = 5;
const FIRST = seconds(1);
const MOST = seconds(60);
/** It ran so long: what it ends of now is something else. */
const SOUND = seconds(60);
const ANSWER = seconds(5);
/** Until it has written what it keeps. */
const FAREWELL = seconds(5);
/** Bytes of its log that are looked at for why it ended. */
const LAST_WORDS = 2048;

export class MonitorClient {
  readonly #options: MonitorClientOptions;
  readonly #questions = new Map<number, Question>();
  #child: MonitorChild | undefined;
  #greeted = false;
  #plan: Extract<MonitorCommand, { kind: 'plan' }> | undefined;
  #wait: Milliseconds;
  #restart: NodeJS.Timeout | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #asked = 0;
  #closed = false;

  /** Starts at once. */
  constructor(options: MonitorClientOptions) {
    this.#options = options;
    this.#wait = options.patience ?? FIRST;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** All that it is to do; told anew to each monitor that is started. */
  plan(plan: WatchPlan, nics: readonly WatchedNic[]): void {
    this.#plan = { kind: 'plan', plan, nics };
    if (this.#greeted) this.#send(this.#plan);
  }

  /** Rejects with MonitorUnreachable, or MonitorError by the monitor's own code. */
  async query(query: HistoryQuery): Promise<History> {
    if (!this.#greeted) throw new MonitorUnreachable('does not run yet');
    const id = ++this.#asked;
    const { promise, resolve, reject } = Promise.withResolvers<History>();
    const timer = setTimeout(() => this.#question(id)?.reject(new MonitorUnreachable(`did not answer within ${ANSWER / 1000} s`)), ANSWER);
    this.#questions.set(id, { resolve, reject, timer });
    this.#send({ kind: 'query', id, query });
    return promise;
  }

  /** Has it end, and resolves when it is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restart);
    clearInterval(this.#watchdog);
    const child = this.#child;
    if (!child) return;
    child.input.end();
    const patience = setTimeout(() => child.kill('SIGKILL'), FAREWELL);
    await child.exited;
    clearTimeout(patience);
  }

  #start(): void {
    const { start, spawn, silence = SILENCE } = this.#options;
    const log = monitorLog(spawn.runDir);
    const written = sizeOf(log);
    let child: MonitorChild;
    try {
      child = (start ?? ((): MonitorChild => spawnMonitor(spawn)))();
    } catch (error) {
      this.#again(`could not be started: ${formatError(error)}`, 0);
      return;
    }
    const began = performance.now();
    this.#child = child;
    this.#greeted = false;
    let fault: string | undefined;
    let silent = 0;
    this.#watchdog = setInterval(() => {
      if (++silent < LOOKS) return;
      fault = `said nothing for ${silence / 1000} s`;
      child.kill('SIGKILL');
    }, silence / LOOKS);
    // A write that it does not take any more is told by its end.
    child.input.on('error', () => undefined);
    readLines(child.output, (value) => {
      silent = 0;
      this.#hear(checked(value));
    }, (error) => {
      fault = formatError(error);
      child.kill('SIGKILL');
    });
    void child.exited.then((how) => this.#ended(fault ?? `${how}${lastWords(log, written)}`, performance.now() - began));
  }

  #ended(how: string, ran: number): void {
    clearInterval(this.#watchdog);
    this.#child = undefined;
    this.#greeted = false;
    for (const id of this.#questions.keys()) this.#question(id)?.reject(new MonitorUnreachable(how));
    if (!this.#closed) this.#again(how, ran);
  }

  #again(how: string, ran: number): void {
    const { patience = FIRST, onEnd } = this.#options;
    if (ran >= SOUND) this.#wait = patience;
    const wait = this.#wait;
    this.#wait = ms(Math.min(MOST, 2 * wait));
    this.#restart = setTimeout(() => this.#start(), wait);
    onEnd(how, wait);
  }

  #hear(message: MonitorMessage): void {
    const { onHello, onReport, onTurn } = this.#options;
    switch (message.kind) {
      case 'hello':
        this.#greeted = true;
        onHello?.(message);
        if (this.#plan) this.#send(this.#plan);
        return;
      case 'report': return onReport(message);
      case 'turn': return onTurn(message.turn);
      case 'answer': return this.#question(message.id)?.resolve(message.history);
      case 'no-answer': return this.#question(message.id)?.reject(new MonitorError(message.code, message.message));
      // One of a newer monitor.
      default: return undefined;
    }
  }

  /** It is answered now, one way or the other. */
  #question(id: number): Question | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    clearTimeout(question?.timer);
    return question;
  }

  #send(command: MonitorCommand): void {
    const { input } = this.#child ?? {};
    if (input?.writable) input.write(`${JSON.stringify(command)}\n`);
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** ` (the last line that was written to the log)`, of what came after its first `from` bytes; empty: nothing did, or it cannot be read. */
function lastWords(path: string, from: number): string {
  try {
    const log = openSync(path, 'r');
    try {
      const { size } = fstatSync(log);
      const begin = Math.max(from, size - LAST_WORDS);
      const bytes = Buffer.alloc(Math.max(0, size - begin));
      const line = bytes.toString('utf8', 0, readSync(log, bytes, 0, bytes.length, begin)).trim().split('\n').at(-1) ?? '';
      return line === '' ? '' : ` (${line})`;
    } finally {
      closeSync(log);
    }
  } catch {
    return '';
  }
}

/** Its own child, of the same files: what is looked at is that it speaks this language at all. @throws MonitorLineInvalid */
function checked(value: unknown): MonitorMessage {
  if (isMessage(value)) return value;
  throw new MonitorLineInvalid('a message that is not as agreed');
}

function isMessage(value: unknown): value is MonitorMessage {
  if (typeof value !== 'object' || value === null || !('kind' in value) || typeof value.kind !== 'string') return false;
  const has = (...fields: readonly string[]): boolean => fields.every((field) => field in value);
  switch (value.kind) {
    case 'hello': return has('monitor', 'pid', 'version');
    case 'report': return has('paths', 'counters', 'alerts', 'troubles');
    case 'turn': return has('turn');
    case 'answer': return has('id', 'history');
    case 'no-answer': return has('id', 'code', 'message');
    default: return true;
  }
}

