/** On which host a VM is started: the one it names, else of those it can run on a sound one with the most free memory. */
import type { Bytes } from '../base/units.ts';

export interface Candidate {
  readonly name: string;
  /** Why it takes nothing now: silent, or not heard of yet. */
  readonly unready?: string;
  /** Why another is better, though it can take it: a sick path. */
  readonly avoid?: string;
  /** What a new VM can still take, those under way deducted. */
  readonly freeMemory: Bytes;
  readonly accelerators: readonly string[];
  readonly bridges: Readonly<Record<string, { readonly mtu: number }>>;
}

export interface Wish {
  readonly memory: Bytes;
  readonly accelerator: string;
  /** `made`: Godwit makes its bridge where it is needed. */
  readonly networks: readonly { readonly name: string; readonly bridge: string; readonly mtu: number; readonly made?: boolean }[];
  /** Its declaration names this host: taken whatever memory it has. */
  readonly host?: string;
}

export type Placed = { readonly host: string } | { readonly reason: string };

/** The same facts give the same host: among equals the first by name. */
export function place(wish: Wish, candidates: readonly Candidate[]): Placed {
  if (wish.host !== undefined) {
    const host = candidates.find((c) => c.name === wish.host);
    const [reason] = host ? unfit(wish, host) : [`There is no host ${wish.host}: name another, or join it to the cluster`];
    return reason === undefined ? { host: wish.host } : { reason };
  }
  if (candidates.length === 0) return { reason: 'There is no host yet: join one with `godwit agent join`' };
  const judged = candidates.map((c) => ({ host: c, reasons: [...unfit(wish, c), ...short(wish, c)] }));
  const [best] = judged
    .filter(({ reasons }) => reasons.length === 0)
    .sort((a, b) => Number(a.host.avoid !== undefined) - Number(b.host.avoid !== undefined) || b.host.freeMemory - a.host.freeMemory || (a.host.name < b.host.name ? -1 : 1));
  return best ? { host: best.host.name } : { reason: `No host can take it: ${judged.map(({ reasons }) => reasons[0]).join('; ')}` };
}

function unfit(wish: Wish, host: Candidate): string[] {
  if (host.unready !== undefined) return [`${host.name} ${host.unready}`];
  const reasons: string[] = [];
  // Every QEMU emulates; only acceleration has to be there.
  if (wish.accelerator === 'kvm' && !host.accelerators.includes('kvm')) reasons.push(`${host.name} has no KVM (accelerator: tcg would emulate)`);
  for (const { name, bridge, mtu, made = false } of wish.networks) {
    if (made) continue;
    const there = host.bridges[bridge];
    if (!there) reasons.push(`${host.name} has no bridge ${bridge} for network ${name}`);
    else if (there.mtu < mtu) reasons.push(`${host.name}'s bridge ${bridge} has an MTU of ${there.mtu}, network ${name} needs ${mtu}`);
  }
  return reasons;
}

const short = (wish: Wish, host: Candidate): string[] =>
  host.freeMemory >= wish.memory ? [] : [`${host.name} has ${mebibytes(host.freeMemory)} MiB free of the ${mebibytes(wish.memory)} needed`];

const mebibytes = (n: number): number => Math.max(0, Math.floor(n / 2 ** 20));
