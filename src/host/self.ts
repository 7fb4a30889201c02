/** What a host says of itself. */
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { type Bytes, bytes } from '../base/units.ts';
import type { HostStatus } from '../model/host.ts';
import type { Host } from './host.ts';

export type HostSelf = Pick<HostStatus, 'kernel' | 'cpu' | 'cpus' | 'memory' | 'freeMemory' | 'bridges'>;

/** Cheap enough to ask every second. Bridges are those of the host's namespace; the rest is the machine's. */
export function describeHost({ links }: Host): HostSelf {
  const processors = cpus();
  const { total, available } = parseMeminfo(readFileSync('/proc/meminfo', 'utf8'));
  return {
    kernel: release(),
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cpus: processors.length,
    memory: total,
    freeMemory: available,
    bridges: Object.fromEntries(links.list().filter(({ kind }) => kind === 'bridge').map(({ name, mtu }) => [name, { mtu }])),
  };
}

/** MemTotal, and MemAvailable: what can be had without swapping (proc_meminfo(5)). 0 for what is not there. */
export function parseMeminfo(text: string): { readonly total: Bytes; readonly available: Bytes } {
  const field = (name: string): Bytes => bytes(Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024);
  return { total: field('MemTotal'), available: field('MemAvailable') };
}
