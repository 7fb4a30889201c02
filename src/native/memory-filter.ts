/**
 * Classic BPF as the kernel runs it on a packet socket (net/core/filter.c, Documentation/networking/filter.rst): the part of the
 * instruction set that filters of frames are made of. No stores, no loops, so it always ends.
 */
import { errno, systemError } from './errno.ts';
import type { FilterInstruction } from './native.ts';

/** What a filter may ask about a frame beside its bytes: SKF_AD_PKTTYPE. Tags of VLANs are no matter in memory. */
export interface FilteredFrame {
  readonly frame: Uint8Array;
  readonly packetType: number;
}

/** BPF_MAXINSNS */
const MOST = 4096;
const SKF_AD_PKTTYPE = 0xfffff004;
const SKF_AD_VLAN_TAG = 0xfffff02c;

interface Registers {
  a: number;
  x: number;
}

/** Undefined ends the program with 0: what was to be read lies behind the frame. */
type Step = (registers: Registers, k: number, frame: FilteredFrame) => true | undefined;

const load = (bytes: 1 | 2 | 4, indirect: boolean): Step => (registers, k, { frame, packetType }) => {
  if (!indirect && k === SKF_AD_PKTTYPE) registers.a = packetType;
  else if (!indirect && k === SKF_AD_VLAN_TAG) registers.a = 0;
  else {
    // Modulo 2^32. What is negative as an int reaches behind every frame there is, but for offsets that no filter here is made of.
    const at = ((indirect ? registers.x : 0) + k) >>> 0;
    if (at + bytes > frame.length) return undefined;
    let value = 0;
    for (let i = 0; i < bytes; i++) value = value * 256 + (frame[at + i] ?? 0);
    registers.a = value;
  }
  return true;
};

const compute = (operation: (a: number, k: number) => number): Step => (registers, k) => {
  registers.a = operation(registers.a, k) >>> 0;
  return true;
};

/** By code (linux/bpf_common.h). */
const steps: ReadonlyMap<number, Step> = new Map([
  [0x20, load(4, false)],
  [0x28, load(2, false)],
  [0x30, load(1, false)],
  [0x40, load(4, true)],
  [0x48, load(2, true)],
  [0x50, load(1, true)],
  [0x00, compute((_, k) => k)],
  [0x04, compute((a, k) => a + k)],
  [0x54, compute((a, k) => a & k)],
  [0x74, compute((a, k) => a >>> k)],
  [0x87, (registers) => {
    registers.a = registers.x;
    return true;
  }],
  [0x07, (registers) => {
    registers.x = registers.a;
    return true;
  }],
  [0xb1, (registers, k, { frame }) => {
    if (k >= frame.length) return undefined;
    registers.x = 4 * ((frame[k] ?? 0) & 0x0f);
    return true;
  }],
]);

const comparisons: ReadonlyMap<number, (a: number, k: number) => boolean> = new Map([
  [0x15, (a: number, k: number): boolean => a === k],
  [0x25, (a: number, k: number): boolean => a > k],
  [0x35, (a: number, k: number): boolean => a >= k],
  [0x45, (a: number, k: number): boolean => (a & k) !== 0],
]);
const JA = 0x05;
const RET_K = 0x06;
const RET_A = 0x16;

/** @throws SystemError EINVAL for what the kernel refuses, and for any instruction that is none of these. */
export function checkFilter(program: readonly FilterInstruction[], what: string): void {
  const good = program.length > 0 && program.length <= MOST && program.every(({ code, jt, jf, k }, i) => {
    const left = program.length - 1 - i;
    if (comparisons.has(code)) return jt < left && jf < left;
    if (code === JA) return k < left;
    if (code === 0x74) return k < 32;
    return steps.has(code) || code === RET_K || code === RET_A;
  });
  const last = program.at(-1)?.code;
  if (!good || (last !== RET_K && last !== RET_A)) throw systemError(`setsockopt SO_ATTACH_FILTER ${what}`, errno.EINVAL);
}

/** How many bytes of the frame pass; 0: it is dropped. The program has been checked. */
export function runFilter(program: readonly FilterInstruction[], frame: FilteredFrame): number {
  const registers: Registers = { a: 0, x: 0 };
  for (let at = 0; ; at++) {
    const instruction = program[at];
    if (instruction === undefined) return 0;
    const { code, jt, jf, k } = instruction;
    if (code === RET_K || code === RET_A) return Math.min(code === RET_K ? k : registers.a, frame.frame.length);
    const holds = comparisons.get(code);
    if (holds) at += holds(registers.a, k) ? jt : jf;
    else if (code === JA) at += k;
    else if (steps.get(code)?.(registers, k, frame) === undefined) return 0;
  }
}
