/** A pulse's ground: a host's namespace in the Linux kernel. */
import { constants } from 'node:os';
import type { HostAddress } from '../host/address.ts';
import type { Host } from '../host/host.ts';
import type { Link } from '../host/link.ts';
import type { Monitor, NetworkChange } from '../host/monitor.ts';
import { joinGroup } from '../host/multicast.ts';
import { runNft } from '../host/nft.ts';
import { readSysctl } from '../host/sysctl.ts';
import type { RouteEntry } from '../host/route.ts';
import type { Membership, Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import type { Device, GroundChange, KnownNeighbour, Place, PulseGround, Seat } from './ground.ts';
import { ADDRESS_PROTOCOL, tolerate } from './kernel-seat.ts';
import { removeAddresses, removeDevices } from './leftovers.ts';
import { refusalRules } from './refusal.ts';
import { SeatMaker } from './seat-kernel.ts';

const MAIN_TABLE = 254;
/** IFA_F_SECONDARY (IPv6: temporary), IFA_F_DADFAILED, IFA_F_TENTATIVE: nothing to send from. */
const UNFIT = { 4: 0x01, 6: 0x01 | 0x08 | 0x40 } as const;

/** V8 compiles what it has seen some hundreds of times; these take some 5 ms. */
const ROUNDS = 50;

export class KernelGround implements PulseGround {
  readonly native: Native;
  readonly netns: Netns;
  readonly #host: Host;
  readonly #seats: SeatMaker;
  #monitor: Monitor | undefined;
  /** Default routes, until one of them may have changed. */
  #gateways: { 4?: readonly RouteEntry[]; 6?: readonly RouteEntry[] } = {};
  /** Undefined: whatever a dead pulse left. */
  #refused: string | undefined;

  /** `host` stays the caller's. `settings`: see FormerSettings. */
  constructor(host: Host, settings?: string) {
    this.#host = host;
    this.native = host.native;
    this.netns = host.netns;
    this.#seats = new SeatMaker(host, settings);
  }

  device(name: string): Device | undefined {
    const link = this.#host.links.find(name);
    return link && deviceOf(link);
  }

  sources(device: Device, family: 4 | 6): readonly IpAddress[] {
    return this.#own(device)
      .filter(({ address, flags }) => address.family === family && (flags & UNFIT[family]) === 0 && (family === 4 || isLinkLocal(address)))
      .map(({ address }) => address);
  }

  holds(device: Device, address: IpAddress): boolean {
    return this.#own(device).some((own) => own.address.equals(address) && (address.family === 4 || (own.flags & UNFIT[6]) === 0));
  }

  hasRoute(to: IpAddress, prefixLength: number): boolean {
    return this.#host.routes.list(to.family).some((route) => route.prefixLength === prefixLength && route.to.equals(to));
  }

  neighbours({ index }: Device, family: 4 | 6): readonly KnownNeighbour[] {
    return this.#host.neighbours.list(index).flatMap(({ address, mac, state }) =>
      (mac && state !== 'noarp' && !mac.isGroup && address.family === family ? [{ address, mac }] : []));
  }

  gateways({ index }: Device, family: 4 | 6): readonly IpAddress[] {
    const known = this.#gateways[family] ??= this.#host.routes.list(family).filter(({ prefixLength, via }) => prefixLength === 0 && via);
    return known.flatMap(({ device, via }) => (device === index && via ? [via] : []));
  }

  nextHop({ index }: Device, to: IpAddress): MacAddress | undefined {
    return this.#reached(() => {
      const way = this.#wayTo(to, index);
      if (way.device !== index) return undefined;
      const { neighbours } = this.#host;
      const mac = neighbours.mac(index, way.hop);
      const virtual = mac && isVirtualRouterMac(mac);
      // Forgotten, so that the next answer may be another.
      if (virtual) tolerate([constants.errno.ENOENT], () => neighbours.delete(index, way.hop));
      if (!mac || virtual) neighbours.resolve(index, way.hop);
      return virtual ? undefined : mac;
    });
  }

  detour({ index }: Device, to: IpAddress): string | undefined {
    return this.#reached(() => {
      const { device } = this.#wayTo(to, index);
      return device === index ? undefined : this.#host.links.list().find((link) => link.index === device)?.name;
    });
  }

  forwards({ name }: Device, family: 4 | 6): boolean {
    return readSysctl(this.#host, family === 4 ? `ipv4/conf/${name}/forwarding` : 'ipv6/conf/all/forwarding') === '1';
  }

  join({ index }: Device, group: IpAddress): Membership {
    return joinGroup(this.#host, index, group);
  }

  seat(place: Place): Seat {
    return this.#seats.make(place);
  }

  async refuse(addresses: readonly IpAddress[]): Promise<void> {
    const wanted = addresses.map(String).sort().join();
    if (wanted === this.#refused) return;
    await runNft(this.#host, refusalRules(addresses));
    this.#refused = wanted;
  }

  /** Before the first router: what a takeover asks of the kernel, asked in vain. Changes nothing. */
  rehearse(): void {
    this.#seats.rehearse(ROUNDS);
  }

  clean(): void {
    removeAddresses(this.#host);
    removeDevices(this.#host);
  }

  onChange(listener: (change: GroundChange) => void): void {
    this.#monitor?.close();
    this.#gateways = {};
    this.#monitor = this.#host.monitor((change) => {
      this.#seats.hear(change);
      if (change.kind === 'overrun' || (change.kind === 'route' && change.route.prefixLength === 0)) this.#gateways = {};
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

  /** A link-local peer has no route of its own: it is on the link. */
  #wayTo(to: IpAddress, index: number): { readonly device: number; readonly hop: IpAddress } {
    if (isLinkLocal(to)) return { device: index, hop: to };
    const { device, via } = this.#host.addresses.route(to);
    return { device, hop: via ?? to };
  }

  #reached<T>(ask: () => T): T | undefined {
    const { ENETUNREACH, EHOSTUNREACH, ENETDOWN } = constants.errno;
    return tolerate([ENETUNREACH, EHOSTUNREACH, ENETDOWN], ask);
  }

  /** Those that are not a virtual router's. */
  #own({ index }: Device): readonly HostAddress[] {
    return this.#host.addresses.list(index).filter(({ protocol }) => protocol !== ADDRESS_PROTOCOL);
  }
}

function deviceOf({ index, name, up, carrier, address, mtu }: Link): Device {
  // The loopback and the like have none.
  return { index, name, up: up && carrier, mtu, mac: address.length === 6 ? MacAddress.of(address) : MacAddress.zero };
}

function groundChange(change: NetworkChange): GroundChange | undefined {
  switch (change.kind) {
    case 'link': {
      const { name, index, removed } = change;
      return { kind: 'device', name, index, removed, up: change.up && change.carrier && !removed };
    }
    // Its own, renewed every second, are no news.
    case 'address': return change.address.protocol === ADDRESS_PROTOCOL ? undefined : { kind: 'address', index: change.address.device };
    case 'route': {
      const { table, removed, route: { to, prefixLength } } = change;
      return table === MAIN_TABLE ? { kind: 'route', to, prefixLength, removed } : undefined;
    }
    case 'neighbour': return undefined;
    case 'overrun': return { kind: 'all' };
  }
}

/** 00:00:5e:00:01:VRID, 00:00:5e:00:02:VRID (RFC 9568 §7.3). */
function isVirtualRouterMac(mac: MacAddress): boolean {
  const [a, b, c, d, family] = mac.bytes();
  return a === 0 && b === 0 && c === 0x5e && d === 0 && (family === 1 || family === 2);
}
