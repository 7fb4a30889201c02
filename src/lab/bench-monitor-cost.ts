/**
 * What a host of 32 pays: it probes 31 others on two paths each, 10 times a second, and answers as many. One other monitor plays the 31,
 * with 62 addresses, and does for them what each would do toward this host.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { WatchPlan } from '../model/watch-plan.ts';
import type { Native } from '../native/native.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { Part } from './bench-cluster.ts';
import { CAPACITY, DETECTOR, LabMonitor, PROBING, QUALITY } from './bench-monitor-lab.ts';
import { Namespaces } from './namespaces.ts';

const OTHERS = Array.from({ length: 31 }, (_, i) => i + 2);
const PATHS = ['main', 'storage'] as const;
const RATE = 10;
const ALLOWED = 0.05;
/** ms. */
const WARM = 10_000;
const WINDOW = 30_000;

/** Of host `number`, on a path. */
const address = (path: number, number: number): string => `10.9${7 + path}.0.${number}`;
/** As the policy has it, but for the rate. */
const probing: WatchPlan['probing'] = { ...PROBING, rate: RATE, core: 0.05, link: 0.001 };

export async function cost(native: Native, say: (line: string) => void): Promise<Part> {
  const prefix = `gwl-${process.pid}-c1`;
  const directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
  const namespaces = new Namespaces(native, prefix);
  const monitors: LabMonitor[] = [];
  try {
    const [one, many] = [namespaces.host('one'), namespaces.host('many')];
    for (const [path, name] of PATHS.entries()) {
      one.links.createVeth({ name, netns: one.netns, mtu: 1500 }, { name, netns: many.netns, mtu: 1500 });
      for (const [host, numbers] of [[one, [1]], [many, OTHERS]] as const) {
        const { index } = host.links.get(name);
        host.links.set(index, { up: true, noIpv6Address: true });
        for (const number of numbers) host.addresses.add(index, parseIpAddress(address(path, number)), 24);
      }
    }
    for (const host of [one, many]) monitors.push(new LabMonitor(host, directory));
    const [mine, theirs] = monitors;
    if (!mine || !theirs) throw new Error('Two monitors run');
    theirs.plan(planOfMany());
    mine.plan(planOfOne());
    const sessions = OTHERS.length * PATHS.length;
    const measured = (): number => mine.report?.paths.filter(({ classes }) => (classes[0]?.answered ?? 0) > 0).length ?? 0;
    await mine.until(`${sessions} paths measured`, () => measured() === sessions, 30_000);
    await pause(WARM);
    const sums = { sent: 0, answered: 0, seconds: 0 };
    mine.onReport(({ paths }) => {
      sums.seconds++;
      for (const { classes: [first] } of paths) {
        sums.sent += first?.sent ?? 0;
        sums.answered += first?.answered ?? 0;
      }
    });
    const [since, before] = [performance.now(), monitors.map((monitor) => monitor.cpu())];
    await pause(WINDOW);
    const seconds = (performance.now() - since) / 1000;
    const [share = NaN, beside = NaN] = monitors.map((monitor, i) => (monitor.cpu() - (before[i] ?? NaN)) / seconds);
    const rate = sums.sent / sums.seconds / sessions;
    const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
    say(`${sessions} sessions at ${rate.toFixed(1)} probes/s each, ${sums.answered} of ${sums.sent} answered: ${percent(share)} of a core`);
    say(`the monitor that plays the others: ${percent(beside)}`);
    return {
      figures: { coreShare: share, coreShareOfOthers: beside, probesPerSession: rate },
      targets: [{
        name: `32 hosts x 2 paths x ${RATE} probes/s: of a core, everything the monitor does`, want: `<= ${percent(ALLOWED)}, at ${RATE}/s`,
        got: `${percent(share)}, at ${rate.toFixed(1)}/s`,
        ok: share <= ALLOWED && rate >= RATE * 0.98,
      }],
    };
  } finally {
    await Promise.all(monitors.map((monitor) => monitor.close()));
    namespaces.endProcesses();
    namespaces.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

const rest = { detector: DETECTOR, quality: QUALITY, alerts: {} } as const;

function planOfOne(): WatchPlan {
  const addresses = (number: number): Record<string, string> =>
    Object.fromEntries(PATHS.map((name, path) => [name, address(path, number)]));
  return {
    host: 'h1', local: addresses(1), peers: OTHERS.map((number) => ({ host: `h${number}`, addresses: addresses(number) })),
    paths: Object.fromEntries(PATHS.map((name) => [name, { capacity: CAPACITY, classes: [0] }])), probing, ...rest,
  };
}

/** A path of its own for each of its addresses; its budget is that of 31 hosts. */
function planOfMany(): WatchPlan {
  const all = OTHERS.flatMap((number) => PATHS.map((name, path) => ({ name: `${name}-${number}`, own: address(path, number), peer: address(path, 1) })));
  const named = <T>(of: (one: (typeof all)[number]) => T): Record<string, T> => Object.fromEntries(all.map((one) => [one.name, of(one)]));
  return {
    host: 'many', local: named(({ own }) => own), peers: [{ host: 'h1', addresses: named(({ peer }) => peer) }],
    paths: named(() => ({ capacity: CAPACITY, classes: [0] })), probing: { ...probing, core: 1, link: 1 }, ...rest,
  };
}
