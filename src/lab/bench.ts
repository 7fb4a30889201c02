/** `npm run bench -- NAME [--runs N] [--minutes N] [--check]`: measures, prints a table, and as the very last line one line of JSON. */
import { parseArgs } from 'node:util';
import { formatError } from '../base/error.ts';
import { formatTable, left } from '../cli/cli.ts';
import { benchBfd } from './bench-bfd.ts';
import { benchCluster } from './bench-cluster.ts';
import { benchMonitor } from './bench-monitor.ts';
import { benchMove } from './bench-move.ts';
import type { BenchResult } from './bench-result.ts';
import { benchVrrp } from './bench-vrrp.ts';
import { sweep } from './topology.ts';

interface Bench {
  readonly run: (runs: number, say: (line: string) => void, minutes: number) => Promise<BenchResult>;
  /** Without --runs, and at least with --check. */
  readonly runs: number;
  /** The same of --minutes, which only some look at. */
  readonly minutes?: number;
}

/**
 * Runs: of `move`, moves by each side; of `cluster`, restarts of the agent; of `vrrp`, each fault at each interval by each side; of `bfd`,
 * silent cuts at each interval; of `monitor`, black holes and sick paths. Minutes: of `bfd`, beside busy loops.
 */
const benches: ReadonlyMap<string, Bench> = new Map([
  ['move', { run: benchMove, runs: 20 }], ['cluster', { run: benchCluster, runs: 100 }], ['vrrp', { run: benchVrrp, runs: 6 }],
  ['bfd', { run: benchBfd, runs: 20, minutes: 10 }], ['monitor', { run: benchMonitor, runs: 5 }],
]);

const USAGE = 'npm run bench -- NAME [--runs N] [--minutes N] [--check]';

function wrongUsage(what: string): number {
  console.error(`bench: ${what}\n${USAGE}`);
  return 2;
}

async function main(): Promise<number> {
  let values: { readonly runs?: string | undefined; readonly minutes?: string | undefined; readonly check?: boolean | undefined };
  let positionals: readonly string[];
  try {
    ({ values, positionals } = parseArgs({ allowPositionals: true, options: { runs: { type: 'string' }, minutes: { type: 'string' }, check: { type: 'boolean' } } }));
  } catch (error) {
    return wrongUsage(formatError(error));
  }
  const bench = benches.get(positionals[0] ?? '');
  if (!bench || positionals.length !== 1) return wrongUsage(`name one of: ${[...benches.keys()].join(', ')}`);
  const runs = values.runs === undefined ? bench.runs : Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) return wrongUsage(`--runs takes a whole number from 1, not '${values.runs}'`);
  const { minutes: usual = 0 } = bench;
  const minutes = values.minutes === undefined ? usual : Number(values.minutes);
  if (!(minutes > 0) && values.minutes !== undefined) return wrongUsage(`--minutes takes a number above 0, not '${values.minutes}'`);
  sweep();
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const result = await (values.check ? bench.run(Math.max(bench.runs, runs), say, Math.max(usual, minutes)) : bench.run(runs, say, minutes));
  const ok = result.targets.every((t) => t.ok);
  process.stdout.write(`${formatTable(['', 'target', 'wanted', 'got'].map(left), result.targets.map((t) => [t.ok ? 'met' : 'UNMET', t.name, t.want, t.got])).join('\n')}\n`);
  process.stdout.write(`${JSON.stringify({ bench: result.bench, figures: result.figures, targets: result.targets, ok })}\n`);
  return values.check && !ok ? 1 : 0;
}

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(`bench: ${formatError(error)}`);
    process.exitCode = 1;
  },
);
