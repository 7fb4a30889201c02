/**
 * Bench `vrrp`: Godwit's pulse and keepalived, with its real-time priority as its users run it, side by side in one run: what befalls a
 * gateway, splits that heal, and hosts that are busy. All instants are the wire's: adverts and datagrams by the kernel's stamps.
 */
import { kernelNative } from '../native/kernel.ts';
import type { BenchResult } from './bench-result.ts';
import { busy } from './bench-vrrp-busy.ts';
import { splits } from './bench-vrrp-split.ts';
import { takeovers } from './bench-vrrp-takeover.ts';

const SPLITS = 20;

/** `runs`: of each fault at each advert interval by each program, half of them with the virtual MAC. */
export async function benchVrrp(runs: number, say: (line: string) => void): Promise<BenchResult> {
  const native = kernelNative();
  const parts = [await takeovers(native, runs, say), await splits(native, SPLITS, say), await busy(native, runs, say)];
  const rounded = parts.flatMap(({ figures }) => Object.entries(figures)).map(([name, value]) => [name, Math.round(value * 100) / 100] as const);
  return { bench: 'vrrp', figures: Object.fromEntries(rounded), targets: parts.flatMap(({ targets }) => targets) };
}
