/** Who is where: an address of a network, as declared and as hosts have seen it. Not stored: it is what the agents reported last. */
import type { Conflict } from '../protocol/address-conflicts.ts';
import type { AddressEntry } from '../protocol/address-registry.ts';
import type { Resource } from './resource.ts';

/** What one host knows of it at first hand. Spans in ms before the report that has it: hosts' clocks differ. */
export interface AddressSighting extends AddressEntry {
  /** Since it was seen or declared first, and since it was seen last. */
  readonly first: number;
  readonly last?: number;
}

/** Spans too. */
export interface ConflictSighting extends Conflict {
  readonly first: number;
  readonly last: number;
}

/** Frames of a guest that its source guard dropped, by what was wrong in them, since the guard was made. */
export interface GuardDrops {
  readonly vm: string;
  readonly nic: number;
  readonly dropped: Readonly<Record<string, number>>;
}

export interface AddressSpec {
  readonly network: string;
  readonly address: string;
}

/** One who has it. Instants in ms since the epoch, by the server's clock. */
export interface AddressHolder {
  readonly mac?: string;
  readonly vm?: string;
  readonly nic?: number;
  readonly router?: string;
  /** Where it is; without, outside of all hosts, or not known. */
  readonly host?: string;
  readonly evidence: AddressEntry['evidence'];
  /** Hosts that have seen it. */
  readonly seenBy: readonly string[];
  readonly first?: number;
  readonly last?: number;
}

export interface AddressStatus {
  /** Declared ones first, then who was seen last. */
  readonly holders: readonly AddressHolder[];
  /** Who claims it against whom, one line each; empty if all is well. */
  readonly conflicts: readonly string[];
}

/** Its name is `NETWORK/ADDRESS`, as in `web/10.1.0.5`. */
export type AddressResource = Resource<'Address', AddressSpec, AddressStatus>;

export const addressName = ({ network, address }: AddressSpec): string => `${network}/${address}`;
