/** A whole cluster on doubles: two hosts and a server, each of which can crash and come back, on wires that can be cut. */
import { AgentProcess } from '../../src/agent/agent-process.ts';
import { type Disk, DurableDisk } from '../../src/host/disk.ts';
import { MemoryFiles } from '../../src/host/disk-memory.ts';
import { MemoryHypervisor } from '../../src/move/hypervisor-memory.ts';
import { Journal } from '../../src/move/journal.ts';
import { silentLog } from '../../src/base/log.ts';
import { World } from '../../src/move/memory-world.ts';
import { Mover } from '../../src/agent/mover.ts';
import { PeerNetwork } from '../../src/move/peer-memory.ts';
import type { PeerHostTimes } from '../../src/move/peer-host.ts';
import type { ServerLink } from '../../src/agent/reporter.ts';
import { systemClock } from '../../src/native/system-clock.ts';
import { ms } from '../../src/base/units.ts';
import { type OpenControlPlane, openControlPlane } from '../../src/control/plane.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { ApiError } from '../../src/api/api.ts';
import { parseJoinToken } from '../../src/trust/join-token.ts';

/** Short, so that what waits for a silence does not wait long. */
const times: PeerHostTimes = { alive: ms(60), lost: ms(800), answer: ms(3000), orphaned: ms(1200) };

interface Running {
  readonly agent: AgentProcess;
  readonly hypervisor: MemoryHypervisor;
  readonly gone: AbortController;
  mover: Mover | undefined;
}

export const hosts = ['h1', 'h2'] as const;
export type HostName = (typeof hosts)[number];

export class CrashCluster {
  readonly world = new World();
  readonly #net = new PeerNetwork(this.world.cuts);
  readonly #store = new MemoryStore({ clock: systemClock });
  readonly #files = new Map<HostName, MemoryFiles>();
  readonly #agents = new Map<HostName, Running>();
  #plane: OpenControlPlane | undefined;
  #planeGone = new AbortController();
  #planeEnd: Promise<void> = Promise.resolve();

  /** With `vm` running on h1 and known to the server. */
  static async open(): Promise<CrashCluster> {
    const cluster = new CrashCluster();
    await cluster.startServer();
    for (const [i, host] of hosts.entries()) {
      const { token } = await cluster.plane.createToken(60_000);
      const { id, secret } = parseJoinToken(token);
      await cluster.plane.admit(host, { address: `10.9.0.${i + 1}` }, id, secret);
      cluster.startAgent(host);
    }
    await cluster.until('both hosts are ready', async () => (await cluster.plane.list('Host')).every(({ status }) => status?.state === 'ready'));
    await cluster.plane.apply([
      { kind: 'Network', name: 'a', spec: { bridge: 'br-a' } },
      { kind: 'Vm', name: 'vm', spec: { cpus: 1, memory: '256MiB', host: 'h1', nics: [{ network: 'a', mac: '52:54:00:00:00:01', addresses: ['10.0.0.1'] }] } },
    ]);
    await cluster.until('the VM runs', async () => (await cluster.vm()).state === 'running');
    return cluster;
  }

