/**
 * Gives each router its device as that is now: its seat there, its sockets, where its adverts come from and go to. What the ground
 * refuses is that router's fault, and tried again.
 */
import { GodwitError, formatError } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';
import type { HostEffect, VrrpHost } from '../protocol/vrrp-host.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { Backoff } from './backoff.ts';
import type { Device, GroundChange, PulseGround } from './ground.ts';
import type { Objections } from './objections.ts';
import type { RouterDriver } from './router-driver.ts';
import type { Segments } from './segments.ts';

export interface BinderParts {
  readonly ground: PulseGround;
  readonly host: VrrpHost;
  readonly segments: Segments;
  readonly objections: Objections;
  readonly drivers: ReadonlyMap<string, RouterDriver>;
  readonly now: () => Milliseconds;
  readonly carryOut: (effects: readonly HostEffect[]) => void;
  /** Off this thread. */
  readonly slowly: (act: () => Promise<void>) => void;
}

export class RouterBinder {
  readonly #parts: BinderParts;
  readonly #backoff = new Backoff();
  /** What has changed since `settle`: one look does for any number of changes. */
  readonly #changed = { devices: new Set<string>(), addresses: new Set<number>(), removed: new Set<number>(), all: false, gateways: false };

  constructor(parts: BinderParts) {
    this.#parts = parts;
  }

  note(change: GroundChange): void {
    const { devices, addresses, removed } = this.#changed;
    if (change.kind === 'device') {
      devices.add(change.name);
      if (change.removed) removed.add(change.index);
    } else if (change.kind === 'address') addresses.add(change.index);
    else if (change.kind === 'all') this.#changed.all = true;
    // They only say whom to ask first: one that went with its link is no harm.
    if (change.kind === 'all' || (change.kind === 'route' && change.prefixLength === 0)) this.#changed.gateways = true;
  }

  /** Brings every router to what has changed. */
  settle(): void {
    const { devices, addresses, removed, all } = this.#changed;
    if (!all && devices.size + addresses.size === 0) return;
    const [names, indexes, gone] = [devices, addresses, removed].map((set) => new Set<string | number>(set));
    for (const set of [devices, addresses, removed]) set.clear();
    this.#changed.all = false;
    for (const driver of this.#parts.drivers.values()) {
      const index = driver.binding?.device.index ?? -1;
      if (gone?.has(index) === true) this.#lose(driver);
      if (all || names?.has(driver.read.plan.device) === true || indexes?.has(index) === true) this.bind(driver);
      driver.refresh();
    }
  }

