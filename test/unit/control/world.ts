/** A control plane on a store in memory, in time that a test moves, with agents that are plain objects. */
import type { AgentReport, MoveReport, ReportAnswer, VmReport, Wanted } from '../../../src/api/agent-protocol.ts';
import type { Declaration } from '../../../src/api/api.ts';
import { type OpenControlPlane, openControlPlane } from '../../../src/control/plane.ts';
import type { HostStatus } from '../../../src/model/host.ts';
import type { MigrationStatus } from '../../../src/model/migration.ts';
import type { VmStatus } from '../../../src/model/vm-spec.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import type { Store } from '../../../src/store/store.ts';
import { Authority } from '../../../src/trust/authority.ts';
import { parseJoinToken } from '../../../src/trust/join-token.ts';
import { ms } from '../../../src/base/units.ts';
import { ManualClock } from '../agent/manual-clock.ts';

const authority = await Authority.create('test', ms(1e12));

/** The same bytes each time it is made, and never the same twice in a row. */
export function testRandom(): (length: number) => Uint8Array {
  let n = 0;
  return (length) => {
    n++;
    return Uint8Array.from({ length }, (_, i) => (n * 37 + i * 11 + (n >> 3)) & 0xff);
  };
}

/** What an agent says of a move; without its id, that of the migration's own. */
export type Told = Omit<MoveReport, 'move'> & { readonly move?: string };

export class Agent {
  readonly host: string;
  readonly #world: ControlWorld;
  instance: string;
  sequence = 0;
  vms: VmReport[] = [];
  moves: Told[] = [];
  routers: NonNullable<AgentReport['routers']> | undefined;
  transitions: NonNullable<AgentReport['transitions']> = [];
  /** What else it reports, as it is: sessions, opinions, monitor, turns. */
  detection: Pick<AgentReport, 'sessions' | 'opinions' | 'monitor' | 'turns'> = {};
  addresses: AgentReport['addresses'];
  facts: Partial<Omit<HostStatus, 'state' | 'lastReport'>> = {};

  constructor(world: ControlWorld, host: string, instance = `${host}-1`) {
    this.#world = world;
    this.host = host;
    this.instance = instance;
  }

  next(): AgentReport {
    return {
      instance: this.instance, sequence: ++this.sequence, vms: structuredClone(this.vms), moves: structuredClone(this.moves).map((move) => ({ move: this.#world.moveIds.get(move.migration) ?? '000000', ...move })),
      host: {
        agent: { version: '0', instance: this.instance, startedAt: 0, cpuTime: 0, residentMemory: 0 },
        qemu: '10.0.2', kernel: '6', cpu: 'x', cpus: 4, accelerators: ['kvm', 'tcg'], memory: 2 ** 34, freeMemory: 2 ** 33,
        bridges: { br0: { mtu: 1500 } }, missingFeatures: [], ...this.facts,
      },
      ...(this.routers ? { routers: structuredClone(this.routers) } : {}), ...(this.addresses ? { addresses: structuredClone(this.addresses) } : {}), transitions: [...this.transitions],
      ...structuredClone(this.detection),
    };
  }

  report(): Promise<ReportAnswer> {
    return this.#world.plane.report(this.host, this.next());
  }

  async wanted(): Promise<Wanted> {
    const stop = new AbortController();
    try {
      for await (const wanted of this.#world.plane.wanted(this.host, stop.signal)) return wanted;
    } finally {
      stop.abort();
    }
    throw new Error('nothing is wanted');
  }

  /** Says of every VM wanted running here that it does. */
  async run(): Promise<void> {
    this.vms = (await this.wanted()).vms.map(({ name, placement, running }) => ({ name, placement, state: running ? 'running' : 'stopped' }));
    await this.report();
  }
}

export class ControlWorld {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly agents = new Map<string, Agent>();
  /** By migration. */
  readonly moveIds = new Map<string, string>();
  /** What the server's log got, by the fields. */
  readonly logged: object[];
  plane: OpenControlPlane;

  private constructor(clock: ManualClock, store: Store, logged: object[], plane: OpenControlPlane) {
    this.clock = clock;
    this.store = store;
    this.logged = logged;
    this.plane = this.#noting(plane);
  }

  #noting(plane: OpenControlPlane): OpenControlPlane {
    const migrate = plane.migrate.bind(plane);
    plane.migrate = async (spec) => {
      const migration = await migrate(spec);
      if (migration.status) this.moveIds.set(migration.name, migration.status.move);
      return migration;
    };
    return plane;
  }

  /** With these hosts, all ready. */
  static async open(hosts: readonly string[] = ['host-a', 'host-b'], history?: number): Promise<ControlWorld> {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock, ...(history === undefined ? {} : { history }) });
    const logged: object[] = [];
    const world = new ControlWorld(clock, store, logged, await plane(store, clock, logged));
    for (const host of hosts) {
      await world.join(host);
      await world.agent(host).report();
    }
    return world;
  }

  async join(host: string): Promise<void> {
    const { id, secret } = parseJoinToken((await this.plane.createToken(60_000)).token);
    await this.plane.admit(host, { address: `10.0.0.${this.agents.size + 1}` }, id, secret);
    this.agents.set(host, new Agent(this, host));
  }

  /** The server ends and another begins on the same store. */
  async restart(): Promise<void> {
    await this.plane.close();
    this.plane = this.#noting(await plane(this.store, this.clock, this.logged));
  }

  agent(host: string): Agent {
    const agent = this.agents.get(host);
    if (!agent) throw new Error(`no agent ${host}`);
    return agent;
  }

  /** Time passes and these agents report every second. */
  async live(duration: number, hosts: readonly string[] = [...this.agents.keys()]): Promise<void> {
    for (let left = duration; left > 0; left -= 1000) {
      await this.clock.advance(Math.min(1000, left));
      for (const host of hosts) await this.agent(host).report();
    }
  }

  async vm(name: string): Promise<VmStatus> {
    const { status } = await this.plane.get('Vm', name);
    if (!status) throw new Error('a VM without status');
    return status;
  }

  async migration(name: string): Promise<MigrationStatus> {
    const { status } = await this.plane.get('Migration', name);
    if (!status) throw new Error('a migration without status');
    return status;
  }

  async events(): Promise<readonly string[]> {
    return (await this.plane.list('Event')).map(({ spec }) => spec.reason);
  }

  /** VMs declared on this host, and running there. */
  async running(host: string, ...names: readonly string[]): Promise<void> {
    await this.plane.apply(names.map((name) => vmOn(name, { host })));
    await this.agent(host).run();
  }

  async close(): Promise<void> {
    await this.plane.close();
    await this.store.close();
  }
}

function plane(store: Store, clock: ManualClock, logged: object[]): Promise<OpenControlPlane> {
  const note = (fields: object): void => void logged.push(fields);
  return openControlPlane(store, { clock, random: testRandom(), caCertificate: authority.certificate, log: { info: note, warn: note, error: note } });
}

export const vmOn = (name: string, spec: object = {}): Declaration => ({ kind: 'Vm', name, spec: { cpus: 1, memory: '256MiB', ...spec } });

/** The code of what it fails with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  return 'it went well';
}
