/**
 * A running QEMU: started, or adopted from whoever started it before.
 *
 * A QEMU outlives its starter: it is a session of its own, its output goes to files, and everything needed to find it
 * again is in its run directory and in /proc. Its taps live as long as any copy of their descriptors does.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { seconds, type Milliseconds } from '../base/units.ts';
import type { Vm } from '../model/vm.ts';
import type { Native, Netns, Tap } from '../native/native.ts';
import { commandLine, identifyProcess, isAlive, type ProcessIdentity } from './process.ts';
import { qemuArguments, tapFdsOf, type Incoming } from './qemu-arguments.ts';
import { QmpClosed } from './qmp-errors.ts';
import type { QemuVersion } from './qmp-message.ts';
import { connectQmp, type QmpClient, type QmpOptions } from './qmp.ts';
import { lastLines, runDirectory, type RunDirectory } from './run-directory.ts';
import { QemuAlreadyRuns, QemuStartFailed, QemuStillRuns } from './vm-errors.ts';

const program = 'qemu-system-x86_64';
/** Between two looks at something that has no event: the QMP socket's appearance, the end of a process not our child. */
const lookInterval = 5;
/** This process's own: while it is raised for a switchover, a QEMU it starts must not inherit that. */
const ownPriority = getPriority();

export interface StartOptions {
  readonly runDirectory: string;
  /** One per NIC, in their order. They stay the caller's, who closes his copies when he will. */
  readonly taps: readonly Tap[];
  /** Boots without. */
  readonly incoming?: Incoming;
  /** Until QMP answers; 10 s without. */
  readonly timeout?: Milliseconds;
}

/**
 * Starts the VM's QEMU in the namespace and waits until QMP answers. The guest then runs, or waits for a migration.
 * Fails with QemuStartFailed (nothing is left running), QemuAlreadyRuns or VmUnsupported.
 */
export async function startQemu(native: Native, netns: Netns, vm: Vm, options: StartOptions): Promise<Qemu> {
  const { taps, incoming = false, timeout = seconds(10) } = options;
  const run = runDirectory(options.runDirectory);
  const argv = qemuArguments(vm, { run, tapFds: taps.map((_tap, index) => 3 + index), incoming });
  const running = findQemu(run);
  if (running !== undefined) throw new QemuAlreadyRuns(run.path, running.process.pid);
  mkdirSync(run.path, { recursive: true });
  rmSync(run.qmpSocket, { force: true });

  const log = openSync(run.log, 'w');
  let child: ChildProcess;
  try {
    const stdio = ['ignore' as const, log, log, ...taps.map((tap) => tap.fd)];
    child = native.inNetns(netns, () => spawn(program, argv, { detached: true, stdio }));
  } finally {
    closeSync(log);
  }
  if (child.pid === undefined) {
    const [cause] = await once(child, 'error');
    throw new QemuStartFailed(vm.name, `could not be started: is ${program} installed?`, '', { cause });
  }
  // Before it has threads, which inherit it.
  if (getPriority(child.pid) !== ownPriority) setPriority(child.pid, ownPriority);
  // QEMU writes the same later; without this one there would be a while in which a running QEMU cannot be found.
  writeFileSync(run.pidFile, `${child.pid}\n`);

  const identity = identifyProcess(child.pid);
  const qmp = await connectToChild(child, run, timeout);
  if (identity === undefined || qmp === undefined) {
    const silent = identifyProcess(child.pid) !== undefined;
    child.kill('SIGKILL');
    if (!hasEnded(child)) await once(child, 'exit');
    const how = silent ? `did not answer within ${timeout} ms` : `ended at its start (${child.signalCode ?? `code ${child.exitCode}`})`;
    throw new QemuStartFailed(vm.name, how, lastLines(run.log));
  }
  child.unref();
  return new Qemu(identity, run, qmp, taps);
}

/**
 * The QEMU that runs in this run directory, whoever started it, with fresh copies of its taps' descriptors (pidfd_getfd);
 * undefined when none does. Events from before are lost: ask QEMU for its state.
 * Fails with QmpTimeout while another program holds its QMP connection.
 */
export async function adoptQemu(native: Native, directory: string, options: QmpOptions = {}): Promise<Qemu | undefined> {
  const run = runDirectory(directory);
  const found = findQemu(run);
  if (found === undefined) return undefined;
  const { process, argv } = found;
  const taps: Tap[] = [];
  let qmp: QmpClient | undefined;
  try {
    qmp = await connectQmp(run.qmpSocket, options);
    for (const fd of tapFdsOf(argv)) taps.push(native.takeTap(process.pid, fd));
    return new Qemu(process, run, qmp, taps);
  } catch (error) {
    qmp?.close();
    for (const tap of taps) tap.close();
    if (!isAlive(process)) return undefined;
    throw error;
  }
}

