/** A hundred VMs, most of them tiny: what the agent costs its host for each, and how the API answers while moves run. */
import { setTimeout as pause } from 'node:timers/promises';
import { GodwitError } from '../base/error.ts';
import { mib } from '../base/units.ts';
import type { HostResource } from '../model/host.ts';
import type { Accelerator, Vm } from '../model/vm.ts';
import type { Part } from './bench-cluster.ts';
import type { LabCluster } from './cluster.ts';
import { guestsUp, setBandwidth } from './cluster-session.ts';
import { labVm } from './guest-image.ts';
import { vmDeclaration } from './lab-declarations.ts';
import { largest, median, quantile, sum } from './statistics.ts';

const VMS = 100;
/** These boot, and move; the others are firmware that finds nothing to boot, and sleeps. */
const MOVERS = 4;
const TINY = mib(64);
const START = 300_000;
/** For the agents' cost, ms: before it, until what began has come to rest and the agents run warm; and as long as it is measured. */
const REST = 20_000;
const WINDOW = 20_000;
/** So that the moves take long enough to be looked at; and what is looked at, ms. */
const SLOW = '8MB/s';
const LOOK = 10_000;
/** Between two questions, ms. */
const BETWEEN = 5;

interface Cost {
  /** ms of CPU time per second, of all agents together. */
  readonly cpu: number;
  /** Bytes, of all agents together. */
  readonly memory: number;
}

export async function crowd(cluster: LabCluster, accelerator: Accelerator, say: (line: string) => void): Promise<Part> {
  const { api, lab } = cluster;
  const hosts = lab.hosts.map(({ name }) => name);
  const host = (n: number): string => hosts[n % hosts.length] ?? '';
  await pause(REST);
  const without = await cost(cluster);

  const movers = Array.from({ length: MOVERS }, (_, n) => labVm({ name: `web-${n + 1}`, networks: ['a'], number: 10 + n, accelerator }));
  const tiny = Array.from({ length: VMS - MOVERS }, (_none, n): Vm => {
    const { boot: _, ...vm } = labVm({ name: `tiny-${n + 1}`, networks: [], number: 99, accelerator });
    return { ...vm, memory: TINY };
  });
  const declaredAt = performance.now();
  await api.apply(tiny.map((vm, n) => vmDeclaration(vm, { host: host(n) })));
  const declared = performance.now() - declaredAt;
  say(`crowd: ${tiny.length} VMs declared in ${declared.toFixed(0)} ms; starting them`);
  await running(cluster, tiny.length);
  const started = performance.now() - declaredAt;
  await pause(REST);
  const idle = await cost(cluster);
  say(`crowd: all run after ${(started / 1000).toFixed(1)} s`);

  await api.apply(movers.map((vm, n) => vmDeclaration(vm, { host: host(n) })));
  await guestsUp(cluster, movers);
  await setBandwidth(api, SLOW);
  await Promise.all(movers.map(({ name }, n) => api.migrate({ vm: name, to: host(n + 1) })));
  const { answers, all } = await askWhileAllMove(cluster);
  // What has not ended by now need not go on so slowly; what ends meanwhile cannot be cancelled any more.
  for (const { name, status } of await api.list('Migration')) if (!status?.end) await api.cancel(name).catch(() => undefined);
  await cluster.until('all moves have ended', async () => (await api.list('Migration')).every(({ status }) => status?.end), 120_000);

  const count = (await api.list('Vm')).filter(({ status }) => status?.state === 'running').length;
  const p99 = quantile(answers, 0.99);
  const perVm = { cpu: (idle.cpu - without.cpu) / tiny.length, memory: (idle.memory - without.memory) / tiny.length };
  const agents = hosts.length;
  const [middle, longest] = [median(answers), largest(answers)];
  say(`crowd: ${answers.length} answers (of ${all}) while ${MOVERS} moves ran: median ${middle.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`);
  return {
    figures: {
      crowdVms: count, crowdDeclared: declared, crowdStarted: started,
      apiAnswers: answers.length, apiMedian: middle, apiP99: p99, apiMax: longest,
      agentCpuWithout: without.cpu / agents, agentCpuWith: idle.cpu / agents,
      agentMemoryWithout: without.memory / agents / 2 ** 20, agentMemoryWith: idle.memory / agents / 2 ** 20,
      agentCpuPerVm: perVm.cpu, agentMemoryPerVm: perVm.memory / 2 ** 10,
    },
    targets: [
      {
        name: `VMs declared, started, listed as running (${tiny.length} of them firmware only)`,
        want: `${VMS}`, got: `${count}`, ok: count === VMS,
      },
      {
        name: `API answers while ${MOVERS} moves run, p99 of ${answers.length}`,
        want: '< 50 ms', got: `${p99.toFixed(1)} ms`, ok: p99 < 50,
      },
      {
        name: `the agent's own cost per idle VM (without any ${(without.cpu / agents).toFixed(1)} ms/s, ${(without.memory / agents / 2 ** 20).toFixed(0)} MiB)`,
        want: 'shown', got: `${perVm.cpu.toFixed(2)} ms/s CPU, ${(perVm.memory / 2 ** 10).toFixed(0)} KiB`,
        ok: Number.isFinite(perVm.cpu) && Number.isFinite(perVm.memory),
      },
    ],
  };
}

