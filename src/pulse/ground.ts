/**
 * What a pulse stands on: the devices, addresses and neighbours of one network namespace. The kernel's is ground-kernel.ts, the double
 * ground-memory.ts. Everything is synchronous and takes well under a millisecond, but where it says otherwise.
 */
import type { Membership, Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';

export interface Device {
  readonly index: number;
  readonly name: string;
  readonly mac: MacAddress;
  /** Administratively up, and with carrier. */
  readonly up: boolean;
  /** Bytes of an IP packet. */
  readonly mtu: number;
}

/** What a virtual router needs of its host. */
export interface Place {
  readonly name: string;
  readonly vrid: number;
  readonly family: 4 | 6;
  readonly device: Device;
  /** Undefined: the addresses go on the device itself, with its own MAC. */
  readonly virtualMac: MacAddress | undefined;
}

export interface PlacedAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/**
 * Where one virtual router's addresses go. They carry Godwit's mark and live for seconds only, so that the kernel takes them back from a
 * host whose Godwit is dead.
 */
export interface Seat {
  /** Answers for exactly these from now on. */
  take(addresses: readonly PlacedAddress[]): void;
  /** Answers for none of them from now on. What of it can wait is left for `settle`. */
  release(): void;
  /** True: `settle` has something to do. */
  readonly unsettled: boolean;
  /** The slow rest of a release, off this thread. Never rejects; a `take` meanwhile is right, and may have to wait for it. */
  settle(): Promise<void>;
  /** Begins the addresses' lives anew, and adds what is missing, off this thread. Rejects with what the ground refuses. */
  renew(): Promise<void>;
  /** Releases at once, and removes all of it off this thread. Never rejects. */
  remove(): Promise<void>;
}

export interface KnownNeighbour {
  readonly address: IpAddress;
  readonly mac: MacAddress;
}

export type GroundChange =
  /** `removed`: it is gone, and whatever was opened on it is dead, even if one with its index is there again. */
  | { readonly kind: 'device'; readonly name: string; readonly index: number; readonly up: boolean; readonly removed: boolean }
  | { readonly kind: 'address'; readonly index: number }
  /** `removed`: one to this prefix is gone; there may be another. When a device goes down its routes go without a word. */
  | { readonly kind: 'route'; readonly to: IpAddress; readonly prefixLength: number; readonly removed: boolean }
  /** Anything may have changed. */
  | { readonly kind: 'all' };

export interface PulseGround {
  readonly native: Native;
  readonly netns: Netns;
  device(name: string): Device | undefined;
  /** Its own addresses that adverts may come from, the kernel's first choice first: IPv6 only link-local ones. No virtual ones. */
  sources(device: Device, family: 4 | 6): readonly IpAddress[];
  /** Is `address` the device's own, and fit to send from? */
  holds(device: Device, address: IpAddress): boolean;
  /** Is there a route to exactly this prefix? Takes some 2 ms for 1000 routes. */
  hasRoute(to: IpAddress, prefixLength: number): boolean;
  /** Those of the device that the kernel knows. */
  neighbours(device: Device, family: 4 | 6): readonly KnownNeighbour[];
  /** Where default routes out of the device lead. Takes as long as `hasRoute`. */
  gateways(device: Device, family: 4 | 6): readonly IpAddress[];
  /**
   * The MAC by which a frame out of the device reaches `to`; undefined: not known yet, the kernel was asked to find out. Never a virtual
   * router's: a host that is Active answers for its own address with that, and it leads to whoever is Active.
   */
  nextHop(device: Device, to: IpAddress): MacAddress | undefined;
  /** The name of the device by which the host reaches `to`, where that is not this one. */
  detour(device: Device, to: IpAddress): string | undefined;
  /** The host forwards packets of this family that come in by the device. */
  forwards(device: Device, family: 4 | 6): boolean;
  join(device: Device, group: IpAddress): Membership;
  /** Slow. Throws PlanImpossible. */
  seat(place: Place): Seat;
  /** From now on what is addressed to these themselves is dropped, but for neighbour discovery; nothing else is. Slow. Rejects with NftError. */
  refuse(addresses: readonly IpAddress[]): Promise<void>;
  /** Removes what a dead pulse left. Slow. */
  clean(): void;
  onChange(listener: (change: GroundChange) => void): void;
  /** Tells at once what has changed so far. */
  drain(): void;
  close(): void;
}
