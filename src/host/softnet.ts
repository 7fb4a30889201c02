/** What the processors spent on packets of all namespaces: /proc/stat, /proc/net/softnet_stat (proc(5); net/core/net-procfs.c). */
import { readFileSync } from 'node:fs';
import { GodwitError } from '../base/error.ts';

/** Since the host's start. */
export interface SoftnetTotals {
  /** Jiffies of all processors: in software interrupts, and in all. */
  readonly softirq: number;
  readonly all: number;
  /** Packets dropped since the backlog of a processor was full. */
  readonly dropped: number;
  /** How often a processor stopped with packets left (time_squeeze). */
  readonly squeezed: number;
}

/** @throws GodwitError HOST_COUNTER_MISSING */
export function readSoftnet(): SoftnetTotals {
  return parseSoftnet(readFileSync('/proc/stat', 'utf8'), readFileSync('/proc/thread-self/net/softnet_stat', 'utf8'));
}

/** @throws GodwitError HOST_COUNTER_MISSING: a counter not found is not zero */
export function parseSoftnet(stat: string, softnet: string): SoftnetTotals {
  // user nice system idle iowait irq softirq steal; the guest's time after them is in user's already
  const times = /^cpu +(\d+(?: \d+){7})/.exec(stat)?.[1]?.split(' ').map(Number);
  if (!times) throw missing('cpu in /proc/stat');
  let [dropped, squeezed] = [0, 0];
  for (const line of softnet.trim().split('\n')) {
    const columns = /^[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+)/.exec(line);
    if (!columns) throw missing('dropped in /proc/net/softnet_stat');
    dropped += Number.parseInt(columns[1] ?? '', 16);
    squeezed += Number.parseInt(columns[2] ?? '', 16);
  }
  return { softirq: times[6] ?? 0, all: times.reduce((sum, time) => sum + time, 0), dropped, squeezed };
}

const missing = (what: string): GodwitError =>
  new GodwitError('HOST_COUNTER_MISSING', `The kernel gives no counter ${what}: without it nobody knows what packets cost here`);
