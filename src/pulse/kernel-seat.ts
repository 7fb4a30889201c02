/** One virtual router's seat in the kernel: which addresses it has on which device, whatever others do to that device meanwhile. */
import { constants } from 'node:os';
import { type AddressOptions, renewalRequest } from '../host/address.ts';
import type { Host } from '../host/host.ts';
import { raising, takingDown } from '../host/link.ts';
import { KernelRefused } from '../host/netlink.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import type { Deletions } from './deletions.ts';
import type { PlacedAddress, Seat } from './ground.ts';
import type { SlowNetlink } from './slow-netlink.ts';

/** IFA_PROTO of virtual routers' addresses: the number of Godwit's routes. */
export const ADDRESS_PROTOCOL = 201;
/** Seconds. Renewed every second: whatever kills all of Godwit, the kernel takes the addresses back. */
const LIFETIME = 3;
const { EADDRNOTAVAIL, ENODEV } = constants.errno;

/** A device that is the seat's alone. */
export interface SeatDevice {
  /** Has it there, down, with its MAC and its settings, and gives its index. Throws KernelRefused, MacvlanNameTaken, PlanImpossible. */
  make(): number;
  /** Is it there, and is it up? */
  find(): { readonly index: number; readonly up: boolean } | undefined;
  /** A network of the host's own, which has a route of its own. */
  covers(address: IpAddress, prefixLength: number): boolean;
}

export interface SeatParts {
  readonly host: Host;
  readonly slow: SlowNetlink;
  readonly deletions: Deletions;
  /** Where the addresses go. */
  readonly index: number;
  /** Undefined: that is the router's own device. */
  readonly device?: SeatDevice;
  /** It was removed. */
  readonly removed: (seat: KernelSeat) => void;
}

interface Installed {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly options: AddressOptions;
}

export class KernelSeat implements Seat {
  readonly #parts: SeatParts;
  #index: number;
  #up = false;
  #removed = false;
  #placed: readonly PlacedAddress[] = [];
  #installed: readonly Installed[] = [];
  #settling: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;

  constructor(parts: SeatParts) {
    this.#parts = parts;
    this.#index = parts.index;
  }

  get index(): number {
    return this.#index;
  }

  get unsettled(): boolean {
    return this.#up && this.#installed.length === 0;
  }

