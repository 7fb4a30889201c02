/** A VM as it runs on this host: its QEMU and its taps. */
import type { Host } from '../host/host.ts';
import type { VmTap } from '../host/vm-tap.ts';
import type { Vm } from '../model/vm.ts';
import type { Tap } from '../native/native.ts';
import type { Incoming } from '../vm/qemu-arguments.ts';
import { type Qemu, adoptQemu, startQemu } from '../vm/qemu.ts';
import { MoveRefused } from './errors.ts';
import type { Guest, GuestState, Place } from './hypervisor.ts';

export class KernelGuest implements Guest {
  readonly vm: Vm;
  readonly place: Place;
  readonly host: Host;
  readonly qemu: Qemu;
  readonly taps: readonly VmTap[];

  private constructor(vm: Vm, place: Place, host: Host, qemu: Qemu, taps: readonly VmTap[]) {
    this.vm = vm;
    this.place = place;
    this.host = host;
    this.qemu = qemu;
    this.taps = taps;
  }

  /**
   * Makes the taps and starts QEMU; leaves nothing behind when it fails. `incoming`: `paused` a destination of Godwit's, with mute
   * taps; `running` one of plain QEMU's, open from the start.
   */
  static async start(host: Host, vm: Vm, place: Place, incoming: Incoming): Promise<KernelGuest> {
    const taps: VmTap[] = [];
    try {
      for (const [i, nic] of vm.nics.entries()) {
        if (nic.attachment.kind !== 'bridge') throw new MoveRefused([`nic${i}: only a NIC on a bridge can be run so far, not ${nic.attachment.kind}`]);
        taps.push(host.createVmTap({ name: `gt-${place.id}-${i}`, bridge: nic.attachment.bridge, mac: nic.mac, mtu: nic.mtu, mute: incoming === 'paused' }));
      }
      const qemu = await startQemu(host.native, host.netns, vm, { runDirectory: place.runDirectory, taps: taps.map((t) => t.tap), incoming });
      return new KernelGuest(vm, place, host, qemu, taps);
    } catch (error) {
      for (const { tap } of taps) tap.close();
      throw error;
    }
  }

  /** The QEMU that runs in this place, whoever started it, with descriptors of its taps fetched from it; undefined when none does. */
  static async adopt(host: Host, vm: Vm, place: Place): Promise<KernelGuest | undefined> {
    const qemu = await adoptQemu(host.native, place.runDirectory);
    if (!qemu) return undefined;
    return new KernelGuest(vm, place, host, qemu, qemu.taps.map((tap) => attached(host, tap)));
  }

  get exited(): Promise<void> {
    return this.qemu.exited;
  }

  async state(): Promise<GuestState> {
    const { running, status } = await this.qemu.qmp.execute('query-status');
    if (running) return 'running';
    return status === 'inmigrate' ? 'incoming' : 'paused';
  }

  async powerDown(): Promise<void> {
    await this.qemu.qmp.execute('system_powerdown');
  }

  async kill(): Promise<void> {
    await this.qemu.kill();
    this.close();
  }

  close(): void {
    this.qemu.close();
    for (const { tap } of this.taps) tap.close();
  }

  lastWords(): string {
    return this.qemu.log();
  }
}

function attached(host: Host, tap: Tap): VmTap {
  const { index, master } = host.links.get(tap.name);
  return { tap, index, bridge: master };
}
