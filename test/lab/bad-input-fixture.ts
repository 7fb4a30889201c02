/** What the lab tests of bad input share: the real command line, what must be the same afterwards, and that all of it still works. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Declaration } from '../../src/api/api.ts';
import type { LabCluster } from '../../src/lab/cluster.ts';
import type { LabHost } from '../../src/lab/topology.ts';
import { LONG, devices, moveRecords, qemus } from './cluster-fixture.ts';
import { native } from './move-fixture.ts';

export interface Said {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

const PROGRAM = join(import.meta.dirname, '../../src/main.ts');

/** `godwit`, as an administrator on the server types it; `at`: in that host's namespace, with no server told. */
export async function godwit(cluster: LabCluster, words: readonly string[], { stdin = '', at }: { readonly stdin?: string; readonly at?: LabHost } = {}): Promise<Said> {
  const start = () => spawn(process.execPath, [PROGRAM, ...words], { env: { ...process.env, GODWIT_SOCKET: cluster.socket, NO_COLOR: '1' }, stdio: ['pipe', 'pipe', 'pipe'] });
  const child = at ? native.inNetns(at.host.netns, start) : start();
  child.stdin.end(stdin);
  const [out, err, [exit]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { exit: Number(exit), out, err };
}

/** The words of a refusal: exit code, `[CODE]`, and what an administrator needs to see. */
export function refused({ exit, out, err }: Said, wanted: { readonly exit: number; readonly code: string; readonly says: RegExp }): void {
  const told = `exit ${exit}\n${out}${err}`;
  assert.equal(exit, wanted.exit, told);
  assert.match(err, new RegExp(`\\[${wanted.code}\\]`), told);
  assert.match(err, wanted.says, told);
  assert.equal(out, '', 'stdout is for data');
  assert.doesNotMatch(err, /node_modules|\.ts:\d|\bundefined\b|\[object/, 'an administrator reads this');
}

/** A VM without a NIC and without anything to boot: enough to be moved, and cheap. */
export const tiny = (name: string, host: string, spec: object = {}): Declaration =>
  ({ kind: 'Vm', name, spec: { cpus: 1, memory: '64MiB', accelerator: 'tcg', cpuModel: 'Nehalem', host, ...spec } });

export async function runTiny(cluster: LabCluster, name: string, host: string, spec: object = {}): Promise<void> {
  await cluster.api.apply([tiny(name, host, spec)]);
  await runsOn(cluster, name, host);
}

export async function runsOn(cluster: LabCluster, name: string, host: string): Promise<void> {
  await cluster.until(`${name} runs on ${host}`, async () => {
    const { status } = await cluster.api.get('Vm', name);
    return status?.state === 'running' && status.placement?.host === host && status.migration === undefined;
  }, LONG);
}

/** All that a refusal must leave as it was: what is declared, where what runs, what lies on the hosts. */
async function state(cluster: LabCluster): Promise<unknown> {
  const [hosts, networks, vms, migrations] = await Promise.all((['Host', 'Network', 'Vm', 'Migration'] as const).map((kind) => cluster.api.list(kind)));
  return {
    hosts: hosts?.map(({ name, spec }) => ({ name, spec })), networks: networks?.map(({ name, spec }) => ({ name, spec })), migrations: migrations?.map(({ name }) => name),
    vms: vms?.map((vm) => ({ name: vm.name, spec: vm.spec, ...('status' in vm && vm.status && 'placement' in vm.status ? { state: vm.status.state, placement: vm.status.placement } : {}) })),
    qemus: vms?.map(({ name }) => qemus(cluster, { name })), devices: devices(cluster), records: cluster.lab.hosts.map(({ name }) => moveRecords(cluster, name)),
  };
}

export async function changesNothing<T>(cluster: LabCluster, act: () => Promise<T>): Promise<T> {
  const before = await state(cluster);
  const result = await act();
  assert.deepEqual(await state(cluster), before);
  return result;
}

/** After whatever was done to it: a list and a move, by the command line. */
export async function stillWorks(cluster: LabCluster, vm: string): Promise<void> {
  const { status } = await cluster.api.get('Vm', vm);
  const to = status?.placement?.host === 'h1' ? 'h2' : 'h1';
  const listed = await godwit(cluster, ['get', 'vms']);
  assert.equal(listed.exit, 0, listed.err);
  assert.match(listed.out, new RegExp(`^${vm} `, 'm'));
  const moved = await godwit(cluster, ['migrate', vm, '--to', to, '--wait']);
  assert.equal(moved.exit, 0, moved.out + moved.err);
  await runsOn(cluster, vm, to);
  assert.deepEqual(qemus(cluster, { name: vm }).map(({ host }) => host), [to]);
}
