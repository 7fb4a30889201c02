/**
 * Seats in the Linux kernel. With a virtual MAC: a macvlan on the router's device, made and set up beforehand and down as long as the
 * router is Backup, since a Backup must not take what comes for that MAC (RFC 9568 §6.4.2 (360)). Raising it and adding an address take
 * some 0.2 ms. Taking it down takes 10 to 20 ms, in which the kernel waits for its own readers: so a release takes the addresses away
 * first, some 30 µs each, and the device after that, from another thread. Until then the host forwards what still comes to the virtual MAC,
 * as one that leaves should.
 */
import type { HostAddress } from '../host/address.ts';
import type { Host } from '../host/host.ts';
import type { NetworkChange } from '../host/monitor.ts';
import { KernelRefused } from '../host/netlink.ts';
import { readSysctl, writeSysctl } from '../host/sysctl.ts';
import { type IpAddress, Ipv4Address, Ipv6Address } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import { sameNetwork } from '../wire/same-network.ts';
import { Deletions } from './deletions.ts';
import { PlanImpossible } from './errors.ts';
import { FormerSettings } from './former-settings.ts';
import type { Place, Seat } from './ground.ts';
import { ADDRESS_PROTOCOL, KernelSeat, type SeatDevice } from './kernel-seat.ts';
import { SlowNetlink } from './slow-netlink.ts';

/** Devices that go at once: the others wait for as long. */
const MOST = 20;
/** The last index that a device could have. */
const NOWHERE = 0x7fffffff;

export class SeatMaker {
  readonly #host: Host;
  readonly #slow: SlowNetlink;
  readonly #deletions: Deletions;
  readonly #former: FormerSettings;
  /** By the name of its device, which is ours. */
  readonly #seats = new Map<string, KernelSeat>();
  /** By index: the addresses of devices that are not virtual ones, until they change. */
  readonly #own = new Map<number, readonly HostAddress[]>();

  /** `settings`: the file for what others' settings were. */
  constructor(host: Host, settings?: string) {
    this.#host = host;
    this.#slow = new SlowNetlink(host);
    this.#deletions = new Deletions(this.#slow, MOST);
    this.#former = new FormerSettings(host, settings);
  }

  /** Throws PlanImpossible. */
  make(place: Place): Seat {
    try {
      const { device, virtualMac } = place;
      const parts = { host: this.#host, slow: this.#slow, deletions: this.#deletions };
      if (!virtualMac) return new KernelSeat({ ...parts, index: device.index, removed: () => undefined });
      this.#setParent(device.name);
      const name = this.#nameFor(place);
      const make = (): number => this.#macvlan(place, name, virtualMac);
      const seat = new KernelSeat({
        ...parts, index: make(),
        device: { make, find: () => this.#host.links.find(name), covers: (address, prefixLength) => this.#covers(device.index, address, prefixLength) },
        removed: (removed) => this.#seats.get(name) === removed && this.#seats.delete(name),
      });
      this.#seats.set(name, seat);
      return seat;
    } catch (error) {
      if (error instanceof KernelRefused || error instanceof PlanImpossible) {
        throw new PlanImpossible(`${place.name} cannot have its addresses on ${place.device.name}`, error);
      }
      throw error;
    }
  }

  /** Of anything in this namespace: seats' devices that others took away or down are put back at once. */
  hear(change: NetworkChange): void {
    switch (change.kind) {
      case 'link': {
        const { index, removed, up } = change;
        if (removed) this.#own.delete(index);
        if (!removed && up) return;
        for (const seat of this.#seats.values()) if (seat.index === index) seat.changed();
        return;
      }
      case 'address':
        if (change.address.protocol !== ADDRESS_PROTOCOL) this.#own.delete(change.address.device);
        return;
      case 'overrun':
        this.#own.clear();
        for (const seat of this.#seats.values()) seat.changed();
        return;
      case 'route':
      case 'neighbour':
    }
  }

  /**
   * Takes played through on a device that there is not, as often as V8 wants to see it: the kernel refuses each, and the first real one
   * does not pay for what was never run. Changes nothing.
   */
  rehearse(rounds: number): void {
    const parts = { host: this.#host, slow: this.#slow, deletions: this.#deletions, index: NOWHERE, removed: () => undefined };
    const device: SeatDevice = { make: () => NOWHERE, find: () => ({ index: NOWHERE, up: true }), covers: () => false };
    for (let round = 0; round < rounds; round++) {
      for (const address of [Ipv4Address.parse('192.0.2.1'), Ipv6Address.parse('2001:db8::1')]) {
        for (const seat of [new KernelSeat(parts), new KernelSeat({ ...parts, device })]) {
          try {
            seat.take([{ address, prefixLength: 24 }]);
          } catch (error) {
            if (!(error instanceof KernelRefused)) throw error;
          }
        }
      }
    }
  }

  /** Puts back the settings of devices that are not ours. */
  close(): void {
    this.#slow.close();
    this.#former.restore();
  }

  #macvlan(place: Place, name: string, mac: MacAddress): number {
    const { index } = this.#host.ensureMacvlan({ name, parent: place.device.index, mac, mode: 'private' });
    this.#set(place, name);
    return index;
  }

  #covers(device: number, address: IpAddress, prefixLength: number): boolean {
    let own = this.#own.get(device);
    if (!own) {
      own = this.#host.addresses.list(device).filter(({ protocol }) => protocol !== ADDRESS_PROTOCOL);
      this.#own.set(device, own);
    }
    return own.some((one) => one.prefixLength === prefixLength && sameNetwork(one.address, address, prefixLength));
  }

  /** The short one, unless another device has a router of the same VRID. */
  #nameFor({ family, vrid, device }: Place): string {
    const short = `gvr${family}-${vrid}`;
    return this.#seats.has(short) ? `${short}-${device.index}` : short;
  }

  /**
   * ARP for the addresses is answered by the device that has them, and only by it: once, with the virtual MAC. And the device asks for
   * neighbours in its own name: what it answers from a virtual address would teach them its own MAC for that.
   */
  #setParent(name: string): void {
    this.#former.raise(`ipv4/conf/${name}/arp_ignore`, 1);
    this.#former.raise(`ipv4/conf/${name}/arp_announce`, 2);
  }

  #set({ family, device }: Place, name: string): void {
    const host = this.#host;
    const set = (setting: string, value: string | number): boolean => writeSysctl(host, setting, value);
    const read = (setting: string): string => readSysctl(host, setting) ?? '0';
    set(`ipv4/conf/${name}/arp_ignore`, 1);
    // What comes in here goes out by the parent. The larger of the device's and `all` counts: 2, loose, does where `all` is strict.
    set(`ipv4/conf/${name}/rp_filter`, read('ipv4/conf/all/rp_filter') === '1' ? 2 : 0);
    set(`ipv4/conf/${name}/forwarding`, read(`ipv4/conf/${device.name}/forwarding`));
    if (family === 4) {
      set(`ipv6/conf/${name}/disable_ipv6`, 1);
      return;
    }
    if (!set(`ipv6/conf/${name}/disable_ipv6`, 0)) throw new PlanImpossible('this kernel has no IPv6');
    set(`ipv6/conf/${name}/accept_ra`, 0);
    set(`ipv6/conf/${name}/forwarding`, read(`ipv6/conf/${device.name}/forwarding`));
  }
}
