/** A day of a host of 32, in as much time as it takes to tell it: how much room it takes on disk, and how fast a chart of it is drawn. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { CounterReport } from '../model/counters.ts';
import type { ClassFigures, PathReport } from '../model/path.ts';
import { openKeeping } from '../monitor/keeping.ts';
import type { Part } from './bench-cluster.ts';
import { largest, median } from './statistics.ts';

const DAY = 86_400_000;
const SECOND = 1000;
const POINTS = 500;
const PATHS = Array.from({ length: 31 }, (_, i) => ['main', 'storage'].map((path) => ({ peer: `h${i + 2}`, path }))).flat();
const ALLOWED = { megabytes: 200, query: 50 } as const;
/** Any, on a whole second. */
const BEGIN = Date.UTC(2026, 0, 1);

export async function history(say: (line: string) => void): Promise<Part> {
  const stateDir = mkdtempSync(join(tmpdir(), `gwl-${process.pid}-history-`));
  try {
    const keeping = await openKeeping({ stateDir, version: 'bench', now: () => BEGIN + DAY });
    for (let at = BEGIN; at < BEGIN + DAY; at += SECOND) {
      for (const [i, path] of PATHS.entries()) keeping.answered({ ...path, dscp: 0, rtt: 1 + ((at / SECOND + i) % 97) / 100, at });
      keeping.second(PATHS.map((path) => report(path, at + SECOND)), counters(at + SECOND), at + SECOND);
      // Writing behind needs its turn.
      if (at % 30_000 === 0) await turn();
    }
    await keeping.close();
    const megabytes = diskBytes(stateDir) / 1e6;
    // As after a start: read from the disk.
    const again = await openKeeping({ stateDir, version: 'bench', now: () => BEGIN + DAY });
    const took: number[] = [];
    let points = 0;
    for (const { peer, path } of PATHS) {
      for (const what of ['rtt', 'loss']) {
        const from = performance.now();
        const series = `path/${peer}/${path}/${what}`;
        const { data } = await again.query({ host: 'h1', series, from: BEGIN, to: BEGIN + DAY, points: POINTS });
        took.push(performance.now() - from);
        points = Math.max(points, data.filter(({ count }) => count > 0).length);
      }
    }
    // The day's first minute is still there second by second.
    const minute = { host: 'h1', series: 'path/h2/main/rtt', from: BEGIN + SECOND, to: BEGIN + 61 * SECOND, points: 60 };
    const { data: finest } = await again.query(minute);
    const fine = finest.filter(({ span, count }) => span === SECOND && count > 0).length;
    const troubles = again.troubles.length;
    await again.close();
    const [usual, most] = [median(took).toFixed(1), largest(took).toFixed(1)];
    say(`24 h of ${PATHS.length} paths: ${megabytes.toFixed(1)} MB on disk; ${took.length} charts, median ${usual} ms, at most ${most} ms`);
    return {
      figures: { historyMegabytes: megabytes, queryMedianMs: median(took), queryMostMs: largest(took), queryPoints: points },
      targets: [
        {
          name: '24 h of history for 32 hosts x 2 paths, on disk', want: `<= ${ALLOWED.megabytes} MB, each second`,
          got: `${megabytes.toFixed(1)} MB, ${fine} of the first 60 s, ${troubles} troubles`, ok: megabytes <= ALLOWED.megabytes && troubles === 0 && fine >= 59,
        },
        {
          name: `a chart of 24 h, ${points} points (median ${usual} ms)`, want: `<= ${ALLOWED.query} ms, > ${POINTS / 2} points`, got: `at most ${most} ms`,
          ok: largest(took) <= ALLOWED.query && points > POINTS / 2,
        },
      ],
    };
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

function report(of: { readonly peer: string; readonly path: string }, at: number): PathReport {
  const figures: ClassFigures = {
    dscp: 0, sent: 10, answered: 10, lost: { forward: 0, backward: 0, unknown: 0 }, late: 0, duplicates: 0,
    reordered: { forward: 0, backward: 0 },
    rtt: { min: 1, mean: 1.5, max: 2, p50: 1.5, p90: 1.9, p99: 2, jitter: 0.1 },
  };
  return {
    ...of, source: '10.97.0.1', destination: '10.97.0.2', at, rate: 10, classes: [figures], window: figures,
    mtu: { wanted: 1500, passes: 1500, blackHole: false },
    quality: { state: 'fit', since: BEGIN, loss: 0, slowLoss: 0, suspicious: false },
  };
}

const counters = (at: number): CounterReport =>
  ({ at, links: [], nics: [], tcp: [], host: { softirq: 0.01, backlogDrops: 0, squeezed: 0, lateness: 0.1, cost: 0.03 } });

/** What the files take, not how long they say they are. */
function diskBytes(directory: string): number {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((total, { parentPath, name }) => total + statSync(join(parentPath, name)).blocks * 512, 0);
}
