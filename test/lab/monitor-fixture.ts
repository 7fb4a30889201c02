/**
 * What the lab tests of the monitor run in: two hosts joined by two wires, each with a monitor as a child process, and nft in between.
 *
 *   a main 10.77.0.1 ── 10.77.0.2 main b        IPv6 on the second: 2001:db8:77::1 ── ::2
 *   a alt            ──           alt  b
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../src/host/host.ts';
import type { PathReport } from '../../src/model/path.ts';
import type { WatchPlan } from '../../src/model/watch-plan.ts';
import { MonitorClient, type MonitorReport, type MonitorTurn } from '../../src/monitor/monitor-client.ts';
import { parseIpAddress } from '../../src/wire/ip-address.ts';
import { type Bench, type Patience, until, withBench } from './host-fixture.ts';

export const WAYS = { main: ['10.77.0.1', '10.77.0.2', 24], alt: ['2001:db8:77::1', '2001:db8:77::2', 64] } as const;
export type End = 'a' | 'b';

const addressesOf = (end: End): Record<string, string> => Object.fromEntries(Object.entries(WAYS).map(([path, [a, b]]) => [path, end === 'a' ? a : b]));

export function watchPlan(end: End, change: Partial<WatchPlan> = {}): WatchPlan {
  const other = end === 'a' ? 'b' : 'a';
  const path = { capacity: 125_000_000, classes: [0] };
  return {
    host: end, local: addressesOf(end), peers: [{ host: other, addresses: addressesOf(other) }], paths: { main: path, alt: path },
    detector: { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 },
    probing: { enabled: true, rate: 100, leastRate: 1, core: 0.2, link: 0.01, dwell: 60_000, timeout: 500, port: 862, reflectTo: [] },
    quality: { loss: { rising: 0.02, falling: 0.005 }, history: 400, hold: 30_000, holdMost: 900_000, relapse: 1_800_000 },
    alerts: {}, ...change,
  };
}

/** A monitor as an agent has it. */
export class LabMonitor {
  readonly reports: MonitorReport[] = [];
  readonly turns: MonitorTurn[] = [];
  readonly ends: string[] = [];
  readonly client: MonitorClient;
  readonly #directory = mkdtempSync(join(tmpdir(), 'godwit-monitor-'));

  constructor({ native, netns }: Host, plan?: WatchPlan) {
    this.client = new MonitorClient({
      spawn: { runDir: join(this.#directory, 'run'), stateDir: join(this.#directory, 'state'), inside: { native, netns } },
      onReport: (report) => void this.reports.push(report), onTurn: (turn) => void this.turns.push(turn), onEnd: (how) => void this.ends.push(how),
    });
    if (plan) this.client.plan(plan, []);
  }

  path(name: string): PathReport | undefined {
    return this.reports.at(-1)?.paths.find(({ path }) => path === name);
  }

  /** Waits until the last report of a path is so. */
  async shows(name: string, what: string, test: (report: PathReport) => boolean, patience: Patience = {}): Promise<PathReport> {
    const found = (): PathReport | undefined => {
      const report = this.path(name);
      return report && test(report) ? report : undefined;
    };
    await until(() => `${what}; there is ${JSON.stringify(this.path(name))}`, () => found() !== undefined, { limit: 15_000, every: 20, ...patience });
    const report = found();
    assert.ok(report);
    return report;
  }

  async close(): Promise<void> {
    await this.client.close();
    rmSync(this.#directory, { recursive: true });
  }
}

export interface MonitorLab {
  readonly bench: Bench;
  readonly a: Host;
  readonly b: Host;
  start(end: End, plan?: WatchPlan): LabMonitor;
  /** Rules of one host, in place of those before: lines of a chain at the hook of what comes in, before any socket. */
  filter(end: End, ...rules: string[]): void;
  /** Packets that its rules dropped, in their order; only rules with `counter` count. */
  dropped(end: End): number[];
}

export async function withMonitorLab(test: (lab: MonitorLab) => Promise<void>): Promise<void> {
  await withBench(async (bench) => {
    const [a, b] = [bench.host('a'), bench.host('b')];
    for (const [path, [first, second, length]] of Object.entries(WAYS)) {
      a.links.createVeth({ name: path, netns: a.netns, mtu: 1500 }, { name: path, netns: b.netns, mtu: 1500 });
      for (const [host, address] of [[a, first], [b, second]] as const) {
        const { index } = host.links.get(path);
        host.links.set(index, { up: true, noIpv6Address: true });
        host.addresses.add(index, parseIpAddress(address), length);
      }
    }
    const monitors: LabMonitor[] = [];
    const nft = (end: End, ...words: string[]): string => bench.native.inNetns((end === 'a' ? a : b).netns, () => execFileSync('nft', words, { encoding: 'utf8' }));
    try {
      await test({
        bench, a, b,
        start(end, plan) {
          const monitor = new LabMonitor(end === 'a' ? a : b, plan);
          monitors.push(monitor);
          return monitor;
        },
        filter(end, ...rules) {
          nft(end, `table inet wire {}; delete table inet wire; table inet wire { chain in { type filter hook prerouting priority -300; ${rules.join('; ')}; }; }`);
        },
        dropped: (end) => [...nft(end, 'list', 'table', 'inet', 'wire').matchAll(/packets (\d+)/g)].map(([, count]) => Number(count)),
      });
    } finally {
      await Promise.all(monitors.map((monitor) => monitor.close()));
    }
  });
}
