/**
 * Who is where on each network, by what is declared and what was seen, and who claims what is another's.
 *
 * What counts as a conflict (RFC 5227 §2.1.1, §2.4):
 * - somebody claims a declared address with a MAC that is not its owner's;
 * - two claim an undeclared one, at least one of them from a guest of this host, and go on claiming it in turn: a first claim of what
 *   another had is a handover, as between two guests that run VRRP, and so no conflict;
 * - two ask for an address, without having it, at the same time (probes).
 * A guest that comes or goes keeps its MAC, so no move is a conflict. A virtual router's address is its virtual MAC's wherever that is;
 * without virtual MAC any host may answer, and only a guest that does is in conflict.
 *
 * Invariant: what others send cannot make it grow without end (`limits`), nor push out what is declared or a guest's own.
 * All instants are ms of one monotonic clock.
 */
import type { IpAddress } from '../wire/ip-address.ts';
import type { MacAddress } from '../wire/mac-address.ts';
import type { AddressFact, Evidence } from './address-fact.ts';
import { type Conflict, type ConflictChange, type ConflictEnd, Conflicts } from './address-conflicts.ts';

/** What was seen is forgotten when it was not seen again for so long. */
export const SIGHT_AGE = 10 * 60_000;
/** Two that claim in turn within this are in conflict; two probers within that. */
const CLAIM_WINDOW = 60_000;
const PROBE_WINDOW = 10_000;
/** A frame of a guest is seen at its tap, and again at the bridge: what the tap has told in this time is not outside. */
const STICKY = 10_000;

export interface Limits {
  /** Addresses seen outside, per network. */
  readonly outside: number;
  /** Undeclared addresses of one guest's port. */
  readonly port: number;
  /** MACs that claim one address. */
  readonly claims: number;
}
const defaults: Limits = { outside: 4096, port: 256, claims: 8 };

/** Where a frame came in: at a guest's tap, or from anywhere else. */
export type Where =
  | { readonly place: 'here'; readonly port: string; readonly vm: string; readonly nic: number }
  | { readonly place: 'outside'; readonly port: string };

/** Of a guest of this host, or of a virtual router; a router without `mac` is one whose hosts answer with their own. */
export type DeclaredAddress =
  | { readonly network: string; readonly address: IpAddress; readonly mac: MacAddress; readonly where: Extract<Where, { place: 'here' }> }
  | { readonly network: string; readonly address: IpAddress; readonly mac?: MacAddress; readonly router: string };

export interface AddressEntry {
  readonly network: string;
  readonly address: string;
  /** Absent: a virtual router's without virtual MAC that nobody has been seen to use. */
  readonly mac?: string;
  /** `here`: at a tap of a guest of this host. */
  readonly place: Where['place'];
  readonly port?: string;
  readonly vm?: string;
  readonly nic?: number;
  readonly router?: string;
  /** How it was seen last; `declared`: not seen. */
  readonly evidence: Evidence | 'declared';
  /** Seen or declared first, and seen last. */
  readonly first: number;
  readonly last?: number;
}

interface Claim {
  readonly mac: string;
  where: Where;
  evidence: Evidence;
  readonly first: number;
  last: number;
}

interface Holder {
  readonly network: string;
  readonly address: string;
  owner?: { readonly declared: DeclaredAddress; readonly since: number };
  readonly claims: Map<string, Claim>;
  probe?: { readonly mac: string; readonly where: Where; readonly at: number };
}

export class AddressRegistry {
  readonly #limits: Limits;
  readonly #holders = new Map<string, Holder>();
  readonly #conflicts = new Conflicts();
  /** Claims and probes by what bounds them (`boundOf`). */
  readonly #counts = new Map<string, number>();
  #refused = 0;

  constructor(limits: Partial<Limits> = {}) {
    this.#limits = { ...defaults, ...limits };
  }

  /** All that is declared, each time. What is not declared any more stays as far as it was seen. */
  declare(all: readonly DeclaredAddress[], now: number): void {
    const keys = new Set<string>();
    for (const declared of all) {
      const holder = this.#holder(declared.network, declared.address.toString());
      keys.add(keyOf(holder));
      holder.owner = { declared, since: holder.owner?.since ?? now };
    }
    for (const [key, holder] of this.#holders) {
      if (keys.has(key)) continue;
      delete holder.owner;
      this.#drop(key, holder);
    }
  }

