/**
 * What agents and the server tell each other. Agents dial: a report every second and at once when something changed (POST), and
 * what is wanted of the host as a stream of events (SSE), level by level: each message is a whole state, so any may be lost or
 * come twice.
 *
 *   POST /agent/v1/report   AgentReport → ReportAnswer     (client certificate of the agent; the host is its name)
 *   GET  /agent/v1/wanted   → SSE `wanted` events: Wanted, the first at once; `console` events: ConsoleOrder, which may get lost
 *                              `history` events: HistoryOrder, likewise
 *   POST /agent/v1/history/ID  History, or { code, message }
 *   GET  /agent/v1/consoles/SESSION, Upgrade: godwit-console   the agent's end of a console
 */
import type { Milliseconds } from '../base/units.ts';
import type { AddressSighting, ConflictSighting, GuardDrops } from '../model/address.ts';
import type { BfdSessionPlan, BfdStatus, BfdTransition } from '../model/bfd-session.ts';
import type { AnnounceAgain } from '../model/cluster-policy.ts';
import type { CounterReport } from '../model/counters.ts';
import type { HistoryQuery } from '../model/history.ts';
import type { ReportedHost } from '../model/host.ts';
import type { MigrationEnd, MigrationProgress, SagaPhase } from '../model/migration.ts';
import type { Receipt } from '../model/move.ts';
import type { NetworkSpec } from '../model/network.ts';
import type { PathReport, PathTurnReport } from '../model/path.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../model/virtual-router.ts';
import type { Placement, VmSpec } from '../model/vm-spec.ts';
import type { AlertReport, WatchPlan } from '../model/watch-plan.ts';
import type { PeerOpinion } from '../protocol/failure-detector.ts';

/** What an agent has to say, all of it, every time. */
export interface AgentReport {
  readonly instance: string;
  /** Rises with each report of an instance; an older one that comes later is ignored. */
  readonly sequence: number;
  readonly host: ReportedHost;
  /** Every VM that this host has, or had until the server has taken note of its end. */
  readonly vms: readonly VmReport[];
  /** Every move of which the server has not yet acknowledged the end. */
  readonly moves: readonly MoveReport[];
  /** By name; absent as long as the pulse has not spoken. */
  readonly routers?: Readonly<Record<string, RouterStatus>>;
  /** Every transition of which the server has not yet acknowledged that it has it. */
  readonly transitions?: readonly (RouterTransition | BfdTransition)[];
  /** BFD sessions by name (those between hosts are `PEER/PATH`); absent as long as the pulse has not spoken. */
  readonly sessions?: Readonly<Record<string, BfdStatus>>;
  /** Of each other host, by this one's failure detector. */
  readonly opinions?: readonly PeerOpinion[];
  /** Absent: no monitor runs. */
  readonly monitor?: MonitorReport;
  /** Why its monitor does not say more, in words. */
  readonly troubles?: readonly string[];
  /** Every turn of a path of which the server has not yet acknowledged that it has it. */
  readonly turns?: readonly PathTurnReport[];
  /** Absent: its agent watches no addresses. */
  readonly addresses?: AddressesReport;
}

/** What this host's monitor said last. */
export interface MonitorReport {
  readonly paths: readonly PathReport[];
  readonly counters: CounterReport;
  readonly alerts: readonly AlertReport[];
  /** What it could not do, in words. */
  readonly troubles: readonly string[];
}

/** What this host knows at first hand of who is where. The most important first, where there is more than fits. */
export interface AddressesReport {
  readonly seen: readonly AddressSighting[];
  readonly conflicts: readonly ConflictSighting[];
  readonly guards: readonly GuardDrops[];
  /** Sightings that there was no room for, here or at the agent, since it started. */
  readonly untold: number;
}

export interface VmReport {
  readonly name: string;
  readonly placement: Placement;
  /**
   * `incoming`: a destination before the commit. `ended`: QEMU is gone or never came; `reason` says how. `gone`: handed over by
   * `move`: it is another host's now; without `move`: removed, as wanted. It is told until the VM is not listed in `Wanted` any more.
   */
  readonly state: 'starting' | 'running' | 'paused' | 'incoming' | 'in-doubt' | 'stopped' | 'ended' | 'gone';
  readonly reason?: string;
  /** The move by which it came, or which has it in hand. */
  readonly move?: string;
}

export interface MoveReport {
  /** The migration's name. */
  readonly migration: string;
  /** Its six hex digits: a name may be given out again by a server whose store is an older one. */
  readonly move: string;
  readonly role: 'source' | 'destination';
  readonly phase: SagaPhase;
  readonly inDoubt?: string;
  readonly progress?: MigrationProgress;
  /** The destination's, from its journal. */
  readonly decision?: 'committed' | 'aborted';
  readonly end?: MigrationEnd;
  readonly receipt?: Receipt;
}

