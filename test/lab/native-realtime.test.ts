/** Real-time scheduling and locked memory, with the rights to them and without. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { NativeMisuseError } from '../../src/native/native.ts';
import { kernelNative } from '../../src/native/kernel.ts';

const timeout = { timeout: 30_000 };

interface Outcome {
  readonly told: { readonly scheduling: string; readonly locked: boolean; readonly because?: string };
  readonly seen: {
    readonly policy: number; readonly nice: number; readonly priority: number; readonly child: number; readonly locked: boolean;
  };
}

/** Runs native-realtime.ts under the limits (prlimit(1)) and without the capabilities (setpriv(1)). */
function run(limits: readonly string[], without: readonly string[] = []): Outcome {
  const set = without.map((name) => `-${name}`).join(',');
  const rights = set === '' ? [] : ['setpriv', `--inh-caps=${set}`, `--bounding-set=${set}`];
  const words = ['prlimit', ...limits, ...rights, process.execPath, join(import.meta.dirname, 'native-realtime.ts'), '50'];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, signal, stdout, stderr } = spawnSync(words[0] ?? '', words.slice(1), { encoding: 'utf8', env });
  assert.deepEqual([status, signal], [0, null], stderr);
  // What native-realtime.ts prints.
  return JSON.parse(stdout) as Outcome;
}

test('with every right: SCHED_RR at its priority, not for children, memory locked, and no limit that kills', timeout, () => {
  const { told, seen } = run(['--rttime=100000:unlimited', '--memlock=65536:65536']);
  assert.deepEqual(told, { scheduling: 'realtime', locked: true });
  assert.deepEqual(seen, { policy: 2, nice: seen.nice, priority: 50, child: 0, locked: true });
});

test('without CAP_SYS_NICE: nice is refused too, and told', timeout, () => {
  const { told, seen } = run(['--rtprio=0:0', '--nice=0:0'], ['sys_nice']);
  assert.deepEqual([told.scheduling, told.locked, seen.policy, seen.nice], ['ordinary', true, 0, 0]);
  assert.match(told.because ?? '', /sched_setscheduler SCHED_RR: .*\(EPERM\); setpriority -20: .*\(EACCES\)/);
});

test('a limit that would kill and cannot be lifted: no real time', timeout, () => {
  const { told, seen } = run(['--rttime=100000:200000'], ['sys_resource']);
  assert.deepEqual([told.scheduling, seen.policy, seen.nice], ['nice', 0, -20]);
  assert.match(told.because ?? '', /setrlimit RLIMIT_RTTIME: .*\(EPERM\)/);
});

test('a limit of locked memory that cannot be lifted: not locked, since a stack could not grow past it', timeout, () => {
  const { told, seen } = run(['--memlock=4194304:4194304'], ['sys_resource', 'ipc_lock']);
  assert.deepEqual([told.locked, seen.locked], [false, false]);
  assert.match(told.because ?? '', /setrlimit RLIMIT_MEMLOCK: .*\(EPERM\)/);
});

test('what is no priority is refused before anything is done', () => {
  for (const priority of [0, 100, 1.5, NaN]) assert.throws(() => kernelNative().realtime(priority), NativeMisuseError);
});
