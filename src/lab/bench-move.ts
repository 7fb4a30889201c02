/**
 * Bench `move`: plain QEMU and Godwit in turn, Godwit through a server and agents: two labs alike, the same guest, the same prober. Then
 * the same with a shared disk. A chain and ways back go by the mover alone, in this process: the cluster lets one VM move 4 times in
 * 3 minutes, and tells nobody of a phase early enough to break into it.
 *
 * For the same reason both sides take a fresh VM after every 4 moves.
 */
import { clientTrouble, formatTable, left, right } from '../cli/cli.ts';
import { setTimeout as pause } from 'node:timers/promises';
import type { Receipt } from '../model/move.ts';
import { losses, lossless } from '../model/move.ts';
import type { Disk, Vm } from '../model/vm.ts';
import { kernelNative } from '../native/kernel.ts';
import type { Native } from '../native/native.ts';
import type { BenchResult, Target } from './bench-result.ts';
import { chain } from './bench-move-chain.ts';
import { wayBack } from './bench-move-back.ts';
import type { LabCluster } from './cluster.ts';
import { ClusterSession, MOVES_PER_VM, openCluster } from './cluster-session.ts';
import { labAccelerator, labVm, withSharedDisk } from './guest-image.ts';
import { Prober, type ProbeResult, type ProberOptions } from './prober.ts';
import { Session } from './session.ts';
import { largest, median, quantile, sum } from './statistics.ts';
import type { Lab } from './topology.ts';

/** Streams run this long before a move and after its end, ms. */
const BEFORE = 250;
const AFTER = 250;

type By = 'plain' | 'godwit';

/** One move seen from both sides. */
interface Observation {
  readonly by: By;
  readonly loaded: boolean;
  readonly probe: ProbeResult;
  readonly stopToResume: number;
  /** From the order to the running guest; Godwit's is given to the server. */
  readonly total: number;
  readonly stoppedAt: number;
  readonly resumedAt: number;
  readonly receipt?: Receipt;
}

/** A VM and its way to the next host. */
interface Side {
  readonly by: By;
  readonly lab: Lab;
  readonly vm: Vm;
  move(): Promise<Omit<Observation, 'by' | 'loaded' | 'probe'>>;
  close(): Promise<void>;
}

async function plainSide(native: Native, vm: Vm): Promise<Side> {
  const session = await Session.open(native, LAB, vm);
  return {
    by: 'plain', lab: session.lab, vm, close: () => session.close(),
    move: async () => {
      const { stopToResume, total, stoppedAt, resumedAt } = await session.movePlain();
      return { stopToResume, total, stoppedAt, resumedAt };
    },
  };
}

async function godwitSide(cluster: LabCluster, vm: Vm): Promise<Side> {
  const session = await ClusterSession.open(cluster, vm);
  return {
    by: 'godwit', lab: session.lab, vm, close: () => session.close(),
    move: async () => {
      const { receipt, total } = await session.move();
      const stoppedAt = receipt.phases.find((p) => p.name === 'finishing')?.from ?? NaN;
      const stopToResume = receipt.times.stopToResume ?? NaN;
      return { stopToResume, total, stoppedAt, resumedAt: stoppedAt + stopToResume, receipt };
    },
  };
}

const LAB = { hosts: 3, networks: ['a'] } as const;

const idle = (): Partial<ProberOptions> => ({ size: 64 });
/** Writes memory, full-size frames, bulk TCP each way. */
const loaded = (family: number): Partial<ProberOptions> => ({ size: family === 0 ? 1472 : 1452, bulk: 20, dirty: 25 });

async function observe(side: Side, family: number, options: Partial<ProberOptions>): Promise<Observation> {
  const to = side.vm.nics[0]?.addresses[family];
  if (!to) throw new Error('The lab VM has no address');
  const prober = await Prober.start(side.lab.client, { to, ...options });
  try {
    await pause(BEFORE);
    const move = await side.move();
    await pause(AFTER);
    return { by: side.by, loaded: options.dirty !== undefined, probe: await prober.stop(), ...move };
  } finally {
    prober.kill();
  }
}

