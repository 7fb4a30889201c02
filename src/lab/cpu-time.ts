/** What a process has used of the processors. */
import { readFileSync, readdirSync } from 'node:fs';

/** Seconds since it began, of all threads it has now, by the scheduler's own count (first figure of /proc/PID/task/TID/schedstat, ns). */
export function cpuSeconds(pid: number): number {
  const spent = (tid: string): number => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
  return readdirSync(`/proc/${pid}/task`).reduce((total, tid) => total + spent(tid), 0);
}
