/** Starts a monitor as a child: its stdin and stdout are the agent's line to it, its stderr a file. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { Native, Netns } from '../native/native.ts';

/** Helper threads for a heap of some MB cost more than they spare. */
const FLAGS = ['--single-threaded-gc', '--min-semi-space-size=8'] as const;

export interface MonitorSpawnOptions {
  /** Its log, `monitor.log`, is there. */
  readonly runDir: string;
  readonly stateDir: string;
  /** Where it serves /metrics; nowhere without. */
  readonly metrics?: { readonly address: string; readonly port: number };
  /** The network namespace it is to measure; the starter's own without. */
  readonly inside?: { readonly native: Native; readonly netns: Netns };
}

export interface MonitorChild {
  readonly pid: number | undefined;
  readonly input: Writable;
  readonly output: Readable;
  /** Resolves when it is gone, with how: `ended with 1`, `was ended by SIGKILL`, `could not be started: …`. Never rejects. */
  readonly exited: Promise<string>;
  readonly kill: (signal: 'SIGTERM' | 'SIGKILL') => void;
}

export const monitorLog = (runDir: string): string => join(runDir, 'monitor.log');

/** Throws what keeps its log from being opened. */
export function spawnMonitor({ runDir, stateDir, metrics, inside }: MonitorSpawnOptions): MonitorChild {
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const log = openSync(monitorLog(runDir), 'a', 0o600);
  try {
    const words = [
      ...FLAGS, join(import.meta.dirname, 'daemon.ts'), '--run-dir', runDir, '--state-dir', stateDir,
      ...(metrics ? ['--metrics', `${metrics.address.includes(':') ? `[${metrics.address}]` : metrics.address}:${metrics.port}`] : []),
    ];
    const { NODE_OPTIONS: _, ...env } = process.env;
    const start = (): ChildProcess => spawn(process.execPath, words, { stdio: ['pipe', 'pipe', log], env });
    // Held in an object: a child process is thenable to nobody, but inNetns looks.
    const child = inside ? inside.native.inNetns(inside.netns, () => ({ started: start() })).started : start();
    const { stdin, stdout } = child;
    if (!stdin || !stdout) throw new TypeError('spawn gave no pipes');
    const exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) => resolve(signal === null ? `ended with ${code}` : `was ended by ${signal}`));
    });
    return { pid: child.pid, input: stdin, output: stdout, exited, kill: (signal) => void child.kill(signal) };
  } finally {
    closeSync(log);
  }
}
