/** A ground in memory, for tests and the simulator: one device per link of a MemoryNetwork's namespace, and seats that only note what they hold. */
import type { MemoryNetwork } from '../native/memory.ts';
import type { Membership, Native, Netns } from '../native/native.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { MacAddress } from '../wire/mac-address.ts';
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
    if (!this.#network.hasLink(this.#name, name)) return undefined;
    const { ifindex, mac, up } = this.#network.link(this.#name, name);
    return { index: ifindex, name, mac: MacAddress.of(mac), up };
  }

  setUp(name: string, up: boolean): void {
    this.#network.link(this.#name, name).up = up;
    this.#tell({ kind: 'device', name });
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
    this.#tell({ kind: 'route' });
  }

  sources({ index }: Device, family: 4 | 6): readonly IpAddress[] {
    return (this.#sources.get(index) ?? []).filter((address) => address.family === family);
  }

  hasRoute(to: IpAddress, prefixLength: number): boolean {
    return this.#routes.has(`${to}/${prefixLength}`);
  }

  neighbours(_: Device, family: 4 | 6): readonly KnownNeighbour[] {
    return this.known.filter(({ address }) => address.family === family);
  }

  nextHop(_: Device, to: IpAddress): MacAddress | undefined {
    return this.known.find(({ address }) => address.equals(to))?.mac;
  }

  forwards(): boolean {
    return true;
  }

  join({ index }: Device, group: IpAddress): Membership {
    return this.native.joinGroup(this.netns, index, group.bytes());
  }

  seat({ name }: Place): Seat {
    const { taken, log } = this;
    let unsettled = false;
    return {
      take(addresses: readonly PlacedAddress[]) {
        taken.set(name, addresses.map(({ address }) => address.toString()));
        log.push(`take ${name}`);
        unsettled = false;
      },
      release() {
        if (!taken.delete(name)) return;
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
      renew: () => Promise.resolve(),
      remove() {
        taken.delete(name);
        log.push(`remove ${name}`);
        return Promise.resolve();
      },
    };
  }

  refuse(addresses: readonly IpAddress[]): Promise<void> {
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

  #tell(change: GroundChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
