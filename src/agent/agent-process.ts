/**
 * agent/: one per host. Keeps its VMs as they are wanted (`vm-keeper.ts`), takes part in moves (`mover.ts`), and tells the server what
 * is (`reporter.ts`).
 *
 * The agent as a whole, on seams only: keeper, moves and reporter on one host's hypervisor, disk and server. `main.ts` gives it the
 * real ones; tests and the simulator give it doubles.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { AgentReport, MoveReport, VmReport, Wanted, WantedMove } from '../api/agent-protocol.ts';
import type { HostStatus } from '../model/host.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import { AgentState } from './agent-state.ts';
import type { Disk } from '../host/disk.ts';
import type { Hypervisor, Place } from '../move/hypervisor.ts';
import type { Log } from '../base/log.ts';
import type { AddressWatch, WatchParts } from './address-watch.ts';
import type { MonitorKeeper, MonitorKeeperParts } from './monitor-keeper.ts';
import { Reporter, type ServerLink } from './reporter.ts';
import type { RouterKeeper } from './router-keeper.ts';
import { readWatch, writeWatch } from './session-files.ts';
import { VmKeeper } from './vm-keeper.ts';

/** What carries out this host's sides of moves. */
export interface Moves {
  /** All that are wanted of this host, each time. */
  want(moves: readonly WantedMove[]): void;
  reports(): readonly MoveReport[];
  /** VMs that are coming in and that the keeper has not received. */
  incoming(): readonly VmReport[];
  acknowledged(migrations: readonly string[]): void;
  /** This host's own addresses, of all paths: other agents may call at each. */
  callAt?(addresses: readonly string[]): void;
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

/** What keeps this host's part in virtual routers, and its BFD sessions. */
export type Routers = Pick<RouterKeeper, 'want' | 'wantSessions' | 'statuses' | 'sessions' | 'opinions' | 'transitions' | 'acknowledged' | 'close'>;

/** What measures this host's paths and counts its traffic. */
export type Monitor = Pick<MonitorKeeper, 'want' | 'report' | 'turns' | 'troubles' | 'acknowledged' | 'close'>;

/** What a monitor needs of the agent. */
export type MonitorParts = Pick<MonitorKeeperParts, 'clock' | 'log' | 'changed' | 'nics'>;

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
  /** Called at once; without, nothing is measured. */
  readonly monitor?: (parts: MonitorParts) => Monitor;
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
    let watch = readWatch(disk, log);
    const changed = (): void => {
      reporter?.changed();
      addresses?.kick();
    };
    const routers = parts.routers?.({ changed });
    this.state = new AgentState({ disk, runDir, log });
    this.keeper = new VmKeeper({ hypervisor, state: this.state, clock, log, changed, clear });

    const monitor = parts.monitor?.({ clock, log, changed: () => reporter?.changed(), nics: () => this.#nics() });
    monitor?.want(watch);
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
      pulse: () => (routers ? told({ routers: routers.statuses(), sessions: routers.sessions(), opinions: routers.opinions(), transitions: someOf(routers.transitions()) }) : {}),
      monitor: () => (monitor ? told({ monitor: monitor.report(), turns: someOf(monitor.turns()), troubles: someOf(monitor.troubles()) }) : {}),
      addresses: () => addresses?.report(),
      want: ({ instance: meant, vms, moves: wanted, routers: wantedRouters, networks, sessions, watch: wantedWatch }: Wanted) => {
        // Another agent's under the same name, or one's before this; ours comes once the server has heard of us.
        if (meant !== undefined && meant !== instance) {
          if (passedOver !== meant) log.info({ meant, instance }, 'What the server wants is for another agent of this name; passed over');
          passedOver = meant;
          return;
        }
        // A VM starts, or comes, on a bridge that is there.
        parts.networks?.want(networks);
        if (wantedWatch && JSON.stringify(wantedWatch) !== JSON.stringify(watch)) {
          watch = wantedWatch;
          writeWatch(disk, log, watch);
          moves?.callAt?.(Object.values(watch.local));
        }
        // Before its moves: a VM that is taken by one is not to be touched any more.
        wantedMoves = wanted;
        moves?.want(wanted);
        this.keeper.want({ vms, moves: wanted });
        // A router may hang on a session.
        routers?.wantSessions(sessions, wantedWatch?.detector);
        routers?.want(wantedRouters);
        monitor?.want(wantedWatch);
        plans = wantedRouters ?? plans;
        addresses?.want(plans);
      },
      acknowledged: ({ acknowledged, transitions, turns }) => {
        if (acknowledged.length > 0) moves?.acknowledged(acknowledged);
        routers?.acknowledged(transitions);
        monitor?.acknowledged(turns);
      },
    });
    const moving = async (): Promise<void> => {
      // A move goes on with the QEMUs that are there; until then its VMs are left alone by the keeper.
      await this.keeper.adopted();
      if (this.#closing.signal.aborted) return;
      moves = parts.moves?.({ hypervisor, state: this.state, keeper: this.keeper, clock, log, changed });
      if (watch) moves?.callAt?.(Object.values(watch.local));
      if (wantedMoves) moves?.want(wantedMoves);
      addresses = parts.addresses?.({ ...this.#watched(), clock, log, changed: () => reporter?.changed() });
      addresses?.want(plans);
      changed();
    };
    const run = async (): Promise<void> => {
      await Promise.all([reporter.run(this.#closing.signal), moving()]);
      await Promise.all([moves?.close(), routers?.close(), monitor?.close(), addresses?.close(), parts.networks?.close()]);
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

  #nics(): ReturnType<MonitorParts['nics']> {
    return this.keeper.held().flatMap(({ guest, record: { name } }) => guest.ports.map((device, nic) => ({ device, vm: name, nic })));
  }

  /** Orderly: lets go of every QEMU and touches none. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    await this.keeper.close();
  }
}

type Said = { readonly [K in 'routers' | 'sessions' | 'opinions' | 'transitions' | 'monitor' | 'turns' | 'troubles']?: AgentReport[K] | undefined };

/** What is known of it. */
function told<const T extends Said>(said: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // The cast: every field that has no value is left out, which the compiler cannot follow.
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

const someOf = <T>(list: readonly T[]): readonly T[] | undefined => (list.length > 0 ? list : undefined);