  /** Throws while the server is down. */
  get plane(): OpenControlPlane {
    if (!this.#plane) throw new ApiError(0, 'API_UNREACHABLE', 'The server is down');
    return this.#plane;
  }

  async vm() {
    const { status } = await this.plane.get('Vm', 'vm');
    return { state: status?.state, host: status?.placement?.host, migration: status?.migration, reason: status?.reason };
  }

  async startServer(): Promise<void> {
    await this.#planeEnd;
    this.#planeGone = new AbortController();
    this.#plane = await openControlPlane(this.#store, { clock: systemClock, log: silentLog, random: (length) => crypto.getRandomValues(new Uint8Array(length)), caCertificate: CA });
  }

  /** The next to start waits until this one has let go of the store. */
  crashServer(): boolean {
    const plane = this.#plane;
    this.#plane = undefined;
    this.#planeGone.abort();
    this.#planeEnd = plane?.close() ?? this.#planeEnd;
    return plane !== undefined;
  }

  startAgent(host: HostName): void {
    const files = this.#files.get(host) ?? new MemoryFiles();
    this.#files.set(host, files);
    const disk = this.#stepping(host, new DurableDisk(files));
    const hypervisor = new MemoryHypervisor(this.world, host);
    const gone = new AbortController();
    const address = parseIpAddress(`10.9.0.${hosts.indexOf(host) + 1}`);
    const running: { mover: Mover | undefined } = { mover: undefined };
    const agent = new AgentProcess({
      hypervisor, disk, runDir: '/run/godwit', clear: () => undefined, server: this.#link(host, gone.signal), clock: systemClock, log: silentLog,
      measure: () => ({ version: '0', cpuTime: 0, residentMemory: 0, lateness: 0 }),
      moves: (parts) => {
        const mover = new Mover({
          ...parts, disk, journal: new Journal(disk, 'moves.journal'), dialer: this.#net.dialer(host), address, peerTimes: times, hostTimes: times,
        });
        running.mover = mover;
        void this.#letIn(host, mover, gone.signal);
        return mover;
      },
    });
    this.#agents.set(host, { agent, hypervisor, gone, get mover() { return running.mover; } });
  }

  /** As a power cut is to its disk, worse than a crash; its QEMUs live on. */
  crashAgent(host: HostName): boolean {
    const running = this.#agents.get(host);
    if (!running) return false;
    this.#agents.delete(host);
    running.hypervisor.crash();
    running.gone.abort();
    const files = this.#files.get(host);
    const next = files?.afterPowerCut('nothing');
    files?.cutAfter(0);
    if (next) this.#files.set(host, next);
    void running.agent.close().catch(() => undefined);
    return true;
  }

  /**
   * As when it is told to end. Its hands are not cut off, as by a crash: whatever it has not let go of goes on. What it returns says how
   * often something was written to its disk since; the next agent gets what was on it.
   */
  async endAgent(host: HostName): Promise<() => number> {
    const running = this.#agents.get(host);
    const files = this.#files.get(host);
    if (!running || !files) throw new Error(`There is no agent on ${host}`);
    this.#agents.delete(host);
    await running.agent.close();
    const before = files.calls;
    running.gone.abort();
    this.#files.set(host, files.afterCrash());
    return () => files.calls - before;
  }

  /** Moves that the agent of a host has in hand, by its disk. */
  inHand(host: HostName): number {
    return this.#agents.get(host)?.agent.state.moves().length ?? 0;
  }

  fillDisk(host: HostName, full: boolean): boolean {
    this.#files.get(host)?.setRoom(full ? 0 : Infinity);
    return true;
  }

  cut(from: string, to: string): boolean {
    this.world.cuts.add(`${from}>${to}`);
    return true;
  }

  heal(): void {
    this.world.cuts.clear();
  }

  async move(to: HostName): Promise<string> {
    return (await this.plane.migrate({ vm: 'vm', to })).name;
  }

  /** The server knows the end, no host has anything of a move left, and what the server says of the VM is so. */
  async settled(migration: string): Promise<void> {
    await this.until('the move is settled', async () => {
      const { status } = await this.plane.get('Migration', migration);
      const busy = hosts.filter((host) => (this.#agents.get(host)?.agent.state.moves().length ?? 1) > 0 || (this.#agents.get(host)?.mover?.reports().length ?? 1) > 0);
      const vm = await this.vm();
      const truth = this.world.of('vm');
      const agrees = truth.length === 0 ? vm.state === 'failed' : truth.length === 1 && vm.state === 'running' && vm.host === truth[0]?.host;
      return status?.end !== undefined && busy.length === 0 && this.world.tunnels.size === 0 && vm.migration === undefined && agrees;
    });
  }

  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (const deadline = performance.now() + 25_000; ; await systemClock.sleep(ms(15))) {
      try {
        if (await holds()) return;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
      if (performance.now() > deadline) throw new Error(`Not within 25 s: ${what}\n${await this.#describe()}`);
    }
  }

  async close(): Promise<void> {
    for (const host of hosts) this.crashAgent(host);
    this.crashServer();
    await this.#planeEnd;
    await this.#store.close();
  }

  async #describe(): Promise<string> {
    const said = this.#plane ? { vm: await this.vm(), migrations: (await this.#plane.list('Migration')).map(({ name, status }) => ({ name, ...status })) } : 'the server is down';
    const agents = hosts.map((host) => ({ host, moves: this.#agents.get(host)?.agent.state.moves(), reports: this.#agents.get(host)?.mover?.reports(), vms: this.#agents.get(host)?.agent.keeper.reports() }));
    const qemus = [...this.world.qemus].map(({ host, state, open, redirect, alive }) => ({ host, state, open, redirect, alive }));
    return JSON.stringify({ said, agents, qemus, tunnels: [...this.world.tunnels], cuts: [...this.world.cuts], faults: this.world.faults }, undefined, 1);
  }

  async #letIn(host: HostName, mover: Mover, gone: AbortSignal): Promise<void> {
    // Fails when the agent falls while it settles what an earlier one left.
    await mover.ready.catch(() => undefined);
    if (!gone.aborted) gone.addEventListener('abort', this.#net.listen(host, (connection) => mover.peers.accept(connection)));
  }

  /** Says the journal's writes as steps: the commit point is one of them. */
  #stepping(host: HostName, disk: Disk): Disk {
    return {
      read: (path) => disk.read(path), write: (path, data) => disk.write(path, data), list: (directory) => disk.list(directory),
      remove: (path) => disk.remove(path), rename: (from, to) => disk.rename(from, to),
      append: (path, data) => {
        const text = Buffer.from(data).toString('utf8');
        if (text.includes('committed')) this.world.step(host, 'before-commit');
        disk.append(path, data);
        if (text.includes('committed')) this.world.step(host, 'after-commit');
      },
    };
  }

  #link(host: HostName, gone: AbortSignal): ServerLink {
    const away = (): boolean => gone.aborted || this.#plane === undefined || this.world.cuts.has(`${host}>server`);
    const unreachable = (): ApiError => new ApiError(0, 'API_UNREACHABLE', 'The server cannot be reached');
    return {
      report: async (report) => {
        await systemClock.sleep(ms(1));
        if (away()) throw unreachable();
        if (report.moves.some(({ end }) => end)) this.world.step(host, 'tell-end');
        if (away()) throw unreachable();
        const answer = await this.plane.report(host, report);
        if (away() || this.world.cuts.has(`server>${host}`)) throw unreachable();
        return answer;
      },
      wanted: async function* (this: CrashCluster, signal: AbortSignal) {
        await systemClock.sleep(ms(1));
        if (away()) throw unreachable();
        const end = AbortSignal.any([signal, gone, this.#planeGone.signal]);
        for await (const wanted of this.plane.wanted(host, end)) {
          if (this.world.cuts.has(`server>${host}`)) throw unreachable();
          if (end.aborted) return;
          yield wanted;
        }
      }.bind(this),
    };
  }
}

/** Only its hash is ever asked for, in a token that the test takes apart itself. */
const CA = await (async () => (await (await import('../../src/trust/authority.ts')).Authority.create('test', systemClock.now())).certificate)();