export interface ReportAnswer {
  /** Migrations whose end, as this agent told it, the server has on its disk: it need not tell it again. */
  readonly acknowledged: readonly string[];
  /** The last transition that the server has on its disk. */
  readonly transitions?: { readonly pulse: string; readonly sequence: number };
  /** The last turn of a path that the server has on its disk. */
  readonly turns?: { readonly monitor: string; readonly sequence: number };
}

/** All that is wanted of one host. */
export interface Wanted {
  /**
   * Whom it is for: the instance that this host's agent last reported as. Another one that reads it (two agents under one name, or
   * one that has not reported yet) does nothing of it.
   */
  readonly instance?: string;
  readonly vms: readonly WantedVm[];
  readonly moves: readonly WantedMove[];
  /** This host's part in virtual routers, all of it; absent: as it was (an agent keeps the last on its disk). */
  readonly routers?: readonly RouterPlan[];
  /** Those that Godwit makes, as far as a VM of this host uses them, or one that comes; absent: as it was. */
  readonly networks?: readonly WantedNetwork[];
  /** This host's BFD sessions, all of them; absent: as they were. */
  readonly sessions?: readonly BfdSessionPlan[];
  /** Absent: as it was. */
  readonly watch?: WatchPlan;
}

/** A routed or VXLAN network in use on this host. */
export interface WantedNetwork {
  readonly name: string;
  readonly spec: NetworkSpec;
  /** The other hosts that use it: their addresses between hosts. */
  readonly peers: readonly string[];
  /** Every NIC on it, of all hosts' VMs; `at`: behind which of the peers it is. */
  readonly nics: readonly { readonly mac: string; readonly addresses: readonly string[]; readonly at?: string }[];
}

/** Somebody wants what this host's monitor has kept: the agent answers by POST /agent/v1/history/ID with a `History`, or a problem. */
export interface HistoryOrder {
  /** Base64url of 32 random bytes. */
  readonly id: string;
  readonly query: HistoryQuery;
}

/** Somebody wants the serial port of a VM: the agent opens its end of the session, or says with it why there is none. */
export interface ConsoleOrder {
  /** Base64url of 32 random bytes. */
  readonly session: string;
  readonly vm: string;
}

export interface WantedVm {
  readonly name: string;
  readonly spec: VmSpec;
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  /** On this host. */
  readonly placement: Placement;
  readonly running: boolean;
  /**
   * An agent has said that this very start was carried out. One that knows nothing of it has lost its records, or is a second one under
   * this name on another machine: it boots nothing, and says so.
   */
  readonly heard?: true;
  /** Rises with each order to announce its addresses anew; who sees it rise, or for the first time, does. */
  readonly announce?: number;
  /** With `running: false`: end QEMU without asking the guest first. */
  readonly force?: boolean;
  /**
   * It was deleted: end it and forget it. Only this mark makes an agent forget a VM: one that is merely not listed is left alone, so
   * that a server with an empty or an old store ends nothing. Stays until the agent has reported it `gone`.
   */
  readonly removed?: boolean;
}

export interface WantedMove {
  readonly migration: string;
  /** Six hex digits. */
  readonly move: string;
  readonly role: 'source' | 'destination';
  readonly vm: string;
  /** The VM's epoch at the source; at the destination it gets the next. */
  readonly epoch: number;
  readonly peer: { readonly host: string; readonly address: string; readonly port: number };
  /** This host's own address on the path that the move takes, where that is not `main`. `peer.address` is on the same path. */
  readonly local?: string;
  /** Shown by the source to the destination's agent: of this move, of this pair. Base64url of 32 random bytes. */
  readonly token: string;
  /** Bytes per second, for QEMU's stream; a change is followed while it copies. */
  readonly maxBandwidth: number;
  readonly policy: Readonly<Record<'lastPass' | 'patience' | 'lastPassLate' | 'maxCopy' | 'maxPause' | 'maxEmptying' | 'quiet' | 'maxDrain', Milliseconds>>;
  /** For the destination, after the move. */
  readonly announce?: AnnounceAgain;
  readonly dryRun: boolean;
  readonly cancel: boolean;
  /** Of the destination's journal, told on by the server to a source that cannot ask for itself. */
  readonly decision?: 'committed' | 'aborted';
  /**
   * How it ended, when the server knows that from the other side: nothing is begun any more, what this host has of it is cleared up,
   * and this host's own end is told. A destination that never heard of the move tells this very end.
   */
  readonly end?: MigrationEnd;
}
