/** `godwit lab up|down`: a cluster on this one machine, for whoever wants to try it; it stays until it is taken down. */
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GodwitError } from '../base/error.ts';
import { kernelNative } from '../native/kernel.ts';
import { LabCluster } from './cluster.ts';
import { labAccelerator, labVm } from './guest-image.ts';
import { labDeclarations } from './lab-declarations.ts';
import { endLab } from './topology.ts';

const NAME = 'up';

export interface LabUpOptions {
  readonly hosts: number;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Throws LAB_ALREADY_UP, LAB_NO_GUEST. */
export async function labUp({ hosts }: LabUpOptions): Promise<void> {
  if (existsSync(join(tmpdir(), `gwl-${NAME}`))) throw new GodwitError('LAB_ALREADY_UP', 'A lab is up already: use it, or take it down with `godwit lab down`');
  const vm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator: await labAccelerator() });
  const cluster = await LabCluster.open(kernelNative(), { hosts, networks: ['a'], name: NAME }, say);
  const file = join(cluster.lab.directory, 'web-1.yaml');
  writeFileSync(file, labDeclarations([vm]));
  cluster.leave();
  say(`A cluster of ${hosts} hosts is up, with no VM in it yet. Try:

  export GODWIT_SOCKET=${cluster.socket}
  godwit get hosts
  godwit apply -f ${file}
  godwit get vms --watch
  godwit migrate web-1 --to h2 --wait
  godwit lab down
`);
}

export async function labDown(): Promise<void> {
  if (!endLab(NAME)) throw new GodwitError('LAB_NOT_UP', 'There is no lab to take down: `godwit lab up` makes one');
  say('The lab is gone.');
}
