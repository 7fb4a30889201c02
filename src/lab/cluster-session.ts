/**
 * A VM on a lab's cluster, moved as an administrator moves hers: asked of the server, carried out by the agents, followed by a watch.
 * To demo and bench it is what Session is to moves in one process.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { HttpClient } from '../api/client.ts';
import { realtimeClock } from '../move/clock.ts';
import { GodwitError } from '../base/error.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { MigrationResource } from '../model/migration.ts';
import type { Receipt } from '../model/move.ts';
import type { Vm } from '../model/vm.ts';
import type { Native } from '../native/native.ts';
import { runningQemu } from '../vm/qemu.ts';
import { lastLines, runDirectory } from '../vm/run-directory.ts';
import { LabCluster } from './cluster.ts';
import { networkDeclaration, vmDeclaration } from './lab-declarations.ts';
import { MAX_BANDWIDTH, labPolicy } from './session.ts';
import type { Lab, LabHost, LabOptions } from './topology.ts';

/** A VM that moved so often waits until 3 minutes are over (EVPN freezes an address at the fifth): whoever measures takes a fresh one. */
export const MOVES_PER_VM = 4;
const BOOT = 60_000;
const END = 30_000;

/** A cluster whose hosts and policy are set as `Session` has them, its networks declared. */
export async function openCluster(native: Native, options: LabOptions, say?: (line: string) => void): Promise<LabCluster> {
  const cluster = await LabCluster.open(native, options, say);
  try {
    const { drainInterval: _, ...moves } = labPolicy;
    await cluster.api.apply([
      ...options.networks.map(networkDeclaration),
      { kind: 'Policy', name: 'default', spec: { moves: Object.fromEntries(Object.entries(moves).map(([name, time]) => [name, `${time}ms`])) } },
    ]);
    await setBandwidth(cluster.api, `${MAX_BANDWIDTH}B/s`);
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** Of every host, a rate like `1GB/s`. */
export async function setBandwidth(api: HttpClient, maxBandwidth: string): Promise<void> {
  const hosts = await api.list('Host');
  await api.apply(hosts.map(({ name, spec }) => ({ kind: 'Host', name, spec: { ...spec, maxBandwidth } })));
}

export interface ClusterMove {
  readonly migration: MigrationResource;
  readonly receipt: Receipt;
  /** From the order at the server to the running guest; NaN when it does not run at the destination. */
  readonly total: Milliseconds;
}

export class ClusterSession {
  readonly cluster: LabCluster;
  readonly vm: Vm;
  #at: LabHost;

  private constructor(cluster: LabCluster, vm: Vm, at: LabHost) {
    this.cluster = cluster;
    this.vm = vm;
    this.#at = at;
  }

  /** Declares the VM on the first host and waits until the guest serves. The cluster stays the caller's. */
  static async open(cluster: LabCluster, vm: Vm): Promise<ClusterSession> {
    const [first] = cluster.lab.hosts;
    if (!first) throw new GodwitError('LAB_NO_HOST', 'A lab needs a host');
    const session = new ClusterSession(cluster, vm, first);
    await cluster.api.apply([vmDeclaration(vm, { host: first.name })]);
    await guestsUp(cluster, [vm]);
    return session;
  }

  get lab(): Lab {
    return this.cluster.lab;
  }

  get at(): LabHost {
    return this.#at;
  }

  /** The next host round the ring. */
  get next(): LabHost {
    const { hosts } = this.lab;
    return hosts[(hosts.indexOf(this.#at) + 1) % hosts.length] ?? this.#at;
  }

  /** Of its QEMU, where it is; undefined when there is none. */
  get pid(): number | undefined {
    return runningQemu(vmDirectory(this.cluster, this.#at.name, this.vm.name));
  }

  /** Fails with LAB_NO_RECEIPT when the move ended before there was anything to write down. */
  async move({ onChange }: { readonly onChange?: (migration: MigrationResource) => void } = {}, to = this.next): Promise<ClusterMove> {
    const { api } = this.cluster;
    const orderedAt = realtimeClock()();
    const { name } = await api.migrate({ vm: this.vm.name, to: to.name });
    const migration = await ended(api, name, onChange);
    const { end, receipt } = migration.status ?? {};
    if (end?.kind === 'moved') this.#at = to;
    if (!receipt) throw new GodwitError('LAB_NO_RECEIPT', `${name} ended without a receipt: ${JSON.stringify(end)}`);
    const resumedAt = (receipt.phases.find((p) => p.name === 'finishing')?.from ?? NaN) + (receipt.times.stopToResume ?? NaN);
    return { migration, receipt, total: ms(resumedAt - orderedAt) };
  }

  /** Ends the VM and waits until nobody knows it any more. */
  async close(): Promise<void> {
    const { api } = this.cluster;
    const { name } = this.vm;
    await api.stop(name, { force: true });
    await api.remove('Vm', name);
    await this.cluster.until(`${name} is gone`, async () => (await api.list('Vm')).every((vm) => vm.name !== name), END);
  }
}

/** Where the agent of this host runs it. */
const vmDirectory = (cluster: LabCluster, host: string, vm: string): string => join(cluster.runDir(host), 'vms', vm);

/** Fails with LAB_GUEST_SILENT and the end of the console when one does not run and serve in time. */
export async function guestsUp(cluster: LabCluster, vms: readonly Vm[], limit = BOOT): Promise<void> {
  const waiting = new Set(vms.map(({ name }) => name));
  const deadline = performance.now() + limit;
  for (;;) {
    for (const { name, status } of await cluster.api.list('Vm')) {
      if (!waiting.has(name)) continue;
      const { serialLog } = runDirectory(vmDirectory(cluster, status?.placement?.host ?? 'none', name));
      const serves = existsSync(serialLog) && readFileSync(serialLog, 'utf8').includes('GODWIT-GUEST-UP');
      if (status?.state === 'running' && serves) waiting.delete(name);
      else if (status?.state === 'failed' || performance.now() > deadline) {
        const how = `${status?.state ?? 'no state'} ${status?.reason ?? ''}`;
        throw new GodwitError('LAB_GUEST_SILENT', `${name} did not come up: ${how}\n${lastLines(serialLog)}`);
      }
    }
    if (waiting.size === 0) return;
    await pause(50);
  }
}

/** The migration when it has ended, by a watch. */
async function ended(api: HttpClient, name: string, onChange?: (migration: MigrationResource) => void): Promise<MigrationResource> {
  const leave = new AbortController();
  try {
    for await (const event of api.watch('Migration', leave.signal)) {
      if (event.kind !== 'put' || event.resource.name !== name) continue;
      onChange?.(event.resource);
      if (event.resource.status?.end) return event.resource;
    }
  } finally {
    leave.abort();
  }
  throw new GodwitError('LAB_TIMEOUT', `The server ended the watch before ${name} had ended`);
}
