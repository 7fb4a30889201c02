/**
 * Bench `bfd`: Godwit's pulse and FRR's bfdd, both under real-time scheduling, side by side in one run: how fast a silent cut is seen, what
 * happens on busy hosts, and what sessions cost. All instants are the wire's, by the kernel's stamps.
 */
import { kernelNative } from '../native/kernel.ts';
import { busy } from './bench-bfd-busy.ts';
import { costs } from './bench-bfd-cost.ts';
import { detections } from './bench-bfd-detect.ts';
import type { BenchResult } from './bench-result.ts';

/** `runs`: cuts at each interval. `minutes`: beside busy loops. */
export async function benchBfd(runs: number, say: (line: string) => void, minutes: number): Promise<BenchResult> {
  const native = kernelNative();
  const parts = [await detections(native, runs, say), await costs(native, say), await busy(native, minutes, say)];
  const figures = parts.flatMap((part) => Object.entries(part.figures)).map(([name, value]) => [name, Math.round(value * 10_000) / 10_000]);
  return { bench: 'bfd', figures: Object.fromEntries(figures), targets: parts.flatMap(({ targets }) => targets) };
}
