/** `godwit lab up|down`: a cluster on this one machine, for whoever wants to try it; it stays until it is taken down. */
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GodwitError } from '../base/error.ts';
import type { Vm } from '../model/vm.ts';
import { kernelNative } from '../native/kernel.ts';
import { LabCluster } from './cluster.ts';
import { labAccelerator, labVm } from './guest-image.ts';
import { labDeclarations } from './lab-declarations.ts';
import { endLab } from './topology.ts';

/** Of the lab that stays up: there is at most one. */
export const upLab = 'up';

export interface LabUpOptions {
  readonly hosts: number;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Throws LAB_ALREADY_UP. */
export function mayBeUp(): void {
  if (existsSync(join(tmpdir(), `gwl-${upLab}`))) throw new GodwitError('LAB_ALREADY_UP', 'A lab is up already: use it, or take it down with `godwit lab down`');
}

/** Throws LAB_ALREADY_UP, LAB_NO_GUEST. */
export async function labUp({ hosts }: LabUpOptions): Promise<void> {
  mayBeUp();
  const vm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator() });
  const cluster = await LabCluster.open(kernelNative(), { hosts, networks: ['a'], name: upLab }, say);
  say(useOf(cluster, vm, `A cluster of ${hosts} hosts is up, with no VM in it yet.`));
  cluster.leave();
}

/** What to do with a lab that stays up; the declaration of `vm` is written for it. */
export function useOf(cluster: LabCluster, vm: Vm, begin: string): string {
  const file = join(cluster.lab.directory, `${vm.name}.yaml`);
  // Named: the hosts of a lab share one memory, so which has most room is chance, and the move below goes from h1 to h2.
  writeFileSync(file, labDeclarations([vm], { host: 'h1' }));
  return `${begin} Try:

  export GODWIT_SOCKET=${cluster.socket}
  godwit get hosts
  godwit apply -f ${file}
  godwit get vms --watch
  godwit migrate ${vm.name} --to h2 --wait
  godwit lab down
`;
}

export async function labDown(): Promise<void> {
  if (!endLab(upLab)) throw new GodwitError('LAB_NOT_UP', 'There is no lab to take down: `godwit lab up` makes one');
  say('The lab is gone.');
}
