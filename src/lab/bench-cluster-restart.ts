/** An agent that is killed and started again and again, under traffic to a VM of its host. */
import { setTimeout as pause } from 'node:timers/promises';
import { clientTrouble } from '../cli/cli.ts';
import { GodwitError } from '../base/error.ts';
import type { Accelerator } from '../model/vm.ts';
import type { Part } from './bench-cluster.ts';
import type { LabCluster } from './cluster.ts';
import { ClusterSession } from './cluster-session.ts';
import { labVm } from './guest-image.ts';
import { Prober } from './prober.ts';
import { largest, median } from './statistics.ts';

/** Between two kills, ms: the agent is back and does its work. */
const BETWEEN = 100;

export async function restarts(cluster: LabCluster, accelerator: Accelerator, times: number, say: (line: string) => void): Promise<Part> {
  const session = await ClusterSession.open(cluster, labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator }));
  const host = session.at.name;
  const to = session.vm.nics[0]?.addresses[0];
  const { pid } = session;
  if (!to || pid === undefined) throw new GodwitError('LAB_GUEST_SILENT', 'The VM has no address or no QEMU');
  const prober = await Prober.start(cluster.lab.client, { to });
  try {
    const took: number[] = [];
    let touched = 0;
    for (let n = 1; n <= times; n++) {
      const { status: before } = await cluster.api.get('Host', host);
      await cluster.end(`agent ${host}`);
      const killedAt = performance.now();
      cluster.startAgent(host);
      // The first report of an agent comes when it has adopted what runs.
      await cluster.until(`agent ${host} is back with its VM`, async () => {
        const [{ status }, vm] = [await cluster.api.get('Host', host), await cluster.api.get('Vm', session.vm.name)];
        return status?.state === 'ready' && status.agent.instance !== before?.agent.instance && vm.status?.state === 'running';
      });
      took.push(performance.now() - killedAt);
      if (session.pid !== pid) touched++;
      await pause(BETWEEN);
      if (n % 10 === 0) say(`restart ${n}/${times}: back after ${median(took.slice(-10)).toFixed(0)} ms (median of the last ten)`);
    }
    const result = await prober.stop();
    const trouble = clientTrouble(result);
    return {
      figures: {
        restarts: times, restartLost: result.toGuest.lost + result.toClient.lost, restartLargestGap: result.toClient.largestGapMs,
        restartBackMedian: median(took), restartBackMax: largest(took),
      },
      targets: [
        {
          name: `agent killed and started ${times} times under traffic: packets lost, sessions broken`,
          want: '0', got: trouble.join('; ') || '0', ok: trouble.length === 0,
        },
        { name: `agent killed and started ${times} times: QEMU ended or replaced`, want: '0', got: `${touched}`, ok: touched === 0 },
      ],
    };
  } finally {
    prober.kill();
  }
}
