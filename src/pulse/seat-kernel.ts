/**
 * Seats in the Linux kernel. With a virtual MAC: a macvlan on the router's device, made and set up beforehand and down as long as the
 * router is Backup, since a Backup must not take what comes for that MAC (RFC 9568 §6.4.2 (360)). Raising it and adding an address take
 * some 0.2 ms. Taking it down takes 10 to 20 ms, in which the kernel waits for its own readers: so a release takes the addresses away
 * first, some 30 µs each, and the device after that, from another thread. Until then the host forwards what still comes to the virtual MAC,
 * as one that leaves should.
 */
import { constants } from 'node:os';
import { type AddressOptions, type HostAddress, renewalRequest } from '../host/address.ts';
import type { Host } from '../host/host.ts';
import { deletion, takingDown } from '../host/link.ts';
import { KernelRefused } from '../host/netlink.ts';
import { readSysctl, writeSysctl } from '../host/sysctl.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { isLinkLocal, virtualRouterMac } from '../wire/vrrp.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { PlanImpossible } from './errors.ts';
import type { Place, PlacedAddress, Seat } from './ground.ts';
import { SlowNetlink, unless } from './slow-netlink.ts';

/** IFA_PROTO of virtual routers' addresses: the number of Godwit's routes. */
export const ADDRESS_PROTOCOL = 201;
/** Seconds. Renewed every second: whatever kills all of Godwit, the kernel takes the addresses back. */
const LIFETIME = 3;

export class SeatMaker {
  readonly #host: Host;
  readonly #slow: SlowNetlink;
  /** Of devices of ours. */
  readonly #names = new Set<string>();
  /** Settings of others' devices that were changed, and what they were. */
  readonly #before = new Map<string, string>();

  constructor(host: Host) {
    this.#host = host;
    this.#slow = new SlowNetlink(host);
  }

