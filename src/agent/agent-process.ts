/**
 * agent/: one per host. Keeps its VMs as they are wanted (`vm-keeper.ts`), takes part in moves (`mover.ts`), and tells the server what
 * is (`reporter.ts`).
 *
 * The agent as a whole, on seams only: keeper, moves and reporter on one host's hypervisor, disk and server. `main.ts` gives it the
 * real ones; tests and the simulator give it doubles.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { MoveReport, VmReport, Wanted, WantedMove } from '../api/agent-protocol.ts';
import type { HostStatus } from '../model/host.ts';
import { AgentState } from './agent-state.ts';
import type { Disk } from '../host/disk.ts';
import type { Hypervisor, Place } from '../move/hypervisor.ts';
import type { Log } from '../base/log.ts';
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
}

export class AgentProcess {
  readonly state: AgentState;
  readonly keeper: VmKeeper;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;

  /** Begins at once. Throws DiskFailed. */
  constructor(parts: AgentParts) {
    const { hypervisor, disk, runDir, clear, clock, log } = parts;
    let reporter: Reporter | undefined;
    const changed = (): void => reporter?.changed();
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
      want: ({ instance: meant, vms, moves: wanted }: Wanted) => {
        // Another agent's under the same name, or one's before this; ours comes once the server has heard of us.
        if (meant !== undefined && meant !== instance) {
          if (passedOver !== meant) log.info({ meant, instance }, 'What the server wants is for another agent of this name; passed over');
          passedOver = meant;
          return;
        }
        // Before its moves: a VM that is taken by one is not to be touched any more.
        wantedMoves = wanted;
        moves?.want(wanted);
        this.keeper.want({ vms, moves: wanted });
      },
      acknowledged: (migrations) => moves?.acknowledged(migrations),
    });
    const moving = async (): Promise<void> => {
      // A move goes on with the QEMUs that are there; until then its VMs are left alone by the keeper.
      await this.keeper.adopted();
      if (this.#closing.signal.aborted) return;
      moves = parts.moves?.({ hypervisor, state: this.state, keeper: this.keeper, clock, log, changed });
      if (wantedMoves) moves?.want(wantedMoves);
      changed();
    };
    const run = async (): Promise<void> => {
      await Promise.all([reporter.run(this.#closing.signal), moving()]);
      await moves?.close();
    };
    this.#running = run();
  }

  /** Orderly: lets go of every QEMU and touches none. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    await this.keeper.close();
  }
}
