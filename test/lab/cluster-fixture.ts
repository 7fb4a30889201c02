/** What the lab tests of a real cluster share: a VM declared and answering, what there truly is of it on the hosts, a move to its end. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { promisify } from 'node:util';
import type { MigrationResource } from '../../src/model/migration.ts';
import { type Receipt, losses, lossless } from '../../src/model/move.ts';
import type { VmResource } from '../../src/model/vm-spec.ts';
import type { Vm } from '../../src/model/vm.ts';
import { LabCluster } from '../../src/lab/cluster.ts';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { networkDeclaration, vmDeclaration } from '../../src/lab/lab-declarations.ts';
import { sweep } from '../../src/lab/topology.ts';
import { ApiError } from '../../src/api/api.ts';
import { guestAddress, native } from './move-fixture.ts';

const run = promisify(execFile);
/** For what waits for several of the agents' own limits, one after the other; ms. */
export const LONG = 90_000;

export async function openCluster(): Promise<LabCluster> {
  sweep();
  const cluster = await LabCluster.open(native, { hosts: 2, networks: ['a'] });
  try {
    // A busy machine must not decide whether a move goes back.
    await cluster.api.apply([networkDeclaration('a'), { kind: 'Policy', name: 'default', spec: { moves: { maxPause: '5s', maxEmptying: '5s' } } }]);
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** One for all tests of a file; the getter throws before the first of them. */
export function sharedCluster(ready?: (cluster: LabCluster) => Promise<unknown>): () => LabCluster {
  let cluster: LabCluster | undefined;
  before(async () => {
    cluster = await openCluster();
    await ready?.(cluster);
  });
  after(() => cluster?.close());
  return () => {
    assert.ok(cluster, 'the cluster is open');
    return cluster;
  };
}

/** Declared, started on `host`, and its guest answers. */
export async function runVm(cluster: LabCluster, name: string, number: number, host: string): Promise<Vm> {
  const vm = labVm({ name, networks: ['a'], number, accelerator: await labAccelerator() });
  await cluster.api.apply([vmDeclaration(vm, { host })]);
  await runs(cluster, vm, host);
  return vm;
}

/** The server says that it runs there, so it does there alone, and its guest answers. */
export async function runs(cluster: LabCluster, vm: Vm, host: string): Promise<void> {
  await cluster.until(`${vm.name} runs on ${host}`, async () => {
    const { status } = await cluster.api.get('Vm', vm.name);
    return status?.state === 'running' && status.placement?.host === host && status.migration === undefined;
  }, LONG);
  assert.deepEqual(qemus(cluster, vm).map((qemu) => qemu.host), [host]);
  await cluster.until(`${vm.name} answers`, () => answers(cluster, vm), LONG);
}

/** Its QEMUs, by what the kernel says. */
export function qemus(cluster: LabCluster, vm: Pick<Vm, 'name'>): { readonly host: string; readonly pid: number }[] {
  const mine = new Map(cluster.lab.hosts.map(({ name }) => [join(cluster.runDir(name), 'vms', vm.name), name]));
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)) {
    const words = commandLine(pid);
    if (!words[0]?.includes('qemu-system')) continue;
    for (const [path, host] of mine) if (words.some((word) => word.includes(`${path}/`))) found.push({ host, pid });
  }
  return found;
}

/** Empty when it has ended, also as a zombie. */
function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** The one QEMU of this VM. */
export function onlyQemu(cluster: LabCluster, vm: Pick<Vm, 'name'>): { readonly host: string; readonly pid: number } {
  const [qemu, ...others] = qemus(cluster, vm);
  assert.ok(qemu && others.length === 0, `${vm.name} has ${qemu ? others.length + 1 : 0} QEMUs`);
  return qemu;
}

/** What Godwit made on each host: tunnels (`gx-`) and taps (`gt-`), by name. */
export function devices(cluster: LabCluster): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(cluster.lab.hosts.map(({ name, host }) => [name, host.links.list().map((link) => link.name).filter((link) => /^g[xt]-/.test(link)).sort()]));
}