export async function benchMove(runs: number, say: (line: string) => void): Promise<BenchResult> {
  const native = kernelNative();
  const accelerator = await labAccelerator();
  const alone = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator });
  /** The n-th of its kind has a name and addresses of its own: what switch, client and server know of the last must not matter. */
  const vm = (kind: 'web' | 'db', n: number, disks: readonly Disk[] = []): Vm =>
    labVm({ name: `${kind}-${n + 1}`, networks: ['a'], number: kind === 'web' ? 10 + (n % 60) : 70 + (n % 20), accelerator, disks });

  const { compared, disk } = await withCluster(native, say, async (cluster) => ({
    compared: await compare({ native, cluster, vms: (n) => ({ plain: vm('web', n), godwit: vm('web', n) }), runs, say }),
    disk: await withSharedDisk((plain) => withSharedDisk((godwit) => compare({
      native, cluster, vms: (n) => ({ plain: vm('db', n, [plain]), godwit: vm('db', n, [godwit]) }), runs: Math.max(4, Math.ceil(runs / 5)), say, more: { disk: 50 },
    }))),
  }));
  const chained = await chain(await Session.open(native, LAB, alone), 50, say);
  const back = await wayBack(await Session.open(native, { hosts: 2, networks: ['a'] }, alone), 20, say);

  report(compared, say);
  const figures = { ...figuresOf(compared, ''), ...figuresOf(disk, 'disk'), ...chained.figures, ...back.figures };
  const targets = [...comparisonTargets(compared, ''), ...chained.targets, ...back.targets, ...comparisonTargets(disk, 'shared disk: ')];
  return { bench: 'move', figures, targets };
}

async function withCluster<T>(native: Native, say: (line: string) => void, use: (cluster: LabCluster) => Promise<T>): Promise<T> {
  const cluster = await openCluster(native, LAB, say);
  try {
    return await use(cluster);
  } finally {
    await cluster.close();
  }
}

interface Comparison {
  readonly native: Native;
  readonly cluster: LabCluster;
  /** The n-th pair. */
  readonly vms: (n: number) => Readonly<Record<By, Vm>>;
  readonly runs: number;
  readonly say: (line: string) => void;
  readonly more?: Partial<ProberOptions>;
}

async function compare({ native, cluster, vms, runs, say, more }: Comparison): Promise<Observation[]> {
  const seen: Observation[] = [];
  const sides: Side[] = [];
  const end = async (): Promise<void> => {
    for (const side of sides.splice(0)) await side.close();
  };
  try {
    for (let run = 0; run < runs; run++) {
      if (run % MOVES_PER_VM === 0) {
        await end();
        const fresh = vms(run / MOVES_PER_VM);
        sides.push(await plainSide(native, fresh.plain));
        sides.push(await godwitSide(cluster, fresh.godwit));
      }
      const family = run % 4 === 3 ? 1 : 0;
      const options = { ...(run % 2 === 0 ? idle() : loaded(family)), ...more };
      // Who goes first changes too: the machine's speed drifts.
      for (const side of run % 4 < 2 ? sides : sides.toReversed()) {
        const o = await observe(side, family, options);
        seen.push(o);
        say(line(run, runs, o));
      }
    }
  } finally {
    await end();
  }
  return seen;
}

function line(run: number, runs: number, { by, loaded: load, probe, stopToResume, total, receipt }: Observation): string {
  const found = clientTrouble(probe);
  const ledger = receipt && !lossless(receipt) ? ` LEDGER ${JSON.stringify({ nics: receipt.nics, drops: losses(receipt), outcome: receipt.outcome })}` : '';
  const own = receipt ? ` (${ms1(receipt.times.redirectToStop)} before STOP and ${ms1(receipt.times.loadedToResume)} before RESUME are Godwit's own)` : '';
  return `${run + 1}/${runs} ${by}${load ? ' loaded' : ''}: gap ${probe.toClient.largestGapMs.toFixed(0)} ms, STOP to RESUME ${stopToResume.toFixed(1)} ms${own}, total ${total.toFixed(0)} ms; ${found.join(', ') || 'nothing lost'}${by === 'godwit' && found.length > 0 ? ` missing ${JSON.stringify([probe.toGuest.missing, probe.toClient.missing])}` : ''}${ledger}`;
}

const ms1 = (time: number | undefined): string => `${(time ?? NaN).toFixed(1)} ms`;
const of = (seen: readonly Observation[], by: Observation['by']): Observation[] => seen.filter((o) => o.by === by);
const count = (seen: readonly Observation[], kind: 'lost' | 'duplicated' | 'reordered'): number => sum(seen.map((o) => o.probe.toGuest[kind] + o.probe.toClient[kind]));
const gaps = (seen: readonly Observation[]): number[] => seen.map((o) => o.probe.toClient.largestGapMs);
const ownPart = (seen: readonly Observation[]): number[] => seen.map((o) => (o.receipt?.times.redirectToStop ?? NaN) + (o.receipt?.times.loadedToResume ?? NaN));

