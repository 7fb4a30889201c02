/**
 * A ground in memory, for tests and the simulator: one device per link of a MemoryNetwork's namespace, and seats that only note what they
 * hold. It can refuse what the kernel can, and its devices can go.
 */
import type { MemoryNetwork } from '../native/memory.ts';
import type { Membership, Native, Netns } from '../native/native.ts';
import type { GodwitError } from '../base/error.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { parseIpPrefix } from '../wire/ip-prefix.ts';
import { MacAddress } from '../wire/mac-address.ts';
import { isLinkLocal } from '../wire/vrrp.ts';
import { PlanImpossible } from './errors.ts';
import type { Device, GroundChange, KnownNeighbour, Place, PlacedAddress, PulseGround, Seat } from './ground.ts';

export class MemoryGround implements PulseGround {
  readonly native: Native;
  readonly netns: Netns;
  readonly #network: MemoryNetwork;
  readonly #name: string;
  readonly #listeners = new Set<(change: GroundChange) => void>();
  readonly #sources = new Map<number, IpAddress[]>();
  readonly #routes = new Set<string>();
  /** What the kernel would know of neighbours: the test's to fill. */
  readonly known: KnownNeighbour[] = [];
  /** Where default routes lead. */
  readonly defaultRoutes: IpAddress[] = [];
  /** Addresses that are reached by another device, and its name. */
  readonly detours = new Map<string, string>();
  /** What it refuses from now on, and with what. */
  readonly refusals = new Map<'seat' | 'take' | 'renew' | 'rules', GodwitError>();
  /** Whether the host forwards, or would: there is nobody here who does it. */
  forwarding = true;
  readonly #lost = new Set<string>();
  readonly #macs = new Map<string, MacAddress>();
  /** What is taken now, by router: as texts. */
  readonly taken = new Map<string, readonly string[]>();
  /** Everything that was done to seats, in order: `take r1`, `release r1`. */
  readonly log: string[] = [];
  readonly refused: string[] = [];

  constructor(network: MemoryNetwork, name: string, native: Native = network.native(name)) {
    this.#network = network;
    this.#name = name;
    this.native = native;
    this.netns = native.openNetns();
  }

  device(name: string): Device | undefined {
    if (this.#lost.has(name) || !this.#network.hasLink(this.#name, name)) return undefined;
    const { ifindex, mac, up, mtu } = this.#network.link(this.#name, name);
    return { index: ifindex, name, mac: this.#macs.get(name) ?? MacAddress.of(mac), up, mtu };
  }

  setUp(name: string, up: boolean): void {
    this.#network.link(this.#name, name).up = up;
    this.#tellDevice(name);
  }

  /** The device leaves the namespace; its links' sockets are dead then. */
  lose(name: string): void {
    const { ifindex: index } = this.#network.link(this.#name, name);
    this.#lost.add(name);
    this.#tell({ kind: 'device', name, index, up: false, removed: true });
  }

  /** It is back, with the index that it had. */
  regain(name: string): void {
    this.#lost.delete(name);
    this.#tellDevice(name);
  }

  setMac(name: string, mac: MacAddress): void {
    this.#macs.set(name, mac);
    this.#tellDevice(name);
  }

  setSources(name: string, addresses: readonly IpAddress[]): void {
    const { ifindex } = this.#network.link(this.#name, name);
    this.#sources.set(ifindex, [...addresses]);
    this.#tell({ kind: 'address', index: ifindex });
  }

  /** `192.0.2.0/24`. */
  setRoute(prefix: string, there: boolean): void {
    if (there) this.#routes.add(prefix);
    else this.#routes.delete(prefix);
    const { address: to, prefixLength } = parseIpPrefix(prefix);
    this.#tell({ kind: 'route', to, prefixLength, removed: !there });
  }

  sources({ index }: Device, family: 4 | 6): readonly IpAddress[] {
    return (this.#sources.get(index) ?? []).filter((address) => address.family === family && (family === 4 || isLinkLocal(address)));
  }

  holds({ index }: Device, address: IpAddress): boolean {
    return (this.#sources.get(index) ?? []).some((one) => one.equals(address));
  }

  hasRoute(to: IpAddress, prefixLength: number): boolean {
    this.log.push(`look for ${to}/${prefixLength}`);
    return this.#routes.has(`${to}/${prefixLength}`);
  }

  neighbours(_: Device, family: 4 | 6): readonly KnownNeighbour[] {
    return this.known.filter(({ address }) => address.family === family);
  }

  gateways(_: Device, family: 4 | 6): readonly IpAddress[] {
    return this.defaultRoutes.filter((via) => via.family === family);
  }

  detour(_: Device, to: IpAddress): string | undefined {
    return this.detours.get(to.toString());
  }

  nextHop(_: Device, to: IpAddress): MacAddress | undefined {
    return this.known.find(({ address }) => address.equals(to))?.mac;
  }

  forwards(): boolean {
    return this.forwarding;
  }

  join({ index }: Device, group: IpAddress): Membership {
    return this.native.joinGroup(this.netns, index, group.bytes());
  }

  seat({ name, device }: Place): Seat {
    const { taken, log } = this;
    const check = (what: 'seat' | 'take' | 'renew'): void => {
      this.#check(what);
      if (this.#lost.has(device.name)) throw new PlanImpossible(`${device.name} is gone`);
    };
    check('seat');
    let unsettled = false;
    // A later seat of the same router is another.
    let held: readonly string[] | undefined;
    return {
      take(addresses: readonly PlacedAddress[]) {
        check('take');
        held = addresses.map(({ address }) => address.toString());
        taken.set(name, held);
        log.push(`take ${name}`);
        unsettled = false;
      },
      release() {
        if (held === undefined || taken.get(name) !== held || !taken.delete(name)) return;
        log.push(`release ${name}`);
        unsettled = true;
      },
      get unsettled() {
        return unsettled;
      },
      settle() {
        unsettled = false;
        log.push(`settle ${name}`);
        return Promise.resolve();
      },
      async renew() {
        check('renew');
        return Promise.resolve();
      },
      remove() {
        if (held !== undefined && taken.get(name) === held) taken.delete(name);
        log.push(`remove ${name}`);
        return Promise.resolve();
      },
    };
  }

  async refuse(addresses: readonly IpAddress[]): Promise<void> {
    this.#check('rules');
    this.refused.splice(0, Infinity, ...addresses.map(String));
    return Promise.resolve();
  }

  clean(): void {
    this.taken.clear();
  }

  onChange(listener: (change: GroundChange) => void): void {
    this.#listeners.clear();
    this.#listeners.add(listener);
  }

  drain(): void {
    // Told at once.
  }

  close(): void {
    this.#listeners.clear();
  }

  #check(what: 'seat' | 'take' | 'renew' | 'rules'): void {
    const refusal = this.refusals.get(what);
    if (refusal) throw refusal;
  }

  #tellDevice(name: string): void {
    const { ifindex: index, up } = this.#network.link(this.#name, name);
    this.#tell({ kind: 'device', name, index, up, removed: false });
  }

  #tell(change: GroundChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
