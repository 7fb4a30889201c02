/** The monitor's program: the real kernel under a MonitorProcess, until its agent is gone or it is told to end. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeSync } from 'node:fs';
import { Socket, isIP } from 'node:net';
import { pid, stdin, stdout } from 'node:process';
import manifest from '../../package.json' with { type: 'json' };
import { Host } from '../host/host.ts';
import { kernelNative } from '../native/kernel.ts';
import { toldToEnd } from '../native/told-to-end.ts';
import { Counters } from './counters.ts';
import { MonitorError } from './errors.ts';
import { KernelGround } from './ground-kernel.ts';
import { readLines } from './json-lines.ts';
import { openKeeping } from './keeping.ts';
import { MonitorProcess } from './monitor-process.ts';
import type { MonitorMessage } from './monitor-protocol.ts';

export interface MonitorOptions {
  /** For what lives as long as this host is up; the agent writes the monitor's log there. */
  readonly runDir: string;
  /** `history/` is kept in it. */
  readonly stateDir: string;
  /** Where /metrics is served; nowhere without. */
  readonly metrics?: { readonly address: string; readonly port: number };
  /** By the name that `ip netns` knows it by; that of the caller without. */
  readonly netns?: string;
  /** Ends it, like SIGTERM and SIGINT; those are only listened to without. */
  readonly signal?: AbortSignal;
}

/** Bytes that may wait for an agent that does not read; reports are whole states, and the next one is newer. */
const MOST_WAITING = 16 << 20;

/**
 * Resolves when its agent closed stdin, or it was told to end. Rejects with MonitorLineInvalid for what is no JSON, with
 * NativeMissingError, SystemError for a namespace that is not there.
 */
export async function runMonitor({ runDir, stateDir, metrics, netns: name, signal }: MonitorOptions): Promise<void> {
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const told = toldToEnd(signal);
  const native = kernelNative();
  const netns = native.openNetns(name);
  const host = new Host('monitor', native, netns);
  try {
    const keeping = await openKeeping({ stateDir, version: manifest.version, ...(metrics && { metrics }) });
    const out = output();
    const tell = (message: MonitorMessage): void => {
      if (message.kind === 'report' && out.writableLength > MOST_WAITING) return;
      out.write(`${JSON.stringify(message)}\n`);
    };
    const monitor = new MonitorProcess({
      ground: new KernelGround(host), keeping, counters: (lateness) => new Counters({ native, netns, lateness }),
      monitor: randomBytes(8).toString('hex'), pid, version: manifest.version, tell, log,
    });
    try {
      const gone = Promise.withResolvers<void>();
      out.on('error', () => gone.resolve());
      stdin.on('end', () => gone.resolve()).on('error', () => gone.resolve());
      readLines(stdin, (value) => monitor.hear(value), (error) => gone.reject(error));
      await Promise.race([gone.promise, told.end]);
    } finally {
      stdin.pause();
      await monitor.close();
      out.destroy();
    }
  } finally {
    told.stop();
    host.close();
    netns.close();
  }
}

/** Node writes to a pipe on stdout with the process standing still until it is read; a socket of our own does not. */
function output(): Socket | NodeJS.WriteStream {
  try {
    return new Socket({ fd: 1, readable: false, writable: true });
  } catch {
    // A terminal or a file: nobody's agent.
    return stdout;
  }
}

/** Written at once, to stderr. What cannot be written is not worth a monitor. */
function log(line: string): void {
  try {
    writeSync(2, `${new Date().toISOString()} ${line}\n`);
  } catch {
    // A full disk, or a terminal that is gone.
  }
}

/** `ADDRESS:PORT`, `[IPV6]:PORT`. @throws MonitorError MONITOR_METRICS_ADDRESS */
export function parseMetricsAddress(text: string): { readonly address: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const [address, port] = [bracketed ?? plain ?? '', Number(digits)];
  if (isIP(address) === (bracketed === undefined ? 4 : 6) && port >= 1 && port <= 65535) return { address, port };
  throw new MonitorError('MONITOR_METRICS_ADDRESS', `${JSON.stringify(text)} is no address to serve metrics at: write ADDRESS:PORT or [IPV6]:PORT, like 127.0.0.1:9442`);
}

export interface MonitorWords {
  readonly runDir: string;
  readonly stateDir: string;
  readonly metrics?: string;
  readonly netns?: string;
}

/** `godwit monitor`. Rejects as runMonitor, and with MONITOR_METRICS_ADDRESS. */
export async function monitorCommand({ metrics, ...words }: MonitorWords): Promise<void> {
  await runMonitor({ ...words, ...(metrics !== undefined && { metrics: parseMetricsAddress(metrics) }) });
}
