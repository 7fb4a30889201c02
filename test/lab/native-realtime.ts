/**
 * A program that native-realtime.test.ts runs: asks for real time, and prints what it was told and what /proc says (JSON): policy (0
 * SCHED_OTHER, 2 SCHED_RR), nice, priority of this thread and policy of a child's, locked kB. Then uses the processor for longer than
 * a limit of 200 ms lets a real-time thread, and has V8 give memory back, which it does not survive where that is locked.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { kernelNative } from '../../src/native/kernel.ts';

/** Fields of proc_pid_stat(5), counted from 1. */
const field = (stat: string, number: number): number => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[number - 3]);
const VmLck = (): number => Number(/^VmLck:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

const told = kernelNative().realtime(Number(process.argv[2]));
const stat = readFileSync('/proc/thread-self/stat', 'utf8');
const child = execFileSync('cat', ['/proc/self/stat'], { encoding: 'utf8' });
const seen = { policy: field(stat, 41), nice: field(stat, 19), priority: field(stat, 40), child: field(child, 41), locked: VmLck() > 0 };
let kept: number[][] = [];
for (let i = 0; i < 200; i++) kept = [...(kept.length < 30 ? kept : []), Array.from({ length: 100_000 }, (_, n) => n)];
const worked = kernelNative();
for (const end = worked.monotonic() + 400; worked.monotonic() < end;);
process.stdout.write(JSON.stringify({ told, seen }));
