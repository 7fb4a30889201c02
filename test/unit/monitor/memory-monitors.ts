/** Monitors in memory: hosts on one wire, in virtual time; what passes the wire is the test's to say. */
import { MemoryNetwork } from '../../../src/native/memory.ts';
import type { Native } from '../../../src/native/native.ts';
import type { UdpDestination, UdpSocket } from '../../../src/native/udp.ts';
import type { CounterReport } from '../../../src/model/counters.ts';
import type { PathReport } from '../../../src/model/path.ts';
import type { WatchPlan } from '../../../src/model/watch-plan.ts';
import { MemoryGround } from '../../../src/monitor/ground-memory.ts';
import type { Keeping, ProbeAnswer } from '../../../src/monitor/keeping.ts';
import { MonitorError } from '../../../src/monitor/errors.ts';
import { MonitorProcess } from '../../../src/monitor/monitor-process.ts';
import type { MonitorMessage } from '../../../src/monitor/monitor-protocol.ts';

export const ADDRESS = { a: '192.0.2.11', b: '192.0.2.12' } as const;
export type HostName = keyof typeof ADDRESS;

export function watchPlan(host: HostName, change: Partial<WatchPlan> = {}): WatchPlan {
  const other = host === 'a' ? 'b' : 'a';
  return {
    host, local: { main: ADDRESS[host] }, peers: [{ host: other, addresses: { main: ADDRESS[other] } }],
    paths: { main: { capacity: 125_000_000, classes: [0] } },
    detector: { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 },
    probing: { enabled: true, rate: 100, leastRate: 1, core: 0.05, link: 0.001, dwell: 60_000, timeout: 1000, port: 862, reflectTo: [] },
    quality: { loss: { rising: 0.02, falling: 0.005 }, history: 400, hold: 30_000, holdMost: 900_000, relapse: 1_800_000 },
    alerts: {}, ...change,
  };
}

export const noCounters: CounterReport = {
  at: 0, links: [], nics: [], tcp: [], host: { softirq: 0, backlogDrops: 0, squeezed: 0, lateness: 0, cost: 0 },
};

/** Of one datagram on its way: `false` and it is gone. */
export type Wire = (data: Uint8Array, from: HostName, to: UdpDestination) => boolean;

export interface MemoryMonitor {
  readonly ground: MemoryGround;
  readonly monitor: MonitorProcess;
  readonly told: MonitorMessage[];
  readonly lines: string[];
  readonly answers: ProbeAnswer[];
  /** Of the last second, its only path. */
  last(): PathReport;
  reports(): PathReport[];
  turns(): Extract<MonitorMessage, { kind: 'turn' }>['turn'][];
}

export class MemoryMonitors {
  readonly network = new MemoryNetwork();
  wire: Wire = () => true;
  readonly #open: MonitorProcess[] = [];

  constructor() {
    for (const name of ['a', 'b']) this.network.addNetns(name);
    this.network.addLinkPair({ netns: 'a', name: 'e0' }, { netns: 'b', name: 'e0' });
    for (const name of ['a', 'b'] as const) {
      this.network.link(name, 'e0').up = true;
      this.network.addAddress(name, 'e0', Uint8Array.from(ADDRESS[name].split('.').map(Number)), 24);
    }
  }

  /** The network as the host sees it, with `wire` in between. */
  native(name: HostName): Native {
    const native = this.network.native(name);
    return {
      ...native,
      udpSocket: (netns, options): UdpSocket => {
        const socket = native.udpSocket(netns, options);
        const send = socket.send.bind(socket);
        socket.send = (data, to) => {
          if (this.wire(data, name, { ...to, dscp: to.dscp ?? 0 })) send(data, to);
        };
        return socket;
      },
    };
  }

  start(name: HostName, plan?: WatchPlan): MemoryMonitor {
    const ground = new MemoryGround(this.network, name, this.native(name));
    const told: MonitorMessage[] = [];
    const lines: string[] = [];
    const answers: ProbeAnswer[] = [];
    const keeping: Keeping = {
      answered: (answer) => void answers.push(answer),
      second: () => [],
      query: (query) => (query.series === 'host/softirq'
        ? Promise.resolve({ ...query, kind: 'gauge', data: [] }) : Promise.reject(new MonitorError('MONITOR_NO_SERIES', `no ${query.series}`))),
      plan: () => undefined, troubles: [], close: () => Promise.resolve(),
    };
    const monitor = new MonitorProcess({
      ground, keeping, counters: () => ({ nics: () => undefined, capacities: () => undefined, read: () => noCounters, close: () => undefined }),
      monitor: `monitor-${name}`, pid: 1, version: 'test', tell: (message) => void told.push(message), log: (line) => void lines.push(line),
    });
    this.#open.push(monitor);
    if (plan) monitor.command({ kind: 'plan', plan, nics: [] });
    const reports = (): PathReport[] => told.flatMap((message) => (message.kind === 'report' ? message.paths : []));
    return {
      ground, monitor, told, lines, answers, reports,
      last: () => {
        const report = reports().at(-1);
        if (!report) throw new Error('no report of a path yet');
        return report;
      },
      turns: () => told.flatMap((message) => (message.kind === 'turn' ? [message.turn] : [])),
    };
  }

  async close(): Promise<void> {
    for (const monitor of this.#open.splice(0)) await monitor.close();
  }
}

/** Runs `test` with monitors that are gone whatever happens. */
export async function withMonitors(test: (monitors: MemoryMonitors) => Promise<void>): Promise<void> {
  const monitors = new MemoryMonitors();
  try {
    await test(monitors);
  } finally {
    await monitors.close();
  }
}