function findQemu(run: RunDirectory): { readonly process: ProcessIdentity; readonly argv: readonly string[] } | undefined {
  let pid: number;
  try {
    pid = Number.parseInt(readFileSync(run.pidFile, 'utf8'), 10);
  } catch {
    return undefined;
  }
  const process = pid > 0 ? identifyProcess(pid) : undefined;
  const argv = commandLine(pid) ?? [];
  // The number may be another process's by now; no other has this argument. Looked at twice: it may change hands meanwhile.
  const ours = argv[argv.indexOf('-pidfile') + 1] === run.pidFile;
  return process !== undefined && ours && isAlive(process) ? { process, argv } : undefined;
}

/** The process number of the QEMU that runs in this run directory; undefined when none does. */
export function runningQemu(directory: string): number | undefined {
  return findQemu(runDirectory(directory))?.process.pid;
}

/** Undefined when it ended or time ran out. */
async function connectToChild(child: ChildProcess, run: RunDirectory, timeout: Milliseconds): Promise<QmpClient | undefined> {
  const deadline = performance.now() + timeout;
  while (!hasEnded(child) && performance.now() < deadline) {
    try {
      return await connectQmp(run.qmpSocket, { timeout });
    } catch (error) {
      if (!(error instanceof QmpClosed)) return undefined;
      await pause(lookInterval);
    }
  }
  return undefined;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

export class Qemu {
  readonly process: ProcessIdentity;
  readonly run: RunDirectory;
  readonly qmp: QmpClient;
  readonly taps: readonly Tap[];
  /** Resolves when the process is gone and holds no memory, disk or tap any more; after `close` perhaps never. */
  readonly exited: Promise<void>;
  readonly #closing = new AbortController();

  constructor(process: ProcessIdentity, run: RunDirectory, qmp: QmpClient, taps: readonly Tap[]) {
    this.process = process;
    this.run = run;
    this.qmp = qmp;
    this.taps = taps;
    this.exited = this.#watch();
  }

  get pid(): number {
    return this.process.pid;
  }

  get version(): QemuVersion {
    return this.qmp.version;
  }

  /** Stops the guest's CPUs and flushes its disks; bound that by `timeout`. The STOP event says when the guest stopped. */
  async stop(options?: QmpOptions): Promise<void> {
    await this.qmp.execute('stop', {}, options);
  }

  async cont(options?: QmpOptions): Promise<void> {
    await this.qmp.execute('cont', {}, options);
  }

  /** Ends QEMU without asking the guest and waits until it is gone. Fails with QemuStillRuns after `timeout` (10 s). */
  async quit({ timeout = seconds(10) }: QmpOptions = {}): Promise<void> {
    const deadline = performance.now() + timeout;
    try {
      await this.qmp.execute('quit', {}, { timeout });
    } catch (error) {
      // It may end before its answer is out.
      if (!(error instanceof QmpClosed)) throw error;
    }
    await this.#waitForExit('quit', timeout, deadline);
  }

  /** SIGKILL, and waits until QEMU is gone. Fails with QemuStillRuns after `timeout` (10 s). */
  async kill({ timeout = seconds(10) }: QmpOptions = {}): Promise<void> {
    const deadline = performance.now() + timeout;
    if (isAlive(this.process)) process.kill(this.pid, 'SIGKILL');
    await this.#waitForExit('SIGKILL', timeout, deadline);
  }

  /** The last lines of what QEMU said. */
  log(): string {
    return lastLines(this.run.log);
  }

  /** Lets go of QEMU and leaves it running. The taps stay open: they are whoever's who asked for this Qemu. Idempotent. */
  close(): void {
    this.#closing.abort();
    this.qmp.close();
  }

  async #watch(): Promise<void> {
    // QEMU's end always closes QMP, a little before the process is gone.
    await this.qmp.closed;
    // After `close` nobody looks any more, so nothing may be said: whoever acts on `exited` takes it for proof.
    if (!(await this.#gone(undefined))) await new Promise<never>(() => undefined);
  }

  async #waitForExit(after: string, timeout: Milliseconds, deadline: number): Promise<void> {
    if (!(await this.#gone(deadline))) throw new QemuStillRuns(this.pid, after, timeout);
  }

  /** True when the process is gone; false at the deadline (performance.now()), or when this Qemu is closed before. */
  async #gone(deadline: number | undefined): Promise<boolean> {
    while (isAlive(this.process)) {
      if (this.#closing.signal.aborted || (deadline !== undefined && performance.now() >= deadline)) return false;
      await pause(lookInterval);
    }
    return true;
  }
}
