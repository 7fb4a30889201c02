/**
 * Bench `cluster`: a server and its agents under work: many VMs, an API that answers while moves run, moves that have to wait for each
 * other, an agent that is killed again and again. Each part on a cluster of its own.
 */
import { kernelNative } from '../native/kernel.ts';
import { crowd } from './bench-cluster-crowd.ts';
import { queue } from './bench-cluster-queue.ts';
import { restarts } from './bench-cluster-restart.ts';
import type { BenchResult } from './bench-result.ts';
import type { LabCluster } from './cluster.ts';
import { openCluster } from './cluster-session.ts';
import { labAccelerator } from './guest-image.ts';

/** Of a part. */
export type Part = Pick<BenchResult, 'figures' | 'targets'>;

export async function benchCluster(runs: number, say: (line: string) => void): Promise<BenchResult> {
  const native = kernelNative();
  const accelerator = await labAccelerator();
  const on = async (hosts: number, part: (cluster: LabCluster) => Promise<Part>): Promise<Part> => {
    const cluster = await openCluster(native, { hosts, networks: ['a'] });
    try {
      return await part(cluster);
    } finally {
      await cluster.close();
    }
  };
  const parts = [
    // With one move at a time between two hosts, four at once need four hosts.
    await on(4, (cluster) => crowd(cluster, accelerator, say)),
    await on(3, (cluster) => queue(cluster, accelerator, say)),
    await on(2, (cluster) => restarts(cluster, accelerator, runs, say)),
  ];
  const rounded = parts.flatMap(({ figures }) => Object.entries(figures)).map(([name, value]) => [name, Math.round(value * 100) / 100] as const);
  return { bench: 'cluster', figures: Object.fromEntries(rounded), targets: parts.flatMap(({ targets }) => targets) };
}