  /** `own`: the device's other addresses. Throws PlanImpossible. */
  make(place: Place, own: readonly HostAddress[]): Seat {
    try {
      const { device, virtualMac } = place;
      if (!virtualMac) return new KernelSeat(this.#host, this.#slow, own, device.index, undefined);
      const name = this.#nameFor(place);
      const { index } = this.#host.ensureMacvlan({ name, parent: device.index, mac: virtualMac, mode: 'private' });
      this.#set(place, name);
      this.#names.add(name);
      return new KernelSeat(this.#host, this.#slow, own, index, () => this.#names.delete(name));
    } catch (error) {
      if (error instanceof KernelRefused || error instanceof PlanImpossible) {
        throw new PlanImpossible(`${place.name} cannot have its addresses on ${place.device.name}`, error);
      }
      throw error;
    }
  }

  /** Puts back the settings of devices that are not ours. */
  close(): void {
    this.#slow.close();
    for (const [setting, value] of this.#before) writeSysctl(this.#host, setting, value);
    this.#before.clear();
  }

  /** The short one, unless another device has a router of the same VRID. */
  #nameFor({ family, vrid, device }: Place): string {
    const short = `gvr${family}-${vrid}`;
    return this.#names.has(short) ? `${short}-${device.index}` : short;
  }

  #set({ family, device }: Place, name: string): void {
    const host = this.#host;
    const set = (setting: string, value: string | number): boolean => writeSysctl(host, setting, value);
    const read = (setting: string): string => readSysctl(host, setting) ?? '0';
    // ARP for the addresses is answered by the device that has them, and only by it: once, with the virtual MAC. And the device asks
    // for neighbours in its own name: what it answers from a virtual address would teach them its own MAC for that.
    for (const [what, least] of [['arp_ignore', 1], ['arp_announce', 2]] as const) {
      const setting = `ipv4/conf/${device.name}/${what}`;
      const before = read(setting);
      if (Number(before) >= least) continue;
      if (!this.#before.has(setting)) this.#before.set(setting, before);
      set(setting, least);
    }
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

const { EADDRNOTAVAIL, ENODEV } = constants.errno;

class KernelSeat implements Seat {
  readonly #host: Host;
  readonly #slow: SlowNetlink;
  /** The addresses of the router's device itself. */
  readonly #own: readonly HostAddress[];
  /** Where the addresses go: the macvlan, or the router's device. */
  readonly #index: number;
  /** There is a macvlan; when it is deleted. */
  readonly #deleted: (() => void) | undefined;
  #up = false;
  #unsettled = false;
  #installed: readonly Installed[] = [];

  constructor(host: Host, slow: SlowNetlink, own: readonly HostAddress[], index: number, deleted: (() => void) | undefined) {
    this.#host = host;
    this.#slow = slow;
    this.#own = own;
    this.#index = index;
    this.#deleted = deleted;
  }

  get unsettled(): boolean {
    return this.#unsettled;
  }

  take(addresses: readonly PlacedAddress[]): void {
    const wanted = addresses.map((placed) => this.#installation(placed));
    for (const installed of this.#installed) {
      if (!wanted.some((other) => isSame(installed, other))) this.#drop(installed);
    }
    this.#unsettled = false;
    this.#installed = wanted;
    // Before the addresses: IPv6's would go with the device.
    if (!this.#up) this.#raise();
    this.#put();
  }

  release(): void {
    for (const installed of this.#installed) this.#drop(installed);
    this.#installed = [];
    this.#unsettled = this.#up;
  }

  async settle(): Promise<void> {
    if (!this.#unsettled) return;
    this.#unsettled = false;
    this.#up = false;
    await unless([ENODEV], this.#slow.change(takingDown(this.#index)));
    // Taken meanwhile: whichever of the two came last, it is up from now on.
    if (this.#installed.length === 0) return;
    this.#raise();
    this.#put();
  }

  async renew(): Promise<void> {
    for (const one of this.#installed) {
      await unless([ENODEV], this.#slow.change(renewalRequest(this.#index, one.address, one.prefixLength, one.options)));
      // Released, or taken otherwise, while the kernel was at it: it may have put back what was removed.
      if (!this.#installed.some((other) => isSame(one, other))) this.#drop(one);
    }
  }

  async remove(): Promise<void> {
    this.release();
    if (!this.#deleted) return;
    await unless([ENODEV], this.#slow.change(deletion(this.#index)));
    this.#deleted();
  }

  #put(): void {
    for (const { address, prefixLength, options } of this.#installed) this.#host.addresses.renew(this.#index, address, prefixLength, options);
  }

  #raise(): void {
    if (!this.#deleted) return;
    this.#host.links.set(this.#index, { up: true });
    this.#up = true;
  }

  /** How the kernel is to have an address. */
  #installation({ address, prefixLength }: PlacedAddress): Installed {
    const options = { lifetime: LIFETIME, protocol: ADDRESS_PROTOCOL };
    const covered = this.#own.some((own) => own.prefixLength === prefixLength && sameNetwork(own.address, address, prefixLength));
    if (!this.#deleted) {
      // As one of the device's own network it would become the secondary of one there, or worse the primary, and take the others with it.
      const inside = covered || isLinkLocal(address);
      return { address, prefixLength: inside ? address.bytes().length * 8 : prefixLength, options: { ...options, noPrefixRoute: inside } };
    }
    // To answer from a link-local address the kernel needs the way to the link on that very device.
    if (isLinkLocal(address)) return { address, prefixLength: 64, options: { ...options, noPrefixRoute: false } };
    return { address, prefixLength, options: { ...options, noPrefixRoute: covered } };
  }

  #drop({ address, prefixLength }: Installed): void {
    tolerate([EADDRNOTAVAIL, ENODEV], () => this.#host.addresses.remove(this.#index, address, prefixLength));
  }
}

interface Installed {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly options: AddressOptions;
}

const isSame = (one: Installed, other: Installed): boolean => one.prefixLength === other.prefixLength && one.address.equals(other.address);

export function sameNetwork(one: IpAddress, other: IpAddress, prefixLength: number): boolean {
  if (one.family !== other.family) return false;
  const [a, b] = [one.bytes(), other.bytes()];
  return a.every((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefixLength - 8 * at));
    return (byte ^ (b[at] ?? 0)) >> (8 - bits) === 0;
  });
}

/**
 * Removes every address with Godwit's mark, whoever put it there; some 30 µs each. (A kernel before 5.18 forgets the mark: there the
 * addresses end with their lifetime.)
 */
export function removeAddresses(host: Host): void {
  for (const { device, address, prefixLength, protocol } of host.addresses.list()) {
    if (protocol === ADDRESS_PROTOCOL) tolerate([EADDRNOTAVAIL, ENODEV], () => host.addresses.remove(device, address, prefixLength));
  }
}

/** Removes every device of Godwit's virtual routers; 10 to 20 ms each. */
export function removeDevices(host: Host): void {
  for (const { index, name, kind, address } of host.links.list()) {
    if (kind === 'macvlan' && isOurs(name, address)) tolerate([ENODEV], () => host.links.delete(index));
  }
}

function isOurs(name: string, mac: Uint8Array): boolean {
  const [, family, vrid] = /^gvr([46])-(\d{1,3})(?:-\d+)?$/.exec(name) ?? [];
  return family !== undefined && Number(vrid) <= 255 && MacAddress.of(mac).equals(virtualRouterMac(family === '4' ? 4 : 6, Number(vrid)));
}

/** It is gone already: as wanted. */
function tolerate(errnos: readonly number[], act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof KernelRefused) || !errnos.includes(error.errno)) throw error;
  }
}