  take(addresses: readonly PlacedAddress[]): void {
    this.#placed = addresses;
    try {
      this.#install();
    } catch (error) {
      if (!isMissing(error) || !this.#heal()) throw error;
    }
  }

  release(): void {
    for (const installed of this.#installed) this.#drop(installed);
    this.#placed = [];
    this.#installed = [];
  }

  settle(): Promise<void> {
    return this.#settling ??= this.#takeDown();
  }

  renew(): Promise<void> {
    return this.#renewing ??= this.#renewAll();
  }

  async remove(): Promise<void> {
    this.release();
    this.#removed = true;
    const { device, deletions, removed } = this.#parts;
    if (device) await deletions.delete(this.#index);
    removed(this);
  }

  /** Somebody else changed its device. What cannot be mended now is the next renewal's to tell. */
  changed(): void {
    try {
      this.#heal();
    } catch (error) {
      if (!(error instanceof KernelRefused)) throw error;
    }
  }

  /** Makes and raises its device anew, with the addresses on it, if it is not there as it should be. False: nothing was amiss. */
  #heal(): boolean {
    const { device } = this.#parts;
    if (!device || this.#removed) return false;
    const found = device.find();
    if (found?.index === this.#index && (found.up || !this.#up)) return false;
    if (found?.index !== this.#index) {
      this.#index = device.make();
      this.#up = false;
    }
    if (this.#placed.length > 0) {
      this.#up = false;
      this.#install();
    }
    return true;
  }

  #install(): void {
    const wanted = this.#placed.map((placed) => this.#installation(placed));
    for (const installed of this.#installed) {
      if (!wanted.some((other) => isSame(installed, other))) this.#drop(installed);
    }
    this.#installed = wanted;
    // Before the addresses: IPv6's would go with the device.
    if (!this.#up) this.#raise();
    for (const { address, prefixLength, options } of wanted) this.#parts.host.addresses.renew(this.#index, address, prefixLength, options);
  }

  #raise(): void {
    const { device, host } = this.#parts;
    if (!device) return;
    host.links.set(this.#index, { up: true });
    this.#up = true;
  }

  async #takeDown(): Promise<void> {
    const { slow } = this.#parts;
    try {
      let went = false;
      await slow.whenQuiet(() => {
        // Taken again before its turn came, or about to be deleted.
        if (!this.unsettled || this.#removed) return [];
        went = true;
        this.#up = false;
        return [takingDown(this.#index)];
      }, [ENODEV]);
      // Taken while the kernel was at it: whichever of the two came last, it is up from now on.
      if (went && this.#placed.length > 0) {
        this.#up = false;
        this.#install();
      }
    } finally {
      this.#settling = undefined;
    }
  }

  async #renewAll(): Promise<void> {
    const { slow, device } = this.#parts;
    // The host's own networks may be other ones by now.
    const stale = device && this.#placed.some((placed, at) => !isAlike(this.#installation(placed), this.#installed[at]));
    try {
      if (stale) {
        for (const installed of this.#installed) this.#drop(installed);
        this.#install();
      }
      let renewed: readonly Installed[] = [];
      await slow.urgently(() => {
        renewed = this.#installed;
        const index = this.#index;
        // Whoever took it down: it is to be up.
        return [
          ...(device && renewed.length > 0 ? [raising(index)] : []),
          ...renewed.map(({ address, prefixLength, options }) => renewalRequest(index, address, prefixLength, options)),
        ];
      });
      // Released, or taken otherwise, while the kernel was at it: it may have put back what was removed.
      for (const one of renewed) if (!this.#installed.some((other) => isSame(one, other))) this.#drop(one);
    } catch (error) {
      // Nothing is to be there any more.
      if (this.#installed.length === 0) return;
      if (!isMissing(error) || !this.#heal()) throw error;
    } finally {
      this.#renewing = undefined;
    }
  }

  /** How the kernel is to have an address. */
  #installation({ address, prefixLength }: PlacedAddress): Installed {
    const options = { lifetime: LIFETIME, protocol: ADDRESS_PROTOCOL };
    const { device } = this.#parts;
    // On the router's device, alone: with a prefix, the host's own address of that network, even one that comes later, would be its
    // secondary, and go with it.
    if (!device) return { address, prefixLength: address.bytes().length * 8, options: { ...options, noPrefixRoute: true } };
    // To answer from a link-local address the kernel needs the way to the link on that very device.
    if (isLinkLocal(address)) return { address, prefixLength: 64, options: { ...options, noPrefixRoute: false } };
    return { address, prefixLength, options: { ...options, noPrefixRoute: device.covers(address, prefixLength) } };
  }

  #drop({ address, prefixLength }: Installed): void {
    tolerate([EADDRNOTAVAIL, ENODEV], () => this.#parts.host.addresses.remove(this.#index, address, prefixLength));
  }
}

const isSame = (one: Installed, other: Installed): boolean => one.prefixLength === other.prefixLength && one.address.equals(other.address);
const isAlike = (one: Installed, other: Installed | undefined): boolean =>
  other !== undefined && isSame(one, other) && one.options.noPrefixRoute === other.options.noPrefixRoute;
/** There is no such device. */
const isMissing = (error: unknown): boolean => error instanceof KernelRefused && error.errno === ENODEV;

/** Undefined where the kernel refused it by one of these: there is none, or it is gone already. */
export function tolerate<T>(errnos: readonly number[], ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof KernelRefused && errnos.includes(error.errno)) return undefined;
    throw error;
  }
}
