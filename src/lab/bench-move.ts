/** Bench `move`: plain QEMU and Godwit in turn, same lab, same guest, same prober; then a chain, ways back, a shared disk. */
import { clientTrouble, formatTable, left, right } from '../cli/cli.ts';
import { setTimeout as pause } from 'node:timers/promises';
import type { Receipt } from '../model/move.ts';
import { losses, lossless } from '../model/move.ts';
import { kernelNative } from '../native/kernel.ts';
import type { BenchResult, Target } from './bench-result.ts';
import { chain } from './bench-move-chain.ts';
import { wayBack } from './bench-move-back.ts';
import { labAccelerator, labVm, withSharedDisk } from './guest-image.ts';
import { Prober, type ProbeResult, type ProberOptions } from './prober.ts';
import { Session } from './session.ts';
import { largest, median, quantile, sum } from './statistics.ts';

/** Streams run this long before a move and after its end, ms. */
const BEFORE = 250;
const AFTER = 250;

/** One move seen from both sides. */
export interface Observation {
  readonly by: 'plain' | 'godwit';
  readonly loaded: boolean;
  readonly probe: ProbeResult;
  readonly stopToResume: number;
  readonly total: number;
  readonly stoppedAt: number;
  readonly resumedAt: number;
  readonly receipt?: Receipt;
}

const idle = (session: Session): ProberOptions => ({ to: address(session, 0), size: 64 });
/** Writes memory, full-size frames, bulk TCP each way. */
const loaded = (session: Session, family: number): ProberOptions => ({ to: address(session, family), size: family === 0 ? 1472 : 1452, bulk: 20, dirty: 25 });

function address(session: Session, family: number): ProberOptions['to'] {
  const found = session.vm.nics[0]?.addresses[family];
  if (!found) throw new Error('The lab VM has no address');
  return found;
}

export async function observe(session: Session, by: Observation['by'], options: ProberOptions): Promise<Observation> {
  const prober = await Prober.start(session.lab.client, options);
  try {
    await pause(BEFORE);
    const move = by === 'plain' ? await plain(session) : await godwit(session);
    await pause(AFTER);
    return { by, loaded: options.dirty !== undefined, probe: await prober.stop(), ...move };
  } finally {
    prober.kill();
  }
}

type Measured = Omit<Observation, 'by' | 'loaded' | 'probe'>;

async function plain(session: Session): Promise<Measured> {
  const { stopToResume, total, stoppedAt, resumedAt } = await session.movePlain();
  return { stopToResume, total, stoppedAt, resumedAt };
}

async function godwit(session: Session): Promise<Measured> {
  const { receipt } = await session.move({ hostProbes: false });
  const stoppedAt = receipt.phases.find((p) => p.name === 'finishing')?.from ?? NaN;
  const stopToResume = receipt.times.stopToResume ?? NaN;
  return { stopToResume, total: receipt.times.total, stoppedAt, resumedAt: stoppedAt + stopToResume, receipt };
}

export async function benchMove(runs: number, say: (line: string) => void): Promise<BenchResult> {
  const native = kernelNative();
  const accelerator = await labAccelerator();
  const plainVm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator });
  const compared = await compare(await Session.open(native, { hosts: 3, networks: ['a'] }, plainVm), runs, say);
  const chained = await chain(await Session.open(native, { hosts: 3, networks: ['a'] }, plainVm), 50, say);
  const back = await wayBack(await Session.open(native, { hosts: 2, networks: ['a'] }, plainVm), 20, say);
  const disk = await withSharedDisk(async (shared) => {
    const vm = labVm({ name: 'db-1', networks: ['a'], number: 10, accelerator, disks: [shared] });
    return compare(await Session.open(native, { hosts: 3, networks: ['a'] }, vm), Math.max(4, Math.ceil(runs / 5)), say, { disk: 50 });
  });

  report(compared, say);
  const figures = { ...figuresOf(compared, ''), ...figuresOf(disk, 'disk'), ...chained.figures, ...back.figures };
  const targets = [...comparisonTargets(compared, ''), ...chained.targets, ...back.targets, ...comparisonTargets(disk, 'shared disk: ')];
  return { bench: 'move', figures, targets };
}

