/** Real-time scheduling (sched(7)) and locked memory (mlock(2)), as far as this process may have them. */
import { readFileSync } from 'node:fs';
import { systemError } from './errno.ts';
import { NativeMisuseError } from './native.ts';
import type { RealtimeResult } from './native.ts';
import type { Rawio } from './rawio.ts';

// linux/sched.h
const SCHED_RR = 2;
const SCHED_RESET_ON_FORK = 0x40000000;
const MOST_FAVOURABLE = -20;
// asm-generic/resource.h
const RLIMIT_MEMLOCK = 8;
const RLIMIT_RTTIME = 15;
/** asm-generic/mman-common.h: pages are locked as they are touched. */
const MLOCK_ONFAULT = 1;
/** linux/capability.h */
const CAP_IPC_LOCK = 14;

export function realtime(rawio: Rawio, priority: number): RealtimeResult {
  if (!Number.isInteger(priority) || priority < 1 || priority > 99) {
    throw new NativeMisuseError(`${priority} is no real-time priority: 1 to 99`);
  }
  const refusals: string[] = [];
  const granted = (call: string, result: number): boolean => {
    if (result < 0) refusals.push(systemError(call, -result).message);
    return result >= 0;
  };
  const scheduling = schedule(rawio, priority, granted);
  const locked = lock(rawio, granted);
  return { scheduling, locked, ...(refusals.length > 0 && { because: refusals.join('; ') }) };
}

type Granted = (call: string, result: number) => boolean;

function schedule(rawio: Rawio, priority: number, granted: Granted): RealtimeResult['scheduling'] {
  // The kernel sends SIGKILL to who runs longer than the hard limit without sleeping, and SIGXCPU at the soft one.
  if (granted('setrlimit RLIMIT_RTTIME', lifted(rawio, RLIMIT_RTTIME))
    && granted('sched_setscheduler SCHED_RR', rawio.schedSetscheduler(SCHED_RR | SCHED_RESET_ON_FORK, priority))) return 'realtime';
  return granted(`setpriority ${MOST_FAVOURABLE}`, rawio.setpriority(MOST_FAVOURABLE)) ? 'nice' : 'ordinary';
}

function lock(rawio: Rawio, granted: Granted): boolean {
  // Under a limit a locked stack or heap could not grow past it: SIGSEGV. The capability is above the limit.
  const limit = lifted(rawio, RLIMIT_MEMLOCK);
  if (limit < 0 && !isCapable(CAP_IPC_LOCK)) return granted('setrlimit RLIMIT_MEMLOCK', limit);
  return programMemory(readFileSync('/proc/self/maps', 'utf8')).every((range) => granted('mlock2', rawio.mlock2(range, MLOCK_ONFAULT)));
}

/**
 * What is the program's own of proc_pid_maps(5): files, the C heap, the first stack. Not mlockall(2), and not V8's memory: V8 gives
 * pages back by madvise(MADV_DONTNEED), which the kernel refuses for locked ones (EINVAL), and ends the process for that.
 */
export function programMemory(maps: string): Float64Array[] {
  const lines = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ +(\/.*|\[heap\]|\[stack\])$/gm);
  return [...lines].flatMap(([, from = '', to = '', name = '']) => {
    if (/^\/(?:dev|memfd:)/.test(name)) return [];
    const start = Number.parseInt(from, 16);
    return [Float64Array.of(start, Number.parseInt(to, 16) - start)];
  });
}

/** Sees to it that there is no such limit: 0, or -errno. */
function lifted(rawio: Rawio, resource: number): number {
  const limits = new Float64Array(2);
  const found = rawio.getrlimit(resource, limits);
  if (found < 0) return found;
  return limits.every((limit) => limit === Infinity) ? 0 : rawio.unlimit(resource);
}

function isCapable(capability: number): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(capability)) & 1n) === 1n;
}
