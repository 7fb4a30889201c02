/** A VM as it runs on this host: its QEMU and its taps. */
import type { Host } from '../host/host.ts';
import type { VmTap } from '../host/vm-tap.ts';
import type { Vm } from '../model/vm.ts';
import type { Tap } from '../native/native.ts';
import type { Incoming } from '../vm/qemu-arguments.ts';
import { type Qemu, adoptQemu, startQemu } from '../vm/qemu.ts';
import { announcementFrames } from '../wire/announce.ts';
import { MoveRefused } from './errors.ts';
import type { Guest, GuestState, Place } from './hypervisor.ts';
import { guardAnew, guardedOf, sweepGuards, unguard } from './guard.ts';
import { segmentOf, settle, withdraw } from './segment.ts';

export class KernelGuest implements Guest {
  readonly vm: Vm;
  readonly place: Place;
  readonly host: Host;
  readonly qemu: Qemu;
  readonly taps: readonly VmTap[];
  #open = true;
  #unguarded: Promise<void> | undefined;

  private constructor(vm: Vm, place: Place, host: Host, qemu: Qemu, taps: readonly VmTap[]) {
    this.vm = vm;
    this.place = place;
    this.host = host;
    this.qemu = qemu;
    this.taps = taps;
    // What could not be taken away goes with its bridge.
    void qemu.exited.then(() => this.#withdraw()).catch(() => undefined);
    void qemu.exited.then(() => (this.#open ? this.#unguard() : undefined));
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
        const { mtu } = host.links.get(nic.attachment.bridge);
        if (nic.attachment.segment?.kind === 'vxlan' && mtu < nic.mtu) throw new MoveRefused([`nic${i} has an MTU of ${nic.mtu}, and between the hosts its network carries ${mtu}: raise that of the hosts' devices, or lower the network's`]);
        const isolated = segmentOf(nic)?.kind === 'routed';
        taps.push(host.createVmTap({ name: `gt-${place.id}-${i}`, bridge: nic.attachment.bridge, mac: nic.mac, mtu: nic.mtu, mute: incoming === 'paused', isolated }));
      }
      // Before there is anybody who could send.
      const guarded = guardedOf({ vm, taps });
      if (guarded.length > 0) await host.guards.put(guarded);
      const qemu = await startQemu(host.native, host.netns, vm, { runDirectory: place.runDirectory, taps: taps.map((t) => t.tap), incoming });
      const guest = new KernelGuest(vm, place, host, qemu, taps);
      if (incoming === 'paused') return guest;
      try {
        settle(guest);
        return guest;
      } catch (error) {
        await guest.kill();
        throw error;
      }
    } catch (error) {
      for (const { tap } of taps) tap.close();
      // Of taps made here: that of a QEMU that runs already keeps its own.
      await unguard(host, guardedOf({ vm, taps }));
      throw error;
    }
  }

  /** The QEMU that runs in this place, whoever started it, with descriptors of its taps fetched from it; undefined when none does. */
  static async adopt(host: Host, vm: Vm, place: Place): Promise<KernelGuest | undefined> {
    await sweepGuards(host);
    const qemu = await adoptQemu(host.native, place.runDirectory);
    if (!qemu) {
      withdraw({ host, vm });
      return undefined;
    }
    const guest = new KernelGuest(vm, place, host, qemu, qemu.taps.map((tap) => attached(host, tap)));
    try {
      // One that stands still may be another host's already.
      if ((await guest.state()) === 'running') settle(guest);
      await guardAnew(guest);
      return guest;
    } catch (error) {
      guest.close();
      throw error;
    }
  }

  get exited(): Promise<void> {
    return this.qemu.exited;
  }

  get ports(): readonly string[] {
    return this.taps.map(({ tap }) => tap.name);
  }

  speak(nic: number, frame: Uint8Array): void {
    this.taps[nic]?.tap.write(frame);
  }

  async state(): Promise<GuestState> {
    const { running, status } = await this.qemu.qmp.execute('query-status');
    if (running) return 'running';
    return status === 'inmigrate' ? 'incoming' : 'paused';
  }

  async announce(): Promise<void> {
    for (const nic of this.taps.keys()) this.announceNic(nic);
  }

  /** Gives how many frames were written: they count as sent by the guest. */
  announceNic(index: number): number {
    const [tap, nic] = [this.taps[index], this.vm.nics[index]];
    if (!tap || !nic) return 0;
    const frames = announcementFrames(nic);
    for (const frame of frames) tap.tap.write(frame);
    return frames.length;
  }

  async powerDown(): Promise<void> {
    await this.qemu.qmp.execute('system_powerdown');
  }

  async kill(): Promise<void> {
    await this.qemu.kill();
    this.#withdraw();
    this.close();
    await this.#unguard();
  }

  /** Once: a guard of the same name may be that of the next guest by then. */
  #unguard(): Promise<void> {
    return (this.#unguarded ??= unguard(this.host, guardedOf(this)));
  }

  #withdraw(): void {
    if (this.#open) withdraw(this);
  }

  close(): void {
    this.#open = false;
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
