/**
 * Who is where, as this host sees it: listens at its guests' taps and their bridges, keeps the registry (protocol/address-registry.ts),
 * and asks the networks whether anybody else has its guests' addresses (RFC 5227 §2.1.1, RFC 4862 §5.4).
 *
 * Probes go through the guest's tap, as if it asked: so the guest itself does not see them (its own detection would take them for
 * another's), and who answers is not it. While any move is in hand on this host no socket is opened or closed, and its VM does not
 * probe: a source's probe would turn the switches back.
 */
import type { AddressesReport } from '../api/agent-protocol.ts';
import type { Clock } from '../base/clock.ts';
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { SourceGuards } from '../host/source-guard.ts';
import type { GuardDrops } from '../model/address.ts';
import type { NetworkSpec } from '../model/network.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import type { VmSpec } from '../model/vm-spec.ts';
import type { Nic } from '../model/vm.ts';
import type { Guest } from '../move/hypervisor.ts';
import type { ReceivedFrame } from '../native/native.ts';
import type { ConflictChange } from '../protocol/address-conflicts.ts';
import { type AddressFact, addressFacts } from '../protocol/address-fact.ts';
import { AddressRegistry, type DeclaredAddress, type Where } from '../protocol/address-registry.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { permitted } from '../wire/link-local.ts';
import { virtualRouterMac } from '../wire/vrrp.ts';
import { AddressProbes } from './address-probes.ts';
import type { Ear, Ears } from './neighbour-ears.ts';

/** A VM of this host whose QEMU its agent holds. */
export interface WatchedGuest {
  readonly guest: Guest;
  readonly spec: VmSpec;
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  /** A move has it in hand. */
  readonly moving: boolean;
}

export interface WatchParts {
  readonly ears: Ears;
  readonly guests: () => readonly WatchedGuest[];
  /** A move is in hand on this host, whoever's. */
  readonly busy: () => boolean;
  readonly guards: Pick<SourceGuards, 'drops' | 'put'>;
  /** 0 to below 1. */
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Log;
  /** There is something to report at once. */
  readonly changed: () => void;
}

const LOOK = seconds(1);
const GUARDS = seconds(5);
/** Sightings in a report. */
const MOST = 1000;
/** sll_pkttype of linux/if_packet.h: towards the guest, on its tap. */
const OUTGOING = 4;

interface Port {
  readonly name: string;
  readonly where: Extract<Where, { place: 'here' }>;
  readonly network: string;
  readonly spec: NetworkSpec;
  readonly nic: Nic;
}

export class AddressWatch {
  readonly #parts: WatchParts;
  readonly #registry = new AddressRegistry();
  readonly #probes: AddressProbes;
  readonly #ears = new Map<string, Ear>();
  /** Of guests that this host has now, by tap. */
  #ports = new Map<string, Port>();
  #plans: readonly RouterPlan[] = [];
  #drops: readonly GuardDrops[] = [];
  readonly #closing = new AbortController();
  #poke = new AbortController();
  readonly #running: Promise<void>;

  /** Begins at once. Guests that are there now are taken to have been there before. */
  constructor(parts: WatchParts) {
    this.#parts = parts;
    this.#probes = new AddressProbes(parts.random, parts.log);
    for (const { guest } of parts.guests()) this.#probes.known(guest, parts.clock.monotonic());
    this.#running = Promise.all([this.#look(), this.#readGuards()]).then(() => undefined);
  }

  /** This host's part in virtual routers. */
  want(plans: readonly RouterPlan[]): void {
    this.#plans = plans;
    this.kick();
  }

  /** Guests may have come or gone. */
  kick(): void {
    this.#poke.abort();
  }