/** Files of the agent's own that tell of moves in progress, or of ends that the server does not have yet. */
export function moveRecords(cluster: LabCluster, host: string): string[] {
  return ['moves', 'ended'].flatMap((directory) => {
    const path = join(agentFiles(cluster, host), directory);
    return existsSync(path) ? readdirSync(path).map((file) => `${directory}/${file}`) : [];
  });
}

export const agentFiles = (cluster: LabCluster, host: string): string => join(cluster.stateDir(host), 'agent');

/** To a question of the client. */
export async function answers(cluster: LabCluster, vm: Vm): Promise<boolean> {
  try {
    await run('ip', ['netns', 'exec', cluster.lab.clientNamespace, 'ping', '-n', '-q', '-c', '3', '-i', '0.2', '-W', '1', String(guestAddress(vm, 4))]);
    return true;
  } catch {
    return false;
  }
}

/** Of what leaves this host in moves: a low one makes time for what is to happen in the copy. */
export async function limit(cluster: LabCluster, host: string, maxBandwidth: string): Promise<void> {
  const { spec } = await cluster.api.get('Host', host);
  await cluster.api.apply([{ kind: 'Host', name: host, spec: { ...spec, maxBandwidth } }]);
}

/** In the middle of the copy: some of it has gone over. */
export async function copying(cluster: LabCluster, migration: string): Promise<void> {
  await cluster.until('the copy has begun', async () => {
    const { status } = await cluster.api.get('Migration', migration);
    assert.equal(status?.end, undefined);
    return status?.phase === 'copy' && (status.progress?.transferred ?? 0) > 0;
  }, LONG);
}

/** Known to the server, with nothing of it left to do on any host. */
export async function ended(cluster: LabCluster, name: string): Promise<MigrationResource> {
  await cluster.until(`${name} has ended`, async () => {
    const { status } = await cluster.api.get('Migration', name);
    return status?.end !== undefined && cluster.lab.hosts.every((host) => moveRecords(cluster, host.name).length === 0);
  }, LONG);
  return cluster.api.get('Migration', name);
}

export async function moved(cluster: LabCluster, vm: Vm, to: string): Promise<Receipt> {
  const { name } = await cluster.api.migrate({ vm: vm.name, to });
  const { status } = await ended(cluster, name);
  assert.deepEqual(status?.end, { kind: 'moved' });
  assert.ok(status.receipt, 'the migration keeps its receipt');
  await runs(cluster, vm, to);
  return status.receipt;
}

/** Every frame that went through the tunnel arrived, and no queue on the way dropped one. */
export function assertLossless(receipt: Receipt): void {
  assert.deepEqual({ outcome: receipt.outcome, drops: losses(receipt), notTaken: receipt.nics.filter(({ untaken }) => untaken) }, { outcome: { kind: 'moved' }, drops: [], notTaken: [] });
  for (const { nic, redirected, delivered } of receipt.nics) {
    assert.ok(redirected > 0, `NIC ${nic}: nothing went through its tunnel`);
    assert.deepEqual({ nic, delivered }, { nic, delivered: redirected });
  }
  assert.equal(lossless(receipt), true);
}

/** As the server has it; undefined when it is not there any more. */
export async function vmResource(cluster: LabCluster, name: string): Promise<VmResource | undefined> {
  try {
    return await cluster.api.get('Vm', name);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** Stopped first, without being asked: this guest does not listen to a power button. */
export async function deleted(cluster: LabCluster, vm: Vm): Promise<void> {
  await cluster.api.stop(vm.name, { force: true });
  await cluster.until(`${vm.name} is stopped`, async () => (await vmResource(cluster, vm.name))?.status?.state === 'stopped');
  await cluster.api.remove('Vm', vm.name);
  await cluster.until(`${vm.name} is gone`, async () => (await vmResource(cluster, vm.name)) === undefined, LONG);
}
