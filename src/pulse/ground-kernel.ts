/** A pulse's ground: a host's namespace in the Linux kernel. */
import { constants } from 'node:os';
import type { HostAddress } from '../host/address.ts';
import type { Host } from '../host/host.ts';
import type { Link } from '../host/link.ts';
import type { Monitor, NetworkChange } from '../host/monitor.ts';
import { joinGroup } from '../host/multicast.ts';
import { KernelRefused } from '../host/netlink.ts';
import { runNft } from '../host/nft.ts';
import { readSysctl } from '../host/sysctl.ts';
import type { Membership, Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import type { Device, GroundChange, KnownNeighbour, Place, PulseGround, Seat } from './ground.ts';
import { refusalRules } from './refusal.ts';
import { ADDRESS_PROTOCOL, SeatMaker, removeAddresses, removeDevices } from './seat-kernel.ts';

const MAIN_TABLE = 254;
/** IFA_F_SECONDARY (IPv6: temporary), IFA_F_DADFAILED, IFA_F_TENTATIVE: nothing to send from. */
const UNFIT = { 4: 0x01, 6: 0x01 | 0x08 | 0x40 } as const;

export class KernelGround implements PulseGround {
  readonly native: Native;
  readonly netns: Netns;
  readonly #host: Host;
  readonly #seats: SeatMaker;
  #monitor: Monitor | undefined;
  /** Undefined: whatever a dead pulse left. */
  #refused: string | undefined;

  /** `host` stays the caller's. */
  constructor(host: Host) {
    this.#host = host;
    this.native = host.native;
    this.netns = host.netns;
    this.#seats = new SeatMaker(host);
  }

  device(name: string): Device | undefined {
    return absent([constants.errno.ENODEV], () => deviceOf(this.#host.links.get(name)));
  }

  sources(device: Device, family: 4 | 6): readonly IpAddress[] {
    return this.#own(device)
      .filter(({ address, flags }) => address.family === family && (flags & UNFIT[family]) === 0 && (family === 4 || isLinkLocal(address)))
      .map(({ address }) => address);
  }

  hasRoute(to: IpAddress, prefixLength: number): boolean {
    return this.#host.routes.list(to.family).some((route) => route.prefixLength === prefixLength && route.to.equals(to));
  }

  neighbours({ index }: Device, family: 4 | 6): readonly KnownNeighbour[] {
    const gateways = this.#host.routes.list(family).flatMap(({ prefixLength, device, via }) => (prefixLength === 0 && device === index && via ? [via] : []));
    const known = this.#host.neighbours.list(index).flatMap(({ address, mac, state }) =>
      (mac && state !== 'noarp' && !mac.isGroup && address.family === family ? [{ address, mac }] : []));
    const isGateway = ({ address }: KnownNeighbour): number => Number(gateways.some((gateway) => gateway.equals(address)));
    return known.sort((a, b) => isGateway(b) - isGateway(a));
  }

  nextHop({ index }: Device, to: IpAddress): MacAddress | undefined {
    const { ENETUNREACH, EHOSTUNREACH, ENETDOWN } = constants.errno;
    return absent([ENETUNREACH, EHOSTUNREACH, ENETDOWN], () => {
      // A link-local peer has no route of its own: it is on the link.
      const hop = isLinkLocal(to) ? to : this.#host.addresses.route(to).via ?? to;
      const mac = this.#host.neighbours.mac(index, hop);
      if (!mac) this.#host.neighbours.resolve(index, hop);
      return mac;
    });
  }

  forwards({ name }: Device, family: 4 | 6): boolean {
    return readSysctl(this.#host, family === 4 ? `ipv4/conf/${name}/forwarding` : 'ipv6/conf/all/forwarding') === '1';
  }

  join({ index }: Device, group: IpAddress): Membership {
    return joinGroup(this.#host, index, group);
  }

  seat(place: Place): Seat {
    return this.#seats.make(place, this.#own(place.device));
  }

  async refuse(addresses: readonly IpAddress[]): Promise<void> {
    const wanted = addresses.map(String).sort().join();
    if (wanted === this.#refused) return;
    await runNft(this.#host, refusalRules(addresses));
    this.#refused = wanted;
  }

  clean(): void {
    removeAddresses(this.#host);
    removeDevices(this.#host);
  }

  onChange(listener: (change: GroundChange) => void): void {
    this.#monitor?.close();
    this.#monitor = this.#host.monitor((change) => {
      const told = groundChange(change);
      if (told) listener(told);
    });
  }

  drain(): void {
    this.#monitor?.drain();
  }

  close(): void {
    this.#monitor?.close();
    this.#seats.close();
  }

  /** Those that are not a virtual router's. */
  #own({ index }: Device): readonly HostAddress[] {
    return this.#host.addresses.list(index).filter(({ protocol }) => protocol !== ADDRESS_PROTOCOL);
  }
}

function deviceOf({ index, name, up, carrier, address }: Link): Device {
  // The loopback and the like have none.
  return { index, name, up: up && carrier, mac: address.length === 6 ? MacAddress.of(address) : MacAddress.zero };
}

function groundChange(change: NetworkChange): GroundChange | undefined {
  switch (change.kind) {
    case 'link': return { kind: 'device', name: change.name };
    // Its own, renewed every second, are no news.
    case 'address': return change.address.protocol === ADDRESS_PROTOCOL ? undefined : { kind: 'address', index: change.address.device };
    case 'route': return change.table === MAIN_TABLE ? { kind: 'route' } : undefined;
    case 'neighbour': return undefined;
    case 'overrun': return { kind: 'all' };
  }
}

/** Undefined where the kernel says that there is none. */
function absent<T>(errnos: readonly number[], ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof KernelRefused && errnos.includes(error.errno)) return undefined;
    throw error;
  }
}
