/** What an agent has on its disk of BFD sessions and of what is to be watched: both go on, and come up again, without the server. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Log } from '../base/log.ts';
import type { Disk } from '../host/disk.ts';
import type { BfdSessionPlan } from '../model/bfd-session.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { readJson, writeJson } from './json-files.ts';

const SESSIONS = 'sessions.json';
const WATCH = 'watch.json';

const sessionsCheck = Compile(Type.Object({
  version: Type.Literal(1), sessions: Type.Array(Type.Unsafe<BfdSessionPlan>({ type: 'object' })),
  detector: Type.Object({ falseAlarmsPerDay: Type.Number(), floor: Type.Number(), ceiling: Type.Number() }),
}));
const watchCheck = Compile(Type.Object({ version: Type.Literal(1), plan: Type.Unsafe<WatchPlan>({ type: 'object' }) }));

export interface SessionsFile {
  /** Nothing where nothing was ever written down; undefined where that cannot be read. */
  readonly sessions: readonly BfdSessionPlan[] | undefined;
  readonly detector?: WatchPlan['detector'];
}

/** What cannot be read or written is told to the log; nothing here throws. */
export class SessionFiles {
  readonly #disk: Disk;
  readonly #log: Log;

  constructor(disk: Disk, log: Log) {
    this.#disk = disk;
    this.#log = log;
  }

  read(): SessionsFile {
    if (!this.#disk.read(SESSIONS)) return { sessions: [] };
    const value = readJson(this.#disk, this.#log, SESSIONS);
    if (sessionsCheck.Check(value)) return value;
    this.#log.error({ path: SESSIONS }, 'What BFD sessions are wanted is not known: those that run are left as they are until the server says');
    return { sessions: undefined };
  }

  write(sessions: readonly BfdSessionPlan[], detector: WatchPlan['detector']): void {
    writeJson(this.#disk, this.#log, SESSIONS, { version: 1, sessions, detector });
  }
}

/** Undefined where nothing was written down, or nothing that can be read: then the server says it anew. */
export function readWatch(disk: Disk, log: Log): WatchPlan | undefined {
  const value = readJson(disk, log, WATCH);
  return watchCheck.Check(value) ? value.plan : undefined;
}

export function writeWatch(disk: Disk, log: Log, plan: WatchPlan): void {
  writeJson(disk, log, WATCH, { version: 1, plan });
}
