/**
 * Two hosts, any number of paths between them, each a wire with faults, and a monitor on each host:
 *
 *   a [p0] 10.96.0.1 ── emulator ── 10.96.0.2 [p0] b      path `main`
 *     [p1] 10.96.1.1 ── emulator ── 10.96.1.2 [p1]        path `path-1`, …
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import { MAIN_PATH, type PathReport, type PathTurnReport } from '../model/path.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { MonitorClient, type MonitorReport } from '../monitor/monitor-client.ts';
import type { Native } from '../native/native.ts';
import { cpuSeconds } from './cpu-time.ts';
import { type LinkEnd, openEmulatedLink, quietWire } from './emulated-link.ts';
import type { LinkEmulator } from './link-emulator.ts';
import { Namespaces } from './namespaces.ts';

export type HostName = 'a' | 'b';

export const pathNameOf = (index: number): string => (index === 0 ? MAIN_PATH : `path-${index}`);
export const deviceOf = (index: number): string => `p${index}`;
const addressOf = (index: number, host: HostName): string => `10.96.${index}.${host === 'a' ? 1 : 2}`;

/** As the policy has it when it says nothing, but that the budget has room for accuracy: what that costs is measured by itself. */
export const PROBING: WatchPlan['probing'] = {
  enabled: true, rate: 100, leastRate: 1, core: 1, link: 1, dwell: 60_000, timeout: 1000, port: 862, reflectTo: [],
};
export const QUALITY: WatchPlan['quality'] = {
  loss: { rising: 0.02, falling: 0.005 }, history: 400, hold: 30_000, holdMost: 900_000, relapse: 1_800_000,
};
export const DETECTOR: WatchPlan['detector'] = { falseAlarmsPerDay: 0.01, floor: 150, ceiling: 5000 };
/** Of each path, bytes per second. */
export const CAPACITY = 125_000_000;

/** What is different in this bench. */
export interface PlanChange {
  readonly probing?: Partial<WatchPlan['probing']>;
  readonly quality?: Partial<WatchPlan['quality']>;
  readonly classes?: readonly number[];
  /** `b` answers and does not probe itself: what goes its way is the probes of `a` alone. */
  readonly oneWay?: boolean;
}

/** A monitor of the lab, and what it said. */
export class LabMonitor {
  readonly turns: PathTurnReport[] = [];
  readonly #client: MonitorClient;
  readonly #waiting = new Set<() => void>();
  #report: MonitorReport | undefined;
  #listener: ((report: MonitorReport) => void) | undefined;
  #ended: string | undefined;

  constructor(host: Host, directory: string) {
    this.#client = new MonitorClient({
      spawn: { runDir: join(directory, `${host.name}-run`), stateDir: join(directory, `${host.name}-state`), inside: host },
      onReport: (report) => {
        this.#report = report;
        this.#listener?.(report);
        this.#look();
      },
      onTurn: (turn) => {
        this.turns.push(turn);
        this.#look();
      },
      onEnd: (how) => {
        this.#ended = how;
        this.#look();
      },
    });
  }

  get report(): MonitorReport | undefined {
    return this.#report;
  }

  plan(plan: WatchPlan): void {
    this.#client.plan(plan, []);
  }

  path(name: string): PathReport | undefined {
    return this.#report?.paths.find(({ path }) => path === name);
  }

  /** Calls it with each report from now on; one at a time. */
  onReport(listener: ((report: MonitorReport) => void) | undefined): void {
    this.#listener = listener;
  }

  /** Resolves when it holds, at the latest when the next message has come. */
  until(what: string, holds: () => boolean, patience: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(look);
        clearTimeout(timer);
      };
      const look = (): void => {
        if (this.#ended !== undefined) {
          end();
          reject(new Error(`The monitor ${this.#ended}`));
        } else if (holds()) {
          end();
          resolve();
        }
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`Within ${patience} ms: ${what}; the monitor says ${JSON.stringify(this.#report?.paths)}`));
      }, patience);
      this.#waiting.add(look);
      look();
    });
  }

  /** CPU time of the process since it began, seconds. */
  cpu(): number {
    return cpuSeconds(this.#client.pid ?? 0);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }
}

let made = 0;

export class MonitorLab {
  readonly a: Host;
  readonly b: Host;
  readonly directory: string;
  readonly wires: LinkEmulator[] = [];
  readonly #namespaces: Namespaces;
  readonly #monitors: LabMonitor[] = [];

  private constructor(native: Native) {
    const prefix = `gwl-${process.pid}-m${++made}`;
    this.#namespaces = new Namespaces(native, prefix);
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
    this.a = this.#namespaces.host('a', [['ipv4/conf/all/rp_filter', 0]]);
    this.b = this.#namespaces.host('b', [['ipv4/conf/all/rp_filter', 0]]);
  }

  static async open(native: Native, paths: number): Promise<MonitorLab> {
    const lab = new MonitorLab(native);
    try {
      // What they would say by themselves would be counted by the wires.
      for (const host of [lab.a, lab.b]) quietWire(host);
      const wire = lab.#namespaces.host('wire');
      for (let i = 0; i < paths; i++) {
        const end = (of: HostName): LinkEnd => ({ host: lab[of], name: deviceOf(i), addresses: [`${addressOf(i, of)}/24`] });
        lab.wires.push(await openEmulatedLink(wire, { left: end('a'), right: end('b') }));
      }
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  wire(index: number): LinkEmulator {
    const wire = this.wires[index];
    if (!wire) throw new Error(`The lab has ${this.wires.length} paths, and no ${index}`);
    return wire;
  }

  /**
   * A monitor on each host; resolves to that of `a` when nothing was lost for three seconds: what it sent before `b` was there is counted
   * by then.
   */
  async start(change: PlanChange = {}): Promise<LabMonitor> {
    const [mine, theirs] = [this.monitor(this.a), this.monitor(this.b)];
    mine.plan(this.plan('a', change));
    theirs.plan(this.plan('b', change));
    let sound = 0;
    mine.onReport(({ paths }) => {
      const figures = paths.flatMap((path) => path.classes);
      const lost = figures.reduce((n, one) => n + one.lost.forward + one.lost.backward + one.lost.unknown, 0);
      sound = paths.length === this.wires.length && lost === 0 && figures.every(({ answered }) => answered > 0) ? sound + 1 : 0;
    });
    await mine.until('all paths measured, and nothing lost', () => sound >= 3, 30_000);
    mine.onReport(undefined);
    return mine;
  }

  monitor(host: Host): LabMonitor {
    const monitor = new LabMonitor(host, this.directory);
    this.#monitors.push(monitor);
    return monitor;
  }

  plan(host: HostName, { probing, quality, classes = [0], oneWay = false }: PlanChange = {}): WatchPlan {
    const peer = host === 'a' ? 'b' : 'a';
    const addresses = (of: HostName): Record<string, string> =>
      Object.fromEntries(this.wires.map((_, i) => [pathNameOf(i), addressOf(i, of)]));
    return {
      host, local: addresses(host), peers: [{ host: peer, addresses: addresses(peer) }],
      paths: Object.fromEntries(this.wires.map((_, i) => [pathNameOf(i), { capacity: CAPACITY, classes }])),
      probing: { ...PROBING, ...probing, enabled: host === 'a' || !oneWay }, quality: { ...QUALITY, ...quality },
      detector: DETECTOR, alerts: {},
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#monitors.splice(0).map((monitor) => monitor.close()));
    for (const wire of this.wires.splice(0)) wire.close();
    this.#namespaces.endProcesses();
    this.#namespaces.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
