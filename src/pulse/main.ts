/** The pulse's program: the real kernel under a PulseProcess, until it is told to end. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync, writeSync } from 'node:fs';
import { pid } from 'node:process';
import manifest from '../../package.json' with { type: 'json' };
import { formatError } from '../base/error.ts';
import { Host } from '../host/host.ts';
import { kernelNative } from '../native/kernel.ts';
import { toldToEnd } from '../native/told-to-end.ts';
import { identifyProcess } from '../vm/process.ts';
import { ownHeap } from './garbage.ts';
import { KernelGround } from './ground-kernel.ts';
import { lockNamespace, lockRunDirectory } from './lock.ts';
import { PulseProcess } from './pulse-process.ts';
import { servePulse } from './pulse-server.ts';
import { rehearse } from './rehearsal.ts';
import { formerSettings, pulseIdentity, pulseSocket } from './socket-path.ts';

export interface PulseOptions {
  /** Its socket, its lock and its log. */
  readonly runDir: string;
  /** Ends it, like SIGTERM and SIGINT; those are only listened to without. */
  readonly signal?: AbortSignal;
}

/** SCHED_RR: below what the kernel's own threads use, above everything that is not real-time. */
const PRIORITY = 50;

/**
 * Resolves when it was told to end and has left every router in good order. Fails with PulseAlreadyRuns, PulseElsewhere, NativeMissingError, or what
 * keeps its socket from being made.
 */
export async function runPulse({ runDir, signal }: PulseOptions): Promise<void> {
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const unlock = lockRunDirectory(runDir);
  let leave: () => void;
  try {
    leave = await lockNamespace();
  } catch (error) {
    unlock();
    throw error;
  }
  const startTime = identifyProcess(pid)?.startTime ?? 0;
  writeFileSync(pulseIdentity(runDir), `${pid} ${startTime}\n`);
  const told = toldToEnd(signal);
  const native = kernelNative();
  const netns = native.openNetns();
  const host = new Host('pulse', native, netns);
  try {
    // Before it has threads of its own making: only this one is to be real-time.
    const realtime = native.realtime(PRIORITY);
    log(`begins: ${realtime.scheduling}, memory ${realtime.locked ? 'locked' : 'not locked'}${realtime.because === undefined ? '' : ` (${realtime.because})`}`);
    await rehearse();
    const ground = new KernelGround(host, formerSettings(runDir));
    ground.rehearse();
    let server: Awaited<ReturnType<typeof servePulse>> | undefined;
    const pulse = new PulseProcess({
      ground, realtime, pulse: randomBytes(8).toString('hex'), pid, version: manifest.version, log, tell: (message) => server?.tell(message),
      heap: ownHeap(),
    });
    server = await servePulse({
      socketPath: pulseSocket(runDir),
      greeting: () => pulse.greeting(),
      onCommand: (command) => void pulse.command(command),
      onFault: (error) => log(`a connection ended: ${formatError(error)}`),
    });
    void told.end.then(() => pulse.command({ kind: 'end', reason: 'told to by a signal' }));
    await pulse.ended;
    server.close();
  } finally {
    told.stop();
    host.close();
    netns.close();
    leave();
    unlock();
  }
}

/** Written at once, to stderr: a line per transition and per refusal is little. What cannot be written is not worth a pulse. */
function log(line: string): void {
  try {
    writeSync(2, `${new Date().toISOString()} ${line}\n`);
  } catch {
    // A full disk, or a terminal that is gone.
  }
}
