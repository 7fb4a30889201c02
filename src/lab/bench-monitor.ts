/**
 * Bench `monitor`: what Godwit's monitor says, against what is known: losses that nft counts, delays, orders and rates that the link
 * emulator counts, faults that are made; when a sick path is out of use; and what all this costs, in time and in room.
 */
import { kernelNative } from '../native/kernel.ts';
import { cost } from './bench-monitor-cost.ts';
import { finds } from './bench-monitor-finds.ts';
import { history } from './bench-monitor-history.ts';
import { losses } from './bench-monitor-loss.ts';
import { quality } from './bench-monitor-quality.ts';
import { roundTrips } from './bench-monitor-rtt.ts';
import type { BenchResult } from './bench-result.ts';

/** `runs`: black holes, and paths that fall sick. */
export async function benchMonitor(runs: number, say: (line: string) => void): Promise<BenchResult> {
  const native = kernelNative();
  const parts = [
    await losses(native, say), await roundTrips(native, say), await finds(native, runs, say), await quality(native, runs, say),
    await cost(native, say), await history(say),
  ];
  const figures = parts.flatMap((part) => Object.entries(part.figures)).map(([name, value]) => [name, Math.round(value * 10_000) / 10_000]);
  return { bench: 'monitor', figures: Object.fromEntries(figures), targets: parts.flatMap(({ targets }) => targets) };
}
