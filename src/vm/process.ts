/** Processes that are not children of this one, known by more than their number, which the kernel gives out again. */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot: field 22 of proc_pid_stat(5). */
  readonly startTime: number;
}

/**
 * Undefined when there is no such process any more. One that only waits to be reaped is none: it has let go of everything.
 * One whose first thread has ended and whose others have not looks the same but for their number, and has let go of nothing.
 */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readProc(pid, 'stat');
  // The second field, the name in parentheses, may contain anything; state is the field after it.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startTime] = [fields?.[0], fields?.[17], fields?.[19]];
  if (state === undefined || startTime === undefined) return undefined;
  if ((state === 'Z' || state === 'X') && Number(threads) <= 1) return undefined;
  return { pid, startTime: Number(startTime) };
}

export function isAlive(process: ProcessIdentity): boolean {
  return identifyProcess(process.pid)?.startTime === process.startTime;
}

/** Its arguments, the program first; undefined when it is gone. */
export function commandLine(pid: number): string[] | undefined {
  return readProc(pid, 'cmdline')?.split('\0').slice(0, -1);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // ENOENT, or ESRCH when it ended between open and read.
    return undefined;
  }
}
