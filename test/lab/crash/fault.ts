/** Who falls, and how that is mended: processes are killed, wires are cut by the kernel of whoever would have received. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Victim } from '../../../src/control/saga-table.ts';
import type { LabCluster } from '../../../src/lab/cluster.ts';
import type { LabHost } from '../../../src/lab/topology.ts';
import { lastLines } from '../../../src/vm/run-directory.ts';
import type { Vm } from '../../../src/model/vm.ts';
import { inNamespace } from '../move-fixture.ts';

export const SOURCE = 'h1';
export const DESTINATION = 'h2';

export interface Blow {
  /** False when there was nothing to strike. */
  strike(): Promise<boolean>;
  mend(): Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly victim: Victim;
  /** How long it stays down, ms: a wire longer than the agents wait for each other. */
  readonly down: number;
  /** All that takes time before the blow. */
  ready(cluster: LabCluster, vm: Vm): Promise<Blow>;
}

const RESTART = 1000;
const CUT = 5000;

const agent = (victim: Victim, host: string): Fault => ({
  name: victim, victim, down: RESTART,
  ready: async (cluster) => {
    let fell = false;
    return {
      strike: async () => {
        fell = true;
        await cluster.end(`agent ${host}`);
        return true;
      },
      mend: async () => {
        if (fell) cluster.startAgent(host);
      },
    };
  },
});

/** Besides, its QEMU answers nobody until the next agent has despaired of it once. */
const deaf: Fault = {
  name: 'source agent with a deaf QEMU', victim: 'source agent', down: RESTART,
  ready: async (cluster, vm) => {
    const { strike, mend } = await agent('source agent', SOURCE).ready(cluster, vm);
    const directory = join(cluster.runDir(SOURCE), 'vms', vm.name);
    let frozen = false;
    return {
      strike: async () => {
        frozen = signal(directory, 'SIGSTOP');
        return await strike();
      },
      mend: async () => {
        await mend();
        if (!frozen) return;
        try {
          await cluster.until('the agent cannot speak with its QEMU', async () => lastLines(cluster.log(SOURCE), 20).includes(`${vm.name}","trouble`), 30_000);
        } finally {
          signal(directory, 'SIGCONT');
        }
      },
    };
  },
};

const server: Fault = {
  name: 'server', victim: 'server', down: RESTART,
  ready: async (cluster) => {
    let fell = false;
    return {
      strike: async () => {
        fell = true;
        await cluster.end('server');
        return true;
      },
      mend: async () => {
        if (fell) await cluster.startServer();
      },
    };
  },
};

const qemu = (victim: Victim, host: string): Fault => ({
  name: victim, victim, down: 0,
  ready: async (cluster, vm) => ({ strike: async () => signal(join(cluster.runDir(host), 'vms', vm.name), 'SIGKILL'), mend: async () => undefined }),
});

/** To the QEMU of this run directory, if one runs. */
function signal(directory: string, name: NodeJS.Signals): boolean {
  try {
    const pid = Number(readFileSync(join(directory, 'qemu.pid'), 'utf8'));
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)) return false;
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

type End = 'server' | typeof SOURCE | typeof DESTINATION;
const TABLE = 'inet crash-lab';

/** Ways that are cut: of one both or one. */
const wire = (victim: Victim, name: string, ways: readonly (readonly [from: End, to: End])[]): Fault => ({
  name: `wire ${name}`, victim, down: CUT,
  ready: async ({ lab }) => {
    const at = (end: End): LabHost => {
      const found = end === 'server' ? lab.server : lab.hosts.find((host) => host.name === end);
      if (!found) throw new Error(`There is no ${end} in this lab`);
      return found;
    };
    // The program is there already and only waits for its words: starting it takes longer than some phases.
    const cuts = ways.map(([from, to]) => ({ to: at(to), nft: waitingNft(at(to)), rules: dropFrom(at(from)) }));
    let cut = false;
    return {
      strike: async () => {
        cut = true;
        await Promise.all(cuts.map(({ nft, rules }) => finish(nft, rules)));
        return true;
      },
      mend: async () => {
        if (cut) for (const { to } of cuts) inNamespace(to.namespace, 'nft', 'delete', 'table', ...TABLE.split(' '));
        else await Promise.all(cuts.map(({ nft }) => finish(nft, '')));
      },
    };
  },
});

const dropFrom = ({ address }: LabHost): string => `table ${TABLE} { chain input { type filter hook input priority -300; ip saddr ${address} drop; }; }\n`;
const waitingNft = ({ namespace }: LabHost): ChildProcess => spawn('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { stdio: ['pipe', 'inherit', 'inherit'] });

async function finish(nft: ChildProcess, words: string): Promise<void> {
  const exit = once(nft, 'exit');
  nft.stdin?.end(words);
  const [code] = await exit;
  if (code !== 0) throw new Error(`nft ended with ${code}`);
}

const wires = (victim: Victim, a: End, b: End): Fault[] => [
  wire(victim, `${a} = ${b}`, [[a, b], [b, a]]), wire(victim, `${a} > ${b}`, [[a, b]]), wire(victim, `${b} > ${a}`, [[b, a]]),
];

export const faults: readonly Fault[] = [
  agent('source agent', SOURCE), deaf, agent('destination agent', DESTINATION), server,
  qemu('source QEMU', SOURCE), qemu('destination QEMU', DESTINATION),
  ...wires('wire server-source', 'server', SOURCE), ...wires('wire server-destination', 'server', DESTINATION), ...wires('wire source-destination', SOURCE, DESTINATION),
];
