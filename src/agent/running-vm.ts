/** A VM as it runs on one host: its QEMU and its taps. */
import type { Host } from '../host/host.ts';
import type { VmTap } from '../host/vm-tap.ts';
import type { Vm } from '../model/vm.ts';
import type { Incoming } from '../vm/qemu-arguments.ts';
import { type Qemu, startQemu } from '../vm/qemu.ts';
import { MoveRefused } from './errors.ts';

export interface RunningVm {
  readonly vm: Vm;
  readonly host: Host;
  readonly qemu: Qemu;
  readonly taps: readonly VmTap[];
}

export interface PlaceOptions {
  /** Where the QEMU's socket, pid file and logs go. */
  readonly runDirectory: string;
  /** Part of the taps' names: unique on the host, at most 8 characters. */
  readonly id: string;
  /** `paused`: a destination of Godwit's, with mute taps. `running`: of plain QEMU's, open from the start. */
  readonly incoming: Incoming;
}

/** Makes the taps and starts QEMU. Leaves nothing behind when it fails. */
export async function placeVm(host: Host, vm: Vm, { runDirectory, id, incoming }: PlaceOptions): Promise<RunningVm> {
  const taps: VmTap[] = [];
  try {
    for (const [i, nic] of vm.nics.entries()) {
      if (nic.attachment.kind !== 'bridge') throw new MoveRefused([`nic${i}: only a NIC on a bridge can be run so far, not ${nic.attachment.kind}`]);
      taps.push(host.createVmTap({ name: `gt-${id}-${i}`, bridge: nic.attachment.bridge, mac: nic.mac, mtu: nic.mtu, mute: incoming === 'paused' }));
    }
    const qemu = await startQemu(host.native, host.netns, vm, { runDirectory, taps: taps.map((t) => t.tap), incoming });
    return { vm, host, qemu, taps };
  } catch (error) {
    for (const { tap } of taps) tap.close();
    throw error;
  }
}

/** Ends the QEMU, without asking the guest, and lets go of the taps, which are gone with it. Idempotent. */
export async function endVm(running: RunningVm): Promise<void> {
  await running.qemu.kill();
  running.qemu.close();
  for (const { tap } of running.taps) tap.close();
}
