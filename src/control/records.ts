/** What the control plane keeps in the store: one JSON record per key, `/vms/web-1`. What the API shows is made of these (resources.ts). */
import type { AddressSpec, AddressStatus, ConflictSighting } from '../model/address.ts';
import type { BfdSessionSpec, BfdSessionStatus } from '../model/bfd-session.ts';
import type { EventSpec, VerdictReport } from '../model/event.ts';
import type { HostSpec, HostStatus } from '../model/host.ts';
import type { MigrationEnd, MigrationSpec, MigrationStatus } from '../model/migration.ts';
import type { Receipt } from '../model/move.ts';
import type { NetworkSpec } from '../model/network.ts';
import type { PathSpec, PathStatus } from '../model/path.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import type { Standing } from '../policy/acting-facts.ts';
import type { WayOfMove } from '../policy/path-use.ts';
import type { AlertReport } from '../model/watch-plan.ts';
import type { VirtualRouterSpec, VirtualRouterStatus } from '../model/virtual-router.ts';
import type { VmSpec, VmStatus } from '../model/vm-spec.ts';

export type Labels = Readonly<Record<string, string>>;

export interface NetworkRecord {
  readonly labels?: Labels;
  readonly spec: NetworkSpec;
}

export interface PolicyRecord {
  readonly labels?: Labels;
  readonly spec: PolicySpec;
}

export interface HostRecord {
  readonly labels?: Labels;
  readonly spec: HostSpec;
  /** Absent until its agent has reported once. */
  readonly status?: HostStatus;
  /** Instances of its agent that a newer one has replaced, the last few: they are refused for good. */
  readonly replaced?: readonly string[];
  /** Addresses that two claim, as it told last (address-conflicts.ts). */
  readonly conflicts?: readonly ToldConflict[];
  /** Of each pulse that has told transitions, the newest last: the last of them that is stored. */
  readonly pulses?: readonly { readonly pulse: string; readonly sequence: number }[];
  /** Likewise of each monitor, of turns of paths. */
  readonly monitors?: readonly { readonly monitor: string; readonly sequence: number }[];
  /** The verdict on it that an event told of last. */
  readonly told?: Pick<VerdictReport, 'verdict' | 'paths'>;
}

/** As `host` told it. */
export interface ToldConflict extends Pick<ConflictSighting, 'network' | 'address' | 'by' | 'ends'> {
  readonly host: string;
}

/** Never stored: made of what was heard last (addresses.ts). */
export interface AddressRecord {
  readonly spec: AddressSpec;
  readonly status: AddressStatus;
}

export interface VmRecord {
  readonly labels?: Labels;
  readonly spec: VmSpec;
  /** Follows from all the rest (vm-state.ts). */
  readonly status: VmStatus;
  /** What was last heard of it under its present placement, or follows from the move that brought it there; absent until then. */
  readonly observed?: Observed;
  /** A start was ordered and no host has it yet; `waits` says why, once tried. */
  readonly startWanted?: { readonly waits?: string };
  /** Orders to announce it anew, so far. */
  readonly announce?: number;
  /** Stop it without asking the guest. */
  readonly force?: true;
  readonly deleting?: true;
}

export interface Observed {
  readonly state: 'starting' | 'running' | 'paused' | 'in-doubt' | 'ended';
  readonly reason?: string;
}

export interface RouterRecord {
  readonly labels?: Labels;
  readonly spec: VirtualRouterSpec;
  /** Absent until a host has told of it. */
  readonly status?: VirtualRouterStatus;
  /** That several hosts say they are Active has been told of. */
  readonly contested?: true;
}

export interface BfdSessionRecord {
  readonly labels?: Labels;
  readonly spec: BfdSessionSpec;
  /** Absent until a host has told of it. */
  readonly status?: BfdSessionStatus;
}

/** Never stored: made of what was heard last (paths.ts). */
export interface PathRecord {
  readonly spec: PathSpec;
  readonly status: PathStatus;
}

export interface MigrationRecord {
  readonly labels?: Labels;
  readonly spec: MigrationSpec;
  readonly status: MigrationStatus;
}

/** The agents' side of a migration that has begun, beside it and never shown. It is there until both agents have told their end. */
export interface MoveRecord {
  /** The VM's epoch at the source. */
  readonly epoch: number;
  /** The VM's start at the source; it keeps it. */
  readonly start: number;
  /** Base64url of 32 random bytes. */
  readonly token: string;
  /** The path that it began on, and the hosts' addresses there. Absent: of an older server; `main`. */
  readonly way?: WayOfMove;
  /** Who has told its end; it need not be wanted of them any more. */
  readonly told: { readonly source?: true; readonly destination?: true };
  /** By who said so: why it is not known who has the VM. */
  readonly inDoubt?: { readonly source?: string; readonly destination?: string };
  /** The two hosts contradicted each other, and that has been said. */
  readonly contradicted?: true;
  /** What the destination told, kept for the case that the source never does. */
  readonly destinationEnd?: { readonly end: MigrationEnd; readonly receipt?: Receipt };
}

export interface EventRecord {
  readonly spec: EventSpec;
}

/** `since`: ms since the epoch. */
export interface StandingRecord extends Standing {
  readonly since: number;
}

/** When something was done, by its limit key. ms since the epoch. */
export interface DeedsRecord {
  readonly at: readonly number[];
}

/** Of a host: those that events have told are on. */
export interface AlertsRecord {
  readonly on: readonly AlertReport[];
}

export interface TokenRecord {
  /** Of the secret; the secret itself is nowhere. */
  readonly hash: string;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

export interface Tables {
  readonly hosts: HostRecord;
  readonly networks: NetworkRecord;
  readonly vms: VmRecord;
  readonly routers: RouterRecord;
  readonly bfdsessions: BfdSessionRecord;
  readonly paths: PathRecord;
  readonly addresses: AddressRecord;
  readonly migrations: MigrationRecord;
  readonly events: EventRecord;
  readonly policies: PolicyRecord;
  readonly moves: MoveRecord;
  readonly tokens: TokenRecord;
  readonly standings: StandingRecord;
  readonly deeds: DeedsRecord;
  readonly alerts: AlertsRecord;
}
export type Table = keyof Tables;

export interface Row<R> {
  readonly name: string;
  readonly record: R;
  /** Of the store, at its last change, and at its making: the order of asking. */
  readonly revision: number;
  readonly created: number;
}

const tables: readonly Table[] = ['hosts', 'networks', 'vms', 'routers', 'bfdsessions', 'migrations', 'events', 'policies', 'moves', 'tokens', 'standings', 'deeds', 'alerts'];

export const keyOf = (table: Table, name: string): string => `/${table}/${name}`;

/** Undefined for a key that is none of ours. */
export function splitKey(key: string): { readonly table: Table; readonly name: string } | undefined {
  const [, first, name, ...more] = key.split('/');
  const table = tables.find((t) => t === first);
  return table === undefined || name === undefined || more.length > 0 ? undefined : { table, name };
}
