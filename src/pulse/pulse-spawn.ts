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
import { type ProcessIdentity, identifyProcess, isAlive } from '../vm/process.ts';
import { PulseStartFailed, PulseUnreachable } from './errors.ts';
import { type PulseClient, connectPulse } from './pulse-client.ts';
import { pulseIdentity, pulseLog, pulseSocket } from './socket-path.ts';

/**
 * No helper threads for the garbage collector: they are not real-time, and a real-time thread that waits for them is as late as they
 * are. A small young generation: each scavenge is short. And code that is needed once in a year stays ready: V8 would throw away
 * what it had not run for a while (a takeover at 1 s adverts: 1.4 ms late with that, 1.0 without, medians of 7).
 */
const pulseFlags = ['--single-threaded-gc', '--max-semi-space-size=1', '--no-flush-bytecode'] as const;

/** A pulse greets at once. */
const SILENCE = seconds(10);
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
  /** Resolves when the process is gone; nothing of it does anything any more. Not after `client.close()`: nobody looks then. */
  readonly exited: Promise<void>;
  /** SIGKILL, if it is there. */
  readonly kill: () => void;
}

/**
 * The pulse of this run directory, started if none runs. One that has the socket and says nothing for 10 s is stuck, and ended: the other
 * hosts took over from it long ago. Fails with PulseStartFailed.
 */
export async function startPulse(options: StartPulseOptions): Promise<RunningPulse> {
  const { runDir, inside, by = [], timeout = seconds(10) } = options;
  const running = await findPulse(runDir, endStuck);
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

/** The one that runs; undefined when none does. `onSilent` is called first when one is there that says nothing. */
export async function findPulse(runDir: string, onSilent?: (runDir: string) => Promise<void>): Promise<RunningPulse | undefined> {
  try {
    return runningPulse(await connectPulse(pulseSocket(runDir), SILENCE), false);
  } catch (error) {
    if (!(error instanceof PulseUnreachable)) throw error;
    if (error.silent) await onSilent?.(runDir);
    return undefined;
  }
}

async function endStuck(runDir: string): Promise<void> {
  const identity = readIdentity(runDir);
  if (!identity || !isAlive(identity)) return;
  process.kill(identity.pid, 'SIGKILL');
  while (isAlive(identity)) await pause(LOOK);
}

/** As the pulse wrote it; a number alone may be another's by now. */
function readIdentity(runDir: string): ProcessIdentity | undefined {
  try {
    const [pid, startTime] = readFileSync(pulseIdentity(runDir), 'utf8').split(' ').map(Number);
    return pid !== undefined && startTime !== undefined && pid > 0 ? { pid, startTime } : undefined;
  } catch {
    return undefined;
  }
}

/** Has the one that runs leave every router in good order, and resolves when it is gone; at once when none runs. */
export async function endPulse(runDir: string): Promise<void> {
  const running = await findPulse(runDir);
  running?.client.send({ kind: 'end', reason: 'told to end' });
  await running?.exited;
}

function runningPulse(client: PulseClient, started: boolean): RunningPulse {
  const { pid } = client.hello;
  const identity = identifyProcess(pid);
  return { pid, started, client, exited: gone(client, identity), kill: () => void (identity && isAlive(identity) && process.kill(pid, 'SIGKILL')) };
}

/** A process that ends lets go of its connections first; then it is looked for until it is no more. */
async function gone(client: PulseClient, identity: ProcessIdentity | undefined): Promise<void> {
  await client.closed;
  if (!identity) return;
  while (isAlive(identity)) {
    // A pulse outlives its agent, which must not live as long as it in order to look.
    if (client.left) return new Promise(() => undefined);
    await pause(LOOK);
  }
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
