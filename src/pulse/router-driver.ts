/** One virtual router's hands: its seat, its sockets, its frames, its counters. It decides nothing. */
import type { Milliseconds } from '../base/units.ts';
import type { RouterCounters } from '../model/virtual-router.ts';
import { announcementFrames } from '../wire/announce.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import type { VrrpAdvert, VrrpExpected } from '../wire/vrrp.ts';
import { Adverts } from './adverts.ts';
import type { Device, PulseGround, Seat } from './ground.ts';
import type { ReadPlan } from './plan.ts';
import type { Proof } from './proof.ts';
import type { Segment } from './segment.ts';

/** What it has as long as its device is there. */
export interface Binding {
  readonly device: Device;
  readonly segment: Segment;
  readonly proof: Proof;
  readonly seat: Seat;
}

export class RouterDriver {
  readonly #ground: PulseGround;
  read: ReadPlan;
  binding: Binding | undefined;
  /** Whether it should have its addresses: a seat that comes back is filled again. */
  #seated = false;
  /** It was refused its addresses: to say that it has them would take them from whoever does. */
  #mute = false;
  #source: IpAddress | undefined;
  #adverts: Adverts | undefined;
  #announcements: readonly Uint8Array[] | undefined;
  #expected: VrrpExpected;
  readonly #dropped: Record<string, number> = {};
  readonly #unsent: Record<string, number> = {};
  #sent = 0;
  #received = 0;
  transitions = 0;
  /** Of the last advert heard. */
  lastDialect: { readonly from: IpAddress; readonly checksum: VrrpAdvert['checksum'] } | undefined;

  constructor(ground: PulseGround, read: ReadPlan) {
    this.#ground = ground;
    this.read = read;
    this.#expected = this.#expectations();
  }

  get name(): string {
    return this.read.plan.name;
  }

  get seated(): boolean {
    return this.#seated;
  }

  /** The source of its adverts, if it is known. */
  get source(): IpAddress | undefined {
    return this.#source;
  }

  /** What it takes; see decodeVrrp. */
  get expected(): VrrpExpected {
    return this.#expected;
  }

  get counters(): RouterCounters {
    return { sent: this.#sent, received: this.#received, dropped: { ...this.#dropped }, unsent: { ...this.#unsent }, transitions: this.transitions };
  }

  /** Of the same identity. */
  update(read: ReadPlan): void {
    const before = this.read;
    this.read = read;
    this.#forgetFrames();
    // Prefix lengths are no business of the machine, which tells of changed addresses.
    if (this.#seated && JSON.stringify(before.addresses) !== JSON.stringify(read.addresses)) this.take();
  }

  useSource(source: IpAddress | undefined): void {
    this.#source = source;
    this.#forgetFrames();
  }

  bind(binding: Binding | undefined): void {
    this.binding = binding;
    this.#forgetFrames();
  }

  heard(): void {
    this.#received++;
  }

  dropped(reason: string, count = 1): void {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + count;
  }

  /**
   * `mac`: see the effect of this name (protocol/vrrp-state.ts). What kept it from being sent to anybody, as an errno's name; `peers` while
   * no peer's MAC is known.
   */
  send(priority: number, interval: Milliseconds, mac: 'virtual' | 'device'): string | undefined {
    const { segment, device } = this.binding ?? {};
    const adverts = this.#adverts ??= this.#makeAdverts();
    if (!segment || !device || !adverts || this.#mute) return undefined;
    let sent = false;
    let unsent: string | undefined = 'peers';
    for (const frame of adverts.frames(priority, interval, mac === 'device' ? device.mac : undefined)) {
      unsent = segment.send(frame);
      sent ||= unsent === undefined;
    }
    if (sent || unsent === undefined) {
      this.#sent++;
      return undefined;
    }
    this.#unsent[unsent] = (this.#unsent[unsent] ?? 0) + 1;
    return unsent;
  }

  /** Throws what the ground refuses; it is mute then until it took. */
  take(): void {
    this.#seated = true;
    this.#mute = true;
    this.binding?.seat.take(this.read.addresses);
    this.#mute = false;
  }

  /** It is not to take what it should: another of its group was refused. */
  hush(): void {
    this.#mute = true;
  }

  release(): void {
    this.#seated = false;
    this.binding?.proof.forget(this.name);
    this.binding?.seat.release();
  }

  announce(): void {
    const { segment } = this.binding ?? {};
    if (!segment || this.#mute) return;
    this.#announcements ??= this.#makeAnnouncements();
    for (const frame of this.#announcements) segment.send(frame);
  }

  verify(): void {
    const mac = this.#mac();
    if (mac && !this.#mute) this.binding?.proof.ask({ router: this.name, mac, addresses: this.read.addresses });
  }

  /** Has the kernel know its peers' MACs. */
  findPeers(): void {
    const { peers } = this.read;
    const device = this.binding?.device;
    if (!device || peers.length === 0) return;
    for (const peer of peers) this.#ground.nextHop(device, peer);
    this.#adverts?.forget();
  }

  /** Neighbours, routes or forwarding may be other ones. */
  refresh(): void {
    this.#announcements = undefined;
    if (this.read.peers.length > 0) this.#adverts?.forget();
  }

  #forgetFrames(): void {
    this.#adverts = undefined;
    this.#announcements = undefined;
    this.#expected = this.#expectations();
  }

  #expectations(): VrrpExpected {
    const { plan: { version, minTtl, checksum }, peers } = this.read;
    return { version, minTtl, checksum, peers };
  }

  #mac(): MacAddress | undefined {
    return this.read.virtualMac ?? this.binding?.device.mac;
  }

  #makeAdverts(): Adverts | undefined {
    const { plan: { vrid, version, checksum }, router, peers } = this.read;
    const device = this.binding?.device;
    const sourceMac = this.#mac();
    if (!device || !sourceMac || !this.#source) return undefined;
    const facts = { vrid, version, checksum, addresses: router.settings.addresses, source: this.#source, sourceMac, peers };
    return new Adverts(facts, (peer) => this.#ground.nextHop(device, peer));
  }

  #makeAnnouncements(): readonly Uint8Array[] {
    const mac = this.#mac();
    const device = this.binding?.device;
    if (!mac || !device) return [];
    return announcementFrames({ mac, addresses: this.read.router.settings.addresses, router: this.#ground.forwards(device, this.read.plan.family) });
  }
}