  /** As its device is now; and tells the machine what it has. */
  bind(driver: RouterDriver): void {
    const { ground, host, objections, carryOut, now } = this.#parts;
    const { plan: { name, family, device: wanted }, source: given, advertBytes } = driver.read;
    const device = ground.device(wanted);
    if (driver.binding && driver.binding.device.index !== device?.index) this.#lose(driver);
    if (device && driver.binding) this.#changedDevice(driver, device);
    else if (device) this.#seat(driver, device);
    const source = device && (given ?? ground.sources(device, family).find((address) => !this.#isVirtual(address)));
    if (source?.toString() !== driver.source?.toString()) driver.useSource(source);
    objections.set(name, 'source', device && given && !ground.holds(device, given)
      ? `${given} is no address of ${wanted}: give it that, or name another source` : undefined);
    objections.set(name, 'mtu', device && advertBytes > device.mtu
      ? `its adverts take ${advertBytes} bytes, the MTU of ${wanted} is ${device.mtu}: raise that, or give it fewer addresses` : undefined);
    this.findPeers(driver);
    carryOut(host.link(name, device?.up ?? false, now()));
    carryOut(host.source(name, source, now()));
  }

  /** Learns by which MAC each unicast peer is reached now, or has the kernel find out: a Backup too, so that its first advert gets there. */
  findPeers(driver: RouterDriver): void {
    const { ground, objections } = this.#parts;
    const { plan: { name }, peers } = driver.read;
    const device = driver.binding?.device;
    if (!device) return;
    const astray = peers.flatMap((peer) => {
      const by = ground.detour(device, peer);
      return by === undefined ? [] : [`its peer ${peer} is reached by ${by}, not by ${device.name}: give each host a source on ${device.name}`];
    });
    objections.set(name, 'peers', astray.length > 0 ? astray.join('; ') : undefined);
    driver.findPeers();
  }

  unbind(driver: RouterDriver): void {
    const { binding } = driver;
    if (!binding) return;
    driver.bind(undefined);
    this.#parts.segments.leave(binding, driver);
    this.#parts.slowly(() => binding.seat.remove());
  }

  /** It was told another plan: what was refused may not be any more. */
  renewed(driver: RouterDriver): void {
    this.#backoff.succeeded(driver.name);
    this.#clear(driver.name);
    this.bind(driver);
  }

  /** Its addresses, or its adverts, were refused. */
  refused(driver: RouterDriver, obstacle: 'seat' | 'send', reason: string): void {
    const { objections, drivers, now } = this.#parts;
    if (drivers.get(driver.name) !== driver) return;
    this.#backoff.failed(driver.name, now());
    objections.set(driver.name, obstacle, reason);
  }

  /** Its adverts do not go out. */
  cannotSend(driver: RouterDriver, errno: string): void {
    const { name, binding } = driver;
    if (errno === 'ENXIO' && binding && this.#parts.drivers.get(name) === driver) {
      // Its device went and came back unseen.
      this.#lose(driver);
      this.bind(driver);
    } else this.refused(driver, 'send', `its adverts cannot be sent: ${errno}`);
  }

  took(driver: RouterDriver): void {
    this.#backoff.succeeded(driver.name);
  }

  everySecond(): void {
    for (const name of this.#backoff.due(this.#parts.now())) {
      const driver = this.#parts.drivers.get(name);
      if (!driver) this.#backoff.succeeded(name);
      // What it had no seat for is cleared when it has one, and only then.
      else if (!driver.binding) this.bind(driver);
      else this.#clear(name);
    }
    if (this.#changed.gateways) this.#parts.segments.learn();
    this.#changed.gateways = false;
    // On a host that is never quiet.
    this.#parts.segments.bury();
  }

  #clear(name: string): void {
    for (const obstacle of ['seat', 'send'] as const) this.#parts.objections.set(name, obstacle, undefined);
  }

  #seat(driver: RouterDriver, device: Device): void {
    const { ground, segments, objections, now } = this.#parts;
    const { plan: { name, vrid, family }, virtualMac } = driver.read;
    try {
      const seat = ground.seat({ name, vrid, family, device, virtualMac });
      driver.bind({ device, seat, ...segments.join(device, family, driver) });
      this.#clear(name);
      // It never noticed that it was without.
      if (driver.seated) {
        driver.take();
        driver.announce();
      }
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      this.#backoff.failed(name, now());
      objections.set(name, 'seat', formatError(error));
    }
  }

  #changedDevice(driver: RouterDriver, device: Device): void {
    const { binding, read: { virtualMac, plan: { name } } } = driver;
    if (!binding) return;
    const { mac, up, mtu } = binding.device;
    const moved = !mac.equals(device.mac);
    if (!moved && up === device.up && mtu === device.mtu) return;
    driver.bind({ ...binding, device });
    // Neighbours have the MAC that was.
    if (moved && !virtualMac && driver.seated) driver.announce();
    if (device.up && !up) {
      this.#backoff.succeeded(name);
      this.#clear(name);
    }
  }

  #lose(driver: RouterDriver): void {
    const { binding } = driver;
    if (!binding) return;
    this.unbind(driver);
    this.#parts.segments.lost(binding);
  }

  /** One that a router put there, on a kernel that forgets whose an address is. */
  #isVirtual(address: IpAddress): boolean {
    return [...this.#parts.drivers.values()].some(({ read }) => read.addresses.some((placed) => placed.address.equals(address)));
  }
}