async function compare(session: Session, runs: number, say: (line: string) => void, more: Partial<ProberOptions> = {}): Promise<Observation[]> {
  const seen: Observation[] = [];
  try {
    for (let run = 0; run < runs; run++) {
      const options = run % 2 === 0 ? idle(session) : loaded(session, run % 4 === 1 ? 0 : 1);
      // Who goes first changes too: the machine's speed drifts.
      for (const by of run % 4 < 2 ? (['plain', 'godwit'] as const) : (['godwit', 'plain'] as const)) {
        const o = await observe(session, by, { ...options, ...more });
        seen.push(o);
        say(line(run, runs, o));
      }
    }
  } finally {
    await session.close();
  }
  return seen;
}

function line(run: number, runs: number, { by, loaded: load, probe, stopToResume, total, receipt }: Observation): string {
  const found = clientTrouble(probe);
  const ledger = receipt && !lossless(receipt) ? ` LEDGER ${JSON.stringify({ nics: receipt.nics, drops: losses(receipt), outcome: receipt.outcome })}` : '';
  return `${run + 1}/${runs} ${by}${load ? ' loaded' : ''}: gap ${probe.toClient.largestGapMs.toFixed(0)} ms, STOP to RESUME ${stopToResume.toFixed(1)} ms, total ${total.toFixed(0)} ms; ${found.join(', ') || 'nothing lost'}${by === 'godwit' && found.length > 0 ? ` missing ${JSON.stringify([probe.toGuest.missing, probe.toClient.missing])}` : ''}${ledger}`;
}

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
    ['godwitOwnPartP95', quantile(ownPart(g), 0.95)], ['groupOverlapMax', largest(g.map((o) => o.receipt?.times.groupOverlap ?? NaN))],
  ];
  return Object.fromEntries(entries.map(([k, v]) => [prefix ? `${prefix}${k[0]?.toUpperCase()}${k.slice(1)}` : k, Math.round(v * 100) / 100]));
}

function comparisonTargets(seen: readonly Observation[], prefix: string): Target[] {
  const [p, g] = [of(seen, 'plain'), of(seen, 'godwit')];
  const counts = [count(g, 'lost'), count(g, 'duplicated'), count(g, 'reordered')];
  const other = g.flatMap((o) => clientTrouble(o.probe).filter((f) => !/ (lost|duplicated|reordered) /.test(f)));
  const [own, pauseMedian] = [quantile(ownPart(g), 0.95), median(g.map((o) => o.stopToResume))];
  const gapRatio = median(gaps(g)) / median(gaps(p));
  const totalRatio = median(g.map((o) => o.total)) / median(p.map((o) => o.total));
  const overlap = largest(g.map((o) => o.receipt?.times.groupOverlap ?? NaN));
  return [
    { name: `${prefix}lost / duplicated / reordered in ${g.length} Godwit moves (plain lost ${count(p, 'lost')})`, want: '0 / 0 / 0', got: counts.join(' / '), ok: sum(counts) === 0 },
    { name: `${prefix}sessions, bulk streams, guest memory and disk unharmed`, want: 'all', got: other.length ? other.slice(0, 3).join('; ') : 'all', ok: other.length === 0 },
    { name: `${prefix}ledgers that prove no loss`, want: `${g.length}`, got: `${g.filter((o) => o.receipt && lossless(o.receipt)).length}`, ok: g.every((o) => o.receipt && lossless(o.receipt)) },
    { name: `${prefix}Godwit's own part of the pause, p95`, want: '<= 8 ms', got: `${own.toFixed(1)} ms`, ok: own <= 8 },
    { name: `${prefix}client's largest gap, median, of plain QEMU's`, want: '<= 0.8', got: gapRatio.toFixed(2), ok: gapRatio <= 0.8 },
    { name: `${prefix}STOP to RESUME, median`, want: '<= 20 ms', got: `${pauseMedian.toFixed(1)} ms`, ok: pauseMedian <= 20 },
    { name: `${prefix}total time of plain QEMU's`, want: '<= 1.1', got: totalRatio.toFixed(2), ok: totalRatio <= 1.1 },
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