function figuresOf(seen: readonly Observation[], prefix: string): Record<string, number> {
  const [p, g] = [of(seen, 'plain'), of(seen, 'godwit')];
  const entries: [string, number][] = [
    ['runs', g.length],
    ['plainLost', count(p, 'lost')], ['godwitLost', count(g, 'lost')], ['godwitDuplicated', count(g, 'duplicated')], ['godwitReordered', count(g, 'reordered')],
    ['plainGapMedian', median(gaps(p))], ['godwitGapMedian', median(gaps(g))],
    ['plainStopToResumeMedian', median(p.map((o) => o.stopToResume))], ['godwitStopToResumeMedian', median(g.map((o) => o.stopToResume))],
    ['plainTotalMedian', median(p.map((o) => o.total))], ['godwitTotalMedian', median(g.map((o) => o.total))],
    ['godwitAgentTotalMedian', median(g.map((o) => o.receipt?.times.total ?? NaN))],
    ['godwitOwnPartP95', quantile(ownPart(g), 0.95)], ['groupOverlapMax', largest(g.map((o) => o.receipt?.times.groupOverlap ?? NaN))],
  ];
  return Object.fromEntries(entries.map(([k, v]) => [prefix ? `${prefix}${k[0]?.toUpperCase()}${k.slice(1)}` : k, Math.round(v * 100) / 100]));
}

function comparisonTargets(seen: readonly Observation[], prefix: string): Target[] {
  const [p, g] = [of(seen, 'plain'), of(seen, 'godwit')];
  const counts = [count(g, 'lost'), count(g, 'duplicated'), count(g, 'reordered')];
  const other = g.flatMap((o) => clientTrouble(o.probe).filter((f) => !/ (lost|duplicated|reordered) /.test(f)));
  // A move that went back has a ledger, too.
  const proven = g.filter((o) => o.receipt?.outcome.kind === 'moved' && lossless(o.receipt)).length;
  const [own, pauseMedian] = [quantile(ownPart(g), 0.95), median(g.map((o) => o.stopToResume))];
  const gapRatio = median(gaps(g)) / median(gaps(p));
  const totalRatio = median(g.map((o) => o.total)) / median(p.map((o) => o.total));
  const overlap = largest(g.map((o) => o.receipt?.times.groupOverlap ?? NaN));
  return [
    { name: `${prefix}lost / duplicated / reordered in ${g.length} Godwit moves (plain lost ${count(p, 'lost')})`, want: '0 / 0 / 0', got: counts.join(' / '), ok: sum(counts) === 0 },
    { name: `${prefix}sessions, bulk streams, guest memory and disk unharmed`, want: 'all', got: other.length ? other.slice(0, 3).join('; ') : 'all', ok: other.length === 0 },
    { name: `${prefix}ledgers that prove no loss`, want: `${g.length}`, got: `${proven}`, ok: proven === g.length },
    { name: `${prefix}Godwit's own part of the pause, p95`, want: '<= 8 ms', got: `${own.toFixed(1)} ms`, ok: own <= 8 },
    { name: `${prefix}client's largest gap, median, of plain QEMU's`, want: '<= 0.8', got: gapRatio.toFixed(2), ok: gapRatio <= 0.8 },
    { name: `${prefix}STOP to RESUME, median`, want: '<= 20 ms', got: `${pauseMedian.toFixed(1)} ms`, ok: pauseMedian <= 20 },
    { name: `${prefix}total time, from the order to the server, of plain QEMU's`, want: '<= 1.1', got: totalRatio.toFixed(2), ok: totalRatio <= 1.1 },
    { name: `${prefix}group frames come both ways for at most`, want: '<= 20 ms', got: `${overlap.toFixed(1)} ms`, ok: overlap <= 20 },
  ];
}

/** Where the client's largest gap comes from: last arrival before STOP, the pause, RESUME to first arrival. */
function report(seen: readonly Observation[], say: (line: string) => void): void {
  const rows = (['plain', 'godwit'] as const).map((by) => {
    const list = of(seen, by);
    const spread = (values: readonly number[]): string => `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}-${largest(values).toFixed(0)})`;
    return [
      by, `${count(list, 'lost')}`, `${count(list, 'duplicated')}`, `${count(list, 'reordered')}`, spread(gaps(list)),
      spread(list.map((o) => o.stoppedAt - o.probe.toClient.gapStartMs)), spread(list.map((o) => o.stopToResume)),
      spread(list.map((o) => o.probe.toClient.gapEndMs - o.resumedAt)), spread(list.map((o) => o.total)),
    ];
  });
  const columns = ['lost', 'dup', 'reord', 'largest gap ms', 'of it before STOP', 'STOP to RESUME', 'RESUME to first', 'total ms'].map(right);
  for (const row of formatTable([left(''), ...columns], rows)) say(row);
}