/** By the agents' own words. */
async function cost({ api }: LabCluster): Promise<Cost> {
  const before = await api.list('Host');
  await pause(WINDOW);
  const after = await api.list('Host');
  const status = (host: HostResource | undefined) => {
    if (!host?.status) throw new GodwitError('LAB_NO_HOST', 'A host has not reported');
    return host.status;
  };
  return {
    cpu: sum(after.map((host, n) => {
      const [a, b] = [status(before[n]), status(host)];
      return (b.agent.cpuTime - a.agent.cpuTime) / ((b.lastReport - a.lastReport) / 1000);
    })),
    memory: sum(after.map((host) => status(host).agent.residentMemory)),
  };
}

async function running({ api }: LabCluster, count: number): Promise<void> {
  for (const deadline = performance.now() + START; ; await pause(250)) {
    const vms = await api.list('Vm');
    const run = vms.filter(({ status }) => status?.state === 'running').length;
    if (run === count) return;
    const failed = vms.find(({ status }) => status?.state === 'failed');
    if (!failed && performance.now() < deadline) continue;
    throw new GodwitError('LAB_TIMEOUT', `Only ${run} of ${count} VMs run${failed ? `; ${failed.name}: ${failed.status?.reason}` : ''}`);
  }
}

/** ms each; those that were asked and answered while all moves ran. */
async function askWhileAllMove({ api }: LabCluster): Promise<{ readonly answers: number[]; readonly all: number }> {
  const answers: number[] = [];
  let [pending, all]: [number[], number] = [[], 0];
  const timed = async <T>(ask: Promise<T>): Promise<T> => {
    const from = performance.now();
    const answer = await ask;
    pending.push(performance.now() - from);
    all++;
    return answer;
  };
  const moving = async (): Promise<boolean> => {
    const migrations = await timed(api.list('Migration'));
    return migrations.filter(({ status }) => status?.startedAt !== undefined && !status.end).length === MOVERS;
  };
  let began = false;
  for (const until = performance.now() + LOOK; performance.now() < until; await pause(BETWEEN)) {
    pending = [];
    await timed(api.list('Vm'));
    await pause(BETWEEN);
    await timed(api.get('Vm', 'web-1'));
    await pause(BETWEEN);
    await timed(api.get('Vm', 'tiny-50'));
    await timed(api.list('Host'));
    await pause(BETWEEN);
    if (await moving()) {
      began = true;
      answers.push(...pending);
    } else if (began) break;
  }
  return { answers, all };
}