  /** One thing that a frame says. Gives what began by it. */
  sight(network: string, fact: AddressFact, where: Where, now: number): readonly ConflictChange[] {
    if (fact.address.isUnspecified || fact.address.isMulticast || fact.mac.isGroup) return [];
    return fact.kind === 'probe' ? this.#probed(network, fact, where, now) : this.#claimed(network, fact, where, now);
  }

  /** A guest's port is not there any more. Its conflicts end when nobody was seen to claim for long enough, as all do. */
  left(port: string): void {
    for (const [key, holder] of this.#holders) {
      for (const claim of holder.claims.values()) if (claim.where.port === port) this.#forget(holder, claim);
      if (holder.probe?.where.port === port) this.#forgetProbe(holder);
      this.#drop(key, holder);
    }
  }

  /** Forgets what was not seen for long. Gives what ended by it. */
  expire(now: number): readonly ConflictChange[] {
    for (const [key, holder] of this.#holders) {
      for (const claim of holder.claims.values()) if (now - claim.last > SIGHT_AGE) this.#forget(holder, claim);
      if (holder.probe && now - holder.probe.at > PROBE_WINDOW) this.#forgetProbe(holder);
      this.#drop(key, holder);
    }
    return this.#conflicts.expire(now);
  }

  /** Those of guests of this host and what is declared come first, then what was seen last. */
  entries(): AddressEntry[] {
    const all = [...this.#holders.values()].flatMap(entriesOf);
    const own = (e: AddressEntry): number => (e.place === 'here' || e.router !== undefined ? 1 : 0);
    return all.sort((a, b) => own(b) - own(a) || (b.last ?? 0) - (a.last ?? 0));
  }

  conflicts(): readonly Conflict[] {
    return this.#conflicts.all();
  }

  /** Sightings that there was no room for, so far. */
  get refused(): number {
    return this.#refused + this.#conflicts.refused;
  }

  #claimed(network: string, fact: AddressFact, where: Where, now: number): readonly ConflictChange[] {
    const mac = fact.mac.toString();
    const address = fact.address.toString();
    const known = this.#holders.get(keyOf({ network, address }));
    const before = known?.claims.get(mac);
    const fresh: Claim = { mac, where, evidence: fact.evidence, first: now, last: now };
    if (before && before.where.place === 'here' && where.place === 'outside' && now - before.last <= STICKY) return [];
    if (!before && !this.#room(network, known, where)) {
      this.#refused++;
      // There may be no room to remember it: that it takes what is another's is told all the same.
      return known && !fact.soft ? this.#disputes(known, fresh, undefined, now) : [];
    }
    const holder = known ?? this.#holder(network, address);
    const claim: Claim = before ?? fresh;
    const previous = before && before.last;
    const changes = fact.soft ? [] : this.#disputes(holder, { ...claim, where }, previous, now);
    if (before) this.#forget(holder, before);
    holder.claims.set(mac, Object.assign(claim, { where, evidence: fact.evidence, last: now }));
    this.#count(network, where, 1);
    return changes;
  }

  /** @param previous when this MAC claimed it before, if it did */
  #disputes(holder: Holder, claim: Claim, previous: number | undefined, now: number): readonly ConflictChange[] {
    const { network, address } = holder;
    const rivals = [...this.#rivals(holder, claim, previous, now)];
    return rivals.flatMap((rival) => this.#conflicts.seen({ network, address, by: 'claim', ends: [rival, endOf(claim)] }, now));
  }

  *#rivals(holder: Holder, claim: Claim, previous: number | undefined, now: number): Generator<ConflictEnd> {
    const { owner } = holder;
    if (owner) {
      if (inConflictWith(owner.declared, claim)) yield ownerEnd(owner.declared, holder);
      return;
    }
    if (previous === undefined || now - previous > CLAIM_WINDOW) return;
    for (const other of holder.claims.values()) {
      if (other.mac === claim.mac || other.last < previous || sameVm(other.where, claim.where)) continue;
      if (other.where.place === 'here' || claim.where.place === 'here') yield endOf(other);
    }
  }

  #probed(network: string, fact: AddressFact, where: Where, now: number): readonly ConflictChange[] {
    const address = fact.address.toString();
    const mac = fact.mac.toString();
    const known = this.#holders.get(keyOf({ network, address }));
    const other = known?.probe;
    if (other && known && other.mac !== mac && now - other.at <= PROBE_WINDOW && !sameVm(other.where, where)) {
      return this.#conflicts.seen({ network, address, by: 'probe', ends: [end(other.mac, other.where), end(mac, where)] }, now);
    }
    // Only the probes of guests are remembered: others may ask for whatever they like.
    if (where.place === 'outside' || !this.#room(network, known, where)) return [];
    const holder = known ?? this.#holder(network, address);
    this.#forgetProbe(holder);
    holder.probe = { mac, where, at: now };
    this.#count(network, where, 1);
    return [];
  }

