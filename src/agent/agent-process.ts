/**
 * agent/: one per host. Keeps its VMs as they are wanted (`vm-keeper.ts`), takes part in moves (`mover.ts`), and tells the server what
 * is (`reporter.ts`).
 *
 * The agent as a whole, on seams only: keeper, moves and reporter on one host's hypervisor, disk and server. `main.ts` gives it the
 * real ones; tests and the simulator give it doubles.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { MoveReport, ReportAnswer, VmReport, Wanted, WantedMove } from '../api/agent-protocol.ts';
import type { HostStatus } from '../model/host.ts';
import type { RouterPlan, RouterStatus, RouterTransition } from '../model/virtual-router.ts';
import { AgentState } from './agent-state.ts';
import type { Disk } from '../host/disk.ts';
import type { Hypervisor, Place } from '../move/hypervisor.ts';
import type { Log } from '../base/log.ts';
import type { AddressWatch, WatchParts } from './address-watch.ts';
import { Reporter, type ServerLink } from './reporter.ts';
import { VmKeeper } from './vm-keeper.ts';

/** What carries out this host's sides of moves. */
export interface Moves {
  /** All that are wanted of this host, each time. */
  want(moves: readonly WantedMove[]): void;
  reports(): readonly MoveReport[];
  /** VMs that are coming in and that the keeper has not received. */
  incoming(): readonly VmReport[];
  acknowledged(migrations: readonly string[]): void;
  /** Lets go of everything and ends nothing; what is in progress goes on after the next start. */
  close(): Promise<void>;
}

export interface MoveParts {
  readonly hypervisor: Hypervisor;
  readonly state: AgentState;
  readonly keeper: VmKeeper;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the server should hear of something. */
  readonly changed: () => void;
}

/** What keeps the networks of this host that Godwit makes. */
export interface Networks {
  /** All that are wanted, in force when it returns; undefined: as it was. */
  want(networks: Wanted['networks']): void;
  /** Lets go; they stay. */
  close(): Promise<void>;
}

/** What keeps this host's part in virtual routers. */
export interface Routers {
  /** All that are wanted; undefined: as it was. */
  want(plans: readonly RouterPlan[] | undefined): void;
  /** Undefined as long as nothing is known. */
  statuses(): Readonly<Record<string, RouterStatus>> | undefined;
  /** Of which the server has not said that it has them. */
  transitions(): readonly RouterTransition[];
  acknowledged(last: ReportAnswer['transitions']): void;
  /** Lets go; they run on. */
  close(): Promise<void>;
}

export interface AgentParts {
  readonly hypervisor: Hypervisor;
  readonly disk: Disk;
  readonly runDir: string;
  /** Removes what a deleted VM left in its run directory. */
  readonly clear: (place: Place) => void;
  readonly server: ServerLink;
  readonly clock: Clock;
  readonly log: Log;
  /** What the agent itself costs (self-measure.ts). */
  readonly measure: () => Pick<HostStatus['agent'], 'version' | 'cpuTime' | 'residentMemory' | 'lateness'>;
  /** Called once what runs has been adopted; no moves without. */
  readonly moves?: (parts: MoveParts) => Moves;
  /** Without, this host has the administrator's bridges alone. */
  readonly networks?: Networks;
  /** Called at once, before anything else; no virtual routers without. */
  readonly routers?: (parts: { readonly changed: () => void }) => Routers;
  /** Called once what runs has been adopted; without, nobody looks who is where. */
  readonly addresses?: (parts: AddressParts) => AddressWatch;
}

/** What AddressWatch needs of the agent. */
export type AddressParts = Pick<WatchParts, 'guests' | 'busy' | 'clock' | 'log' | 'changed'>;

export class AgentProcess {
  readonly state: AgentState;
  readonly keeper: VmKeeper;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;

  /** Begins at once. Throws DiskFailed. */
  constructor(parts: AgentParts) {
    const { hypervisor, disk, runDir, clear, clock, log } = parts;
    let reporter: Reporter | undefined;
    let addresses: AddressWatch | undefined;
    let plans: readonly RouterPlan[] = [];
    const changed = (): void => {
      reporter?.changed();
      addresses?.kick();
    };
    const routers = parts.routers?.({ changed });
    this.state = new AgentState({ disk, runDir, log });
    this.keeper = new VmKeeper({ hypervisor, state: this.state, clock, log, changed, clear });

    let moves: Moves | undefined;
    let wantedMoves: readonly WantedMove[] | undefined;
    const instance = randomUUID();
    let passedOver: string | undefined;
    const startedAt = clock.now();
    reporter = new Reporter({
      server: parts.server, clock, log, instance,
      facts: () => hypervisor.status(),
      agent: () => ({ ...parts.measure(), instance, startedAt }),
      vms: () => [...this.keeper.reports(), ...(moves?.incoming() ?? [])],
      moves: () => moves?.reports() ?? [],
      routers: () => routers && { statuses: routers.statuses(), transitions: routers.transitions() },
      addresses: () => addresses?.report(),
      want: ({ instance: meant, vms, moves: wanted, routers: wantedRouters, networks }: Wanted) => {
        // Another agent's under the same name, or one's before this; ours comes once the server has heard of us.
        if (meant !== undefined && meant !== instance) {
          if (passedOver !== meant) log.info({ meant, instance }, 'What the server wants is for another agent of this name; passed over');
          passedOver = meant;
          return;
        }
        // A VM starts, or comes, on a bridge that is there.
        parts.networks?.want(networks);
        // Before its moves: a VM that is taken by one is not to be touched any more.
        wantedMoves = wanted;
        moves?.want(wanted);
        this.keeper.want({ vms, moves: wanted });
        routers?.want(wantedRouters);
        plans = wantedRouters ?? plans;
        addresses?.want(plans);
      },
      acknowledged: ({ acknowledged, transitions }) => {
        if (acknowledged.length > 0) moves?.acknowledged(acknowledged);
        routers?.acknowledged(transitions);
      },
    });
    const moving = async (): Promise<void> => {
      // A move goes on with the QEMUs that are there; until then its VMs are left alone by the keeper.
      await this.keeper.adopted();
      if (this.#closing.signal.aborted) return;
      moves = parts.moves?.({ hypervisor, state: this.state, keeper: this.keeper, clock, log, changed });
      if (wantedMoves) moves?.want(wantedMoves);
      addresses = parts.addresses?.({ ...this.#watched(), clock, log, changed: () => reporter?.changed() });
      addresses?.want(plans);
      changed();
    };
    const run = async (): Promise<void> => {
      await Promise.all([reporter.run(this.#closing.signal), moving()]);
      await Promise.all([moves?.close(), routers?.close(), addresses?.close(), parts.networks?.close()]);
    };
    this.#running = run();
  }

  #watched(): Pick<AddressParts, 'guests' | 'busy'> {
    const { keeper, state } = this;
    return {
      guests: () => keeper.held().map(({ guest, record: { name, spec, networks } }) => ({ guest, spec, networks, moving: state.moveOf(name) !== undefined })),
      busy: () => state.moves().length > 0,
    };
  }

  /** Orderly: lets go of every QEMU and touches none. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    await this.keeper.close();
  }
}