  report(): AddressesReport {
    const now = this.#parts.clock.monotonic();
    const entries = this.#registry.entries();
    const seen = entries.slice(0, MOST).map(({ first, last, ...entry }) =>
      ({ ...entry, first: now - first, ...(last === undefined ? {} : { last: now - last }) }));
    const conflicts = this.#registry.conflicts().map((c) => ({ ...c, first: now - c.first, last: now - c.last }));
    return { seen, conflicts, guards: this.#drops, untold: this.#registry.refused + entries.length - seen.length };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    for (const ear of this.#ears.values()) ear.close();
    this.#ears.clear();
  }

  async #look(): Promise<void> {
    const { signal } = this.#closing;
    const { clock, log } = this.#parts;
    for (let wait: Milliseconds; !signal.aborted; await clock.sleep(wait, AbortSignal.any([signal, this.#poke.signal]))) {
      this.#poke = new AbortController();
      wait = LOOK;
      try {
        const guests = this.#parts.guests();
        this.#settle(guests);
        const now = clock.monotonic();
        this.#tell(this.#registry.expire(now));
        wait = ms(Math.min(LOOK, this.#probes.due(guests, now)));
      } catch (error) {
        log.error({ error: formatError(error) }, 'The addresses of this host could not be looked at; it is tried again');
      }
    }
  }

  #settle(guests: readonly WatchedGuest[]): void {
    const ports = new Map(guests.flatMap(portsOf).map((port) => [port.name, port]));
    for (const name of this.#ports.keys()) if (!ports.has(name)) this.#registry.left(name);
    this.#ports = ports;
    this.#registry.declare([...declaredBy(ports), ...this.#declaredByRouters()], this.#parts.clock.monotonic());
    if (this.#parts.busy()) return;
    const bridges = new Set([...ports.values()].map(({ spec }) => spec.bridge));
    for (const [device, ear] of this.#ears) {
      if (ear.hears && (ports.has(device) || bridges.has(device))) continue;
      ear.close();
      this.#ears.delete(device);
    }
    for (const tap of ports.keys()) this.#open(tap, (frame) => this.#atTap(tap, frame));
    for (const bridge of bridges) this.#open(bridge, (frame) => this.#atBridge(bridge, frame));
  }

  #open(device: string, heard: (frame: ReceivedFrame) => void): void {
    if (this.#ears.has(device)) return;
    const ear = this.#parts.ears.open(device, heard);
    if (ear) this.#ears.set(device, ear);
  }

  #atTap(tap: string, { frame, packetType }: ReceivedFrame): void {
    const port = this.#ports.get(tap);
    if (!port) return;
    // What goes to many is told by the bridge, once.
    if (packetType === OUTGOING && ((frame[0] ?? 1) & 1) === 1) return;
    for (const fact of addressFacts(frame)) {
      // The guard has dropped it, and nobody else hears it.
      if (packetType !== OUTGOING && port.nic.guard && !permitted(port.nic, fact.mac, fact.address)) continue;
      this.#sight(port, fact, packetType === OUTGOING ? { place: 'outside', port: port.spec.bridge } : port.where);
    }
  }

  #atBridge(bridge: string, { frame, packetType }: ReceivedFrame): void {
    // The host's own.
    if (packetType === OUTGOING) return;
    const facts = addressFacts(frame);
    if (facts.length === 0) return;
    const ports = [...this.#ports.values()].filter(({ spec }) => spec.bridge === bridge);
    // One of each network that this bridge is of.
    const networks = new Map(ports.map((port) => [port.network, port]));
    for (const fact of facts) {
      // The taps tell.
      if (fact.evidence !== 'dhcp' && ports.some(({ nic }) => nic.mac.equals(fact.mac))) continue;
      for (const port of networks.values()) this.#sight(port, fact, { place: 'outside', port: bridge });
    }
  }

  #sight({ network, spec, nic: { attachment } }: Port, fact: AddressFact, where: Where): void {
    const segment = attachment.kind === 'bridge' ? attachment.segment : undefined;
    // The gateway of a routed network answers for all that is elsewhere.
    if (segment?.kind === 'routed' && segment.gateway.equals(fact.mac)) return;
    // A lease is where its client is, whoever says so.
    const client = (): Port | undefined => [...this.#ports.values()].find((port) => port.network === network && port.nic.mac.equals(fact.mac));
    const at: Where = fact.evidence === 'dhcp' ? client()?.where ?? { place: 'outside', port: spec.bridge } : where;
    this.#tell(this.#registry.sight(network, fact, at, this.#parts.clock.monotonic()));
  }

  #tell(changes: readonly ConflictChange[]): void {
    for (const { change, conflict: { network, address, ends } } of changes) {
      const text = change === 'began' ? 'Two claim one address' : 'Nobody has disputed an address for a while';
      this.#parts.log.warn({ network, address, ends }, text);
    }
    if (changes.length > 0) this.#parts.changed();
  }

  #declaredByRouters(): DeclaredAddress[] {
    const networks = new Map([...this.#ports.values()].map(({ network, spec }) => [network, spec.bridge]));
    return this.#plans.flatMap(({ name: router, device, vrid, family, virtualMac, addresses }) =>
      [...networks].filter(([, bridge]) => bridge === device).flatMap(([network]) => addresses.map(({ address }): DeclaredAddress => ({
        network, address: parseIpAddress(address), router,
        ...(virtualMac ? { mac: virtualRouterMac(family, vrid) } : {}),
      }))));
  }

  async #readGuards(): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#closing;
    for (let failing = false; !signal.aborted; await clock.sleep(GUARDS, signal)) {
      try {
        if ([...this.#ports.values()].some(({ nic }) => nic.guard)) await this.#lookAtGuards();
        else this.#drops = [];
        failing = false;
      } catch (error) {
        if (!failing) log.error({ error: formatError(error) }, 'Source guards could not be looked at: whether they are in force is not known; it is tried again');
        failing = true;
      }
    }
  }

  async #lookAtGuards(): Promise<void> {
    const { guards, guests, log } = this.#parts;
    const drops = await guards.drops();
    // Those that are there now: the guard of a guest that has just gone is gone with it.
    const guarded = guests().flatMap(portsOf).filter(({ nic }) => nic.guard);
    const missing = guarded.filter(({ name }) => !drops.has(name));
    if (missing.length > 0) {
      log.warn({ taps: missing.map(({ name }) => name) }, 'Source guards were gone, as after `nft flush ruleset`: they are put back');
      await guards.put(missing.map(({ name, nic: { mac, addresses } }) => ({ name, mac, addresses })));
    }
    this.#drops = guarded.map(({ name, where: { vm, nic } }) => ({ vm, nic, dropped: drops.get(name) ?? {} }));
  }
}

function portsOf({ guest, spec, networks }: WatchedGuest): Port[] {
  return guest.ports.flatMap((name, nic): Port[] => {
    const network = spec.nics?.[nic]?.network;
    const of = network === undefined ? undefined : networks[network];
    const made = guest.vm.nics[nic];
    if (network === undefined || !of || !made) return [];
    return [{ name, network, spec: of, nic: made, where: { place: 'here', port: name, vm: guest.vm.name, nic } }];
  });
}

function declaredBy(ports: ReadonlyMap<string, Port>): DeclaredAddress[] {
  return [...ports.values()].flatMap(({ network, where, nic: { mac, addresses } }) =>
    addresses.map((address): DeclaredAddress => ({ network, address, mac, where })));
}
