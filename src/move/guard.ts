/** Source guards (host/source-guard.ts) of a guest's taps: made before its QEMU, gone with it. */
import type { Host } from '../host/host.ts';
import { type GuardedTap, NftError } from '../host/source-guard.ts';
import type { VmTap } from '../host/vm-tap.ts';
import type { Vm } from '../model/vm.ts';

interface Guarded {
  readonly host: Host;
  readonly vm: Vm;
  readonly taps: readonly VmTap[];
}

export function guardedOf({ vm, taps }: Pick<Guarded, 'vm' | 'taps'>): GuardedTap[] {
  return vm.nics.flatMap(({ guard, mac, addresses }, i) => {
    const name = taps[i]?.tap.name;
    return guard && name !== undefined ? [{ name, mac, addresses }] : [];
  });
}

/** The first time on a host: takes away the guards of taps that are not there any more. */
export async function sweepGuards({ guards, links }: Host): Promise<void> {
  await ifPossible(() => guards.sweep((tap) => links.list().some(({ name }) => name === tap)));
}

/** Of a guest that is there already: puts in place what is missing, as after `nft flush ruleset`. It runs whether that can be done or not. */
export async function guardAnew(guest: Guarded): Promise<void> {
  const { guards } = guest.host;
  const guarded = guardedOf(guest);
  if (guarded.length === 0) return;
  await ifPossible(async () => {
    const there = await guards.drops();
    const missing = guarded.filter(({ name }) => !there.has(name));
    if (missing.length > 0) await guards.put(missing);
  });
}

/** What cannot be taken away is harmless without its tap, and goes with the next one of its name, or the next agent. */
export async function unguard({ guards }: Host, taps: readonly GuardedTap[]): Promise<void> {
  if (taps.length > 0) await ifPossible(() => guards.remove(taps.map(({ name }) => name)));
}

async function ifPossible(change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    if (!(error instanceof NftError)) throw error;
  }
}
