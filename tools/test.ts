/**
 * The project's checks, in the order that fails fastest: `check` (types, lint), `unit`, `lab`, `crash`, or `all`.
 * Run by npm: `npm test`, `npm run test:unit`, `npm run check`. Exit code 0 only if everything asked for passed.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const what = process.argv[2] ?? 'all';

function run(title: string, command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): boolean {
  console.error(`— ${title}`);
  const started = performance.now();
  const { status, signal, error } = spawnSync(command, args, { cwd: root, env: { ...process.env, ...environment }, stdio: ['ignore', 'inherit', 'inherit'] });
  const took = ((performance.now() - started) / 1000).toFixed(1);
  if (status === 0) return true;
  console.error(`— ${title} failed after ${took} s (${error?.message ?? signal ?? `exit code ${status}`})`);
  return false;
}

const tool = (name: string): string => join(root, 'node_modules/.bin', name);

function check(): boolean {
  return run('types', tool('tsc'), ['--noEmit']) && run('lint', tool('oxlint'), ['--type-aware', '--deny-warnings']);
}

function tests(
  title: string, pattern: string, concurrency: number, environment: Readonly<Record<string, string>> = {}, which: (file: string) => boolean = () => true,
): boolean {
  const files = globSync(pattern, { cwd: root }).filter(which).sort();
  if (files.length === 0) throw new Error(`No test matches ${pattern}`);
  return run(title, process.execPath, ['--test', `--test-concurrency=${concurrency}`, '--test-timeout=300000', ...files], environment);
}

/** Of the lab's tests those that mostly wait, for a refusal, a disk, a process that starts: two files at a time do each other no harm. */
const waits = (file: string): boolean => /\/(bad-input|store|native-leak|cluster-durability)[^/]*\.test\.ts$/.test(file);

/** The others share two cores and measure time in ms: one file after the other. */
const lab = (): boolean =>
  tests('lab, what mostly waits', 'test/lab/**/*.test.ts', 2, {}, waits) && tests('lab', 'test/lab/**/*.test.ts', 1, {}, (file) => !waits(file));

const steps: Readonly<Record<string, () => boolean>> = {
  check,
  unit: () => tests('unit', 'test/unit/**/*.test.ts', 2),
  lab,
  /** The saga on doubles, broken at every step; and in the lab at every step, not only at one per phase. */
  crash: () => tests('crash points', 'test/crash/**/*.test.ts', 1) && tests('crash points in the lab', 'test/lab/crash/**/*.test.ts', 1, { GODWIT_CRASH: 'all' }),
  all: () => check() && tests('unit', 'test/unit/**/*.test.ts', 2) && tests('crash points', 'test/crash/**/*.test.ts', 1) && lab(),
};
const step = steps[what];
if (!step) {
  console.error(`tools/test.ts: there is no '${what}'; choose one of ${Object.keys(steps).join(', ')}`);
  process.exit(2);
}
process.exit(step() ? 0 : 1);
