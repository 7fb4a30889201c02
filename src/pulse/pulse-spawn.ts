/**
 * Starts a pulse, or finds the one that runs. It outlives whoever started it: a session of its own, its output to a file, its socket
 * and its lock in the run directory.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Milliseconds, seconds } from '../base/units.ts';
import type { Native, Netns } from '../native/native.ts';
import { identifyProcess, isAlive } from '../vm/process.ts';
import { PulseStartFailed, PulseUnreachable } from './errors.ts';
import { type PulseClient, connectPulse } from './pulse-client.ts';
import { pulseLog, pulseSocket } from './socket-path.ts';

/**
 * No helper threads for the garbage collector: they are not real-time, and a real-time thread that waits for them is as late as they
 * are. A small young generation: each scavenge is short.
 */
export const pulseFlags = ['--single-threaded-gc', '--max-semi-space-size=1'] as const;

/** Between two looks at what has no event, ms. */
const LOOK = 5;

export interface StartPulseOptions {
  readonly runDir: string;
  /** The network namespace it is to serve; the starter's own without. */
  readonly inside?: { readonly native: Native; readonly netns: Netns };
  /** What it is run by: `['chrt', '-o', '0']`, `['setpriv', '--bounding-set=-sys_nice']`. It must exec the rest. */
  readonly by?: readonly string[];
  /** Until it answers; 10 s without. */
  readonly timeout?: Milliseconds;
}

export interface RunningPulse {
  readonly pid: number;
  /** False: it ran already. */
  readonly started: boolean;
  readonly client: PulseClient;
  /** Resolves when the process is gone; nothing of it does anything any more. */
  readonly exited: Promise<void>;
}

/** The pulse of this run directory, started if none runs. Fails with PulseStartFailed. */
export async function startPulse(options: StartPulseOptions): Promise<RunningPulse> {
  const { runDir, inside, by = [], timeout = seconds(10) } = options;
  const running = await findPulse(runDir);
  if (running) return running;
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const log = openSync(pulseLog(runDir), 'a', 0o600);
  let child: ChildProcess;
  try {
    const words = [...by, process.execPath, ...pulseFlags, join(import.meta.dirname, 'daemon.ts'), '--run-dir', runDir];
    const { NODE_OPTIONS: _, ...env } = process.env;
    const start = (): ChildProcess => spawn(words[0] ?? '', words.slice(1), { detached: true, stdio: ['ignore', log, log], env });
    // Held in an object: a child process is thenable to nobody, but inNetns looks.
    child = inside ? inside.native.inNetns(inside.netns, () => ({ started: start() })).started : start();
  } finally {
    closeSync(log);
  }
  if (child.pid === undefined) {
    const [cause] = await once(child, 'error');
    throw new PulseStartFailed('could not be started', '', cause);
  }
  const client = await connectToChild(child, runDir, timeout);
  if (!client) {
    const silent = !hasEnded(child);
    if (silent) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const how = silent ? `did not answer within ${timeout} ms` : `ended at its start (${child.signalCode ?? `code ${child.exitCode}`})`;
    throw new PulseStartFailed(how, lastLines(pulseLog(runDir)));
  }
  child.unref();
  return runningPulse(client, true);
}

/** The one that runs; undefined when none does. */
export async function findPulse(runDir: string): Promise<RunningPulse | undefined> {
  try {
    return runningPulse(await connectPulse(pulseSocket(runDir)), false);
  } catch (error) {
    if (error instanceof PulseUnreachable) return undefined;
    throw error;
  }
}

function runningPulse(client: PulseClient, started: boolean): RunningPulse {
  return { pid: client.hello.pid, started, client, exited: gone(client) };
}

/** A process that ends lets go of its connections first; then it is looked for until it is no more. */
async function gone(client: PulseClient): Promise<void> {
  const identity = identifyProcess(client.hello.pid);
  await client.closed;
  if (!identity) return;
  while (isAlive(identity)) await pause(LOOK);
}

/** Undefined when it ended or time ran out. */
async function connectToChild(child: ChildProcess, runDir: string, timeout: Milliseconds): Promise<PulseClient | undefined> {
  for (const end = performance.now() + timeout; !hasEnded(child) && performance.now() < end; await pause(LOOK)) {
    try {
      return await connectPulse(pulseSocket(runDir), timeout);
    } catch (error) {
      if (!(error instanceof PulseUnreachable)) throw error;
    }
  }
  return undefined;
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

function lastLines(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-3).join(' | ');
  } catch {
    return '';
  }
}
