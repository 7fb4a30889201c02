/** The destination's side of a move: mute taps fed by tunnels, the incoming QEMU, the commit, the opening. Decides nothing. */
import type { Host } from '../host/host.ts';
import type { Link } from '../host/link.ts';
import type { Nic, Vm } from '../model/vm.ts';
import type { ReceivedFrame } from '../native/native.ts';
import { announcementFrames } from '../wire/announce.ts';
import { groupQueryFrames } from '../wire/group-query.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { PrimingFailed } from './errors.ts';
import { Injector } from './injector.ts';
import type { Journal } from './journal.ts';
import type { LedgerPath } from './ledger.ts';
import type { MoveTunnels } from './move-source.ts';
import { type RunningVm, endVm, placeVm } from './running-vm.ts';

/** The round of announcements at which a guest that has sent nothing is asked for its groups all the same. */
const ASK_ANYWAY = 4;

export class MoveDestination {
  readonly running: RunningVm;
  readonly #id: string;
  readonly #journal: Journal;
  readonly #tunnels: Link[] = [];
  readonly #injectors: Injector[] = [];
  readonly #uplink: number;
  readonly #asked = new Set<number>();
  /** Per NIC: frames that we have written as if the guest had sent them. */
  readonly #announced: number[] = [];
  #rounds = 0;

  private constructor(running: RunningVm, id: string, journal: Journal, uplink: number) {
    this.running = running;
    this.#id = id;
    this.#journal = journal;
    this.#uplink = uplink;
  }

  /** Everything that can be done before the guest is stopped. Leaves nothing behind when it fails. */
  static async prepare(host: Host, vm: Vm, journal: Journal, runDirectory: string, tunnels: MoveTunnels): Promise<MoveDestination> {
    const uplink = host.addresses.route(tunnels.source).device;
    const running = await placeVm(host, vm, { runDirectory, id: tunnels.id, incoming: 'paused' });
    const destination = new MoveDestination(running, tunnels.id, journal, uplink);
    try {
      for (const [i, tap] of running.taps.entries()) {
        const nic = vm.nics[i];
        if (!nic) continue;
        // Closed at the end: closing a packet socket holds the program up for some 10 ms (synchronize_net).
        const injector = new Injector(host, tap);
        destination.#injectors.push(injector);
        if (!(await injector.prime(nic))) throw new PrimingFailed(tap.tap.name);
        const tunnel = host.createTunnel({ name: `gx-${tunnels.id}-${i}`, vni: tunnels.vni + i, local: tunnels.destination, remote: tunnels.source, mtu: nic.mtu });
        destination.#tunnels.push(tunnel);
        host.traffic.attach(tunnel.index);
        host.traffic.redirect(tunnel.index, { hook: 'ingress', preference: 1, match: 'all', to: tap.index });
      }
      return destination;
    } catch (error) {
      await destination.abort();
      await destination.discard();
      throw error;
    }
  }

  /** The point of no return: on the disk when it returns. Throws JournalConflict when this move was aborted here. */
  commit(): void {
    this.#journal.decide(this.#id, this.running.vm.name, 'committed');
  }

  /** Opens the ports, teaches the bridge where the guest is, and lets it run: in this order, or its first frames go astray. */
  async release(): Promise<void> {
    const { host, taps, vm, qemu } = this.running;
    for (const tap of taps) host.bridges.setPortState(tap.index, 'forwarding');
    for (const [i, tap] of taps.entries()) {
      const nic = vm.nics[i];
      if (nic) host.bridges.learn(tap.index, nic.mac);
    }
    await qemu.cont();
  }

  /** Says where the guest is now, as if the guest said it: its own bridge hears it first. And asks the guest for its groups, once. */
  announce(): void {
    this.#rounds++;
    for (const [i, { tap }] of this.running.taps.entries()) {
      const nic = this.running.vm.nics[i];
      if (!nic) continue;
      for (const frame of announcementFrames(nic)) {
        tap.write(frame);
        this.#announced[i] = (this.#announced[i] ?? 0) + 1;
      }
      // Once the guest has sent something, or late enough: what it has to do first is to answer those who waited for it.
      if (this.#rounds === ASK_ANYWAY || this.#guestHasSent(i)) this.#askForGroups(i, nic);
    }
  }

  #guestHasSent(nic: number): boolean {
    const name = this.running.taps[nic]?.tap.name;
    return name !== undefined && this.running.host.links.get(name).counters.rxPackets > (this.#announced[nic] ?? 0);
  }

  /** The guest reports its groups, by which snooping switches learn the new port. The queries go to it alone and never leave this host. */
  #askForGroups(i: number, nic: Nic): void {
    const [tap, injector] = [this.running.taps[i], this.#injectors[i]];
    if (!tap || !injector || this.#asked.has(i)) return;
    this.#asked.add(i);
    const from = MacAddress.of(this.running.host.links.get(tap.tap.name).address);
    for (const frame of groupQueryFrames(nic, from)) injector.put({ frame, vnetHeader: new Uint8Array(), packetType: 0, timestamp: 0 });
  }

  /** Durably gives the VM up: the record first, then QEMU is gone. The taps keep what they hold, for `takeHeld`. */
  async abort(): Promise<void> {
    this.#journal.decide(this.#id, this.running.vm.name, 'aborted');
    await this.running.qemu.kill();
    this.running.qemu.close();
  }

  /** Takes what a tap holds, in order. Only when QEMU is gone. */
  takeHeld(nic: number): ReceivedFrame[] {
    const frames: ReceivedFrame[] = [];
    for (let frame; (frame = this.running.taps[nic]?.tap.read()); ) frames.push(frame);
    return frames;
  }

  /** Frames that have come out of the tunnel of each NIC and gone into its tap. */
  deliveredFrames(): number[] {
    return this.#tunnels.map(({ index }) => this.running.host.traffic.counters(index, 'ingress').reduce((sum, f) => sum + f.packets, 0));
  }

  tapsWaiting(): boolean[] {
    return this.running.taps.map(({ tap }) => tap.readable());
  }

  ledgerPaths(): LedgerPath[] {
    return this.#tunnels.flatMap((tunnel, i) => {
      const tap = this.running.taps[i];
      if (!tap) return [];
      return [{
        host: this.running.host, tap: { name: tap.tap.name, index: tap.index }, tunnel, uplink: this.#uplink,
        filters: { index: tunnel.index, name: tunnel.name, hook: 'ingress' },
      } satisfies LedgerPath];
    });
  }

  /** Removes the tunnels; the VM runs on. */
  close(): void {
    for (const injector of this.#injectors.splice(0)) injector.close();
    for (const tunnel of this.#tunnels.splice(0)) this.running.host.links.delete(tunnel.index);
  }

  /** After `abort` and `takeHeld`: nothing of the VM is left here. */
  async discard(): Promise<void> {
    this.close();
    await endVm(this.running);
  }
}