  #holder(network: string, address: string): Holder {
    const key = keyOf({ network, address });
    const holder = this.#holders.get(key) ?? { network, address, claims: new Map<string, Claim>() };
    this.#holders.set(key, holder);
    return holder;
  }

  #drop(key: string, { owner, claims, probe }: Holder): void {
    if (!owner && claims.size === 0 && !probe) this.#holders.delete(key);
  }

  #forget(holder: Holder, claim: Claim): void {
    holder.claims.delete(claim.mac);
    this.#count(holder.network, claim.where, -1);
  }

  #forgetProbe(holder: Holder): void {
    if (holder.probe) this.#count(holder.network, holder.probe.where, -1);
    delete holder.probe;
  }

  #count(network: string, where: Where, by: 1 | -1): void {
    const bound = boundOf(network, where);
    const count = (this.#counts.get(bound) ?? 0) + by;
    if (count > 0) this.#counts.set(bound, count);
    else this.#counts.delete(bound);
  }

  #room(network: string, holder: Holder | undefined, where: Where): boolean {
    // A guest takes the addresses that are declared as its own, whatever else it did.
    if (holder?.owner && 'where' in holder.owner.declared && holder.owner.declared.where.port === where.port) return true;
    if (holder && holder.claims.size >= this.#limits.claims) return false;
    return (this.#counts.get(boundOf(network, where)) ?? 0) < (where.place === 'outside' ? this.#limits.outside : this.#limits.port);
  }
}

const boundOf = (network: string, where: Where): string => (where.place === 'outside' ? network : `${network} ${where.port}`);
const keyOf = ({ network, address }: { readonly network: string; readonly address: string }): string => `${network} ${address}`;

function inConflictWith(declared: DeclaredAddress, { mac, where }: Claim): boolean {
  if (declared.mac !== undefined) return declared.mac.toString() !== mac;
  return where.place === 'here';
}

const sameVm = (a: Where, b: Where): boolean => a.place === 'here' && b.place === 'here' && a.vm === b.vm;

function end(mac: string | undefined, where?: Where): ConflictEnd {
  const guest = where?.place === 'here' ? { vm: where.vm, nic: where.nic } : {};
  return { ...(mac === undefined ? {} : { mac }), ...(where === undefined ? {} : { port: where.port }), ...guest };
}

const endOf = ({ mac, where }: Claim): ConflictEnd => end(mac, where);

function ownerEnd(declared: DeclaredAddress, { claims }: Holder): ConflictEnd {
  if ('where' in declared) return end(declared.mac.toString(), declared.where);
  const { mac, router } = declared;
  const last = [...claims.values()].filter(({ where }) => where.place === 'outside').sort((a, b) => b.last - a.last)[0];
  return { ...end(mac?.toString() ?? last?.mac), router };
}

function entriesOf({ network, address, owner, claims }: Holder): AddressEntry[] {
  const seen = [...claims.values()].map(({ mac, where, evidence, first, last }): AddressEntry => ({
    network, address, mac, place: where.place, port: where.port, evidence, first, last,
    ...(where.place === 'here' ? { vm: where.vm, nic: where.nic } : {}),
    ...(owner && 'router' in owner.declared && isRouters(owner.declared.mac?.toString(), mac, where) ? { router: owner.declared.router } : {}),
  }));
  if (!owner) return seen;
  const { declared, since } = owner;
  const mac = declared.mac?.toString();
  const found = seen.some((entry) => ('router' in declared ? entry.router !== undefined : entry.mac === mac && entry.place === 'here'));
  if (found) return seen;
  const of = 'router' in declared ? { router: declared.router, place: 'outside' as const } : { ...declared.where };
  const unseen: AddressEntry = { network, address, ...(mac === undefined ? {} : { mac }), ...of, evidence: 'declared', first: since };
  // Seen outside only, as a guest that has just come is: this host knows better.
  return [unseen, ...seen.filter((entry) => entry.mac !== mac)];
}

/** Without a MAC of its own, it is any host's. */
const isRouters = (virtual: string | undefined, mac: string, { place }: Where): boolean => (virtual === undefined ? place === 'outside' : virtual === mac);
