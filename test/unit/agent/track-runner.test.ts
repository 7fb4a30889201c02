/** Processes and scripts that routers hang on. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { scriptsOf } from '../../../src/agent/script.ts';
import { TrackRunner, procProcesses } from '../../../src/agent/track-runner.ts';
import { silentLog } from '../../../src/base/log.ts';
import { ms } from '../../../src/base/units.ts';
import type { RouterPlan, Track } from '../../../src/model/virtual-router.ts';
import { trackKey } from '../../../src/protocol/vrrp-host.ts';
import { ManualClock, drain } from './manual-clock.ts';

const plan = (...track: Track[]): RouterPlan => ({
  name: 'gw', vrid: 51, version: 3, family: 4, device: 'eth0', addresses: [{ address: '192.0.2.1', prefixLength: 24 }], priority: 100,
  interval: 1000, virtualMac: true, preempt: true, preemptDelay: 0, accept: true, checksum: 'pseudo-header', peers: [], minTtl: 255,
  announce: { count: 5, interval: 100 }, track,
});
const script: Track = { kind: 'script', script: 'check', interval: 1000, timeout: 500, rise: 2, fall: 3 };

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}

async function until<T>(look: () => T | undefined): Promise<T> {
  for (let found; ; await setImmediate()) if ((found = look()) !== undefined) return found;
}

function runner(verdicts: () => boolean): { runner: TrackRunner; clock: ManualClock; told: Readonly<Record<string, boolean>>[]; pids: Map<number, string>; searches: () => number } {
  const clock = new ManualClock();
  const told: Readonly<Record<string, boolean>>[] = [];
  const pids = new Map<number, string>();
  let searches = 0;
  const made: TrackRunner = new TrackRunner({
    clock, log: silentLog, changed: () => told.push(made.known()),
    run: async () => {
      if (!verdicts()) throw new Error('no');
    },
    processes: {
      find: (comm) => {
        searches++;
        return [...pids].find(([, name]) => name === comm)?.[0];
      },
      is: (pid, comm) => pids.get(pid) === comm,
    },
  });
  return { runner: made, clock, told, pids, searches: () => searches };
}

test('a script: the first word counts at once, then rise and fall', async () => {
  let good = true;
  const { runner: tracks, clock, told } = runner(() => good);
  tracks.want([plan(script)]);
  const key = trackKey(script);
  await drain();
  assert.deepEqual(told, [{ [key]: true }]);
  good = false;
  await clock.advance(2000);
  assert.equal(told.length, 1, 'twice wrong is not yet down');
  await clock.advance(1000);
  assert.deepEqual(told.at(-1), { [key]: false });
  good = true;
  await clock.advance(1000);
  assert.equal(told.length, 2);
  await clock.advance(1000);
  assert.deepEqual(told.at(-1), { [key]: true });
  await tracks.close();
});

test('a process: found, watched without a new search, gone, found again; not looked at when nobody wants it', async () => {
  const { runner: tracks, clock, told, pids, searches } = runner(() => true);
  const track: Track = { kind: 'process', process: 'nginx' };
  const key = trackKey(track);
  tracks.want([plan(track)]);
  await drain();
  assert.deepEqual(told, [{ [key]: false }]);
  pids.set(7, 'nginx');
  await clock.advance(1000);
  assert.deepEqual(told.at(-1), { [key]: true });
  const before = searches();
  await clock.advance(5000);
  assert.equal(searches(), before);
  pids.clear();
  await clock.advance(250);
  assert.deepEqual(told.at(-1), { [key]: false });
  tracks.want([]);
  pids.set(8, 'nginx');
  await clock.advance(5000);
  assert.deepEqual(tracks.known(), {});
  assert.equal(clock.sleepers, 0);
  await tracks.close();
});

test('a script that is to be looked at otherwise is, from then on; until it has spoken it counts as before', async () => {
  let good = true;
  const { runner: tracks, clock, told } = runner(() => good);
  const key = trackKey(script);
  tracks.want([plan(script)]);
  await drain();
  good = false;
  tracks.want([plan({ ...script, interval: 100, fall: 2 })]);
  assert.deepEqual(tracks.known(), { [key]: true });
  await clock.advance(100);
  assert.deepEqual(told.at(-1), { [key]: false });
  await tracks.close();
});

test('a process that has ended and was not reaped does not run', async () => {
  // The shell becomes one that never looks after its child.
  const parent = spawn('sh', ['-c', 'sleep 0.01 & exec sleep 60'], { stdio: 'ignore' });
  try {
    assert.ok(parent.pid);
    const child = await until(() => readdirSync('/proc').map(Number).find((pid) => / \(sleep\) Z /.test(statOf(pid)) && statOf(pid).includes(` Z ${parent.pid} `)));
    assert.equal(procProcesses.is(child, 'sleep'), false);
    assert.equal(procProcesses.is(parent.pid, 'sleep'), true);
  } finally {
    parent.kill('SIGKILL');
  }
});

test('a script is run only when it is root\'s alone, and is killed with what it started when it is late', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'godwit-scripts-'));
  try {
    const run = scriptsOf(directory);
    const write = (name: string, text: string, mode = 0o755): void => {
      writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(directory, name), mode);
    };
    write('good', 'exit 0');
    write('bad', 'echo "disk is full" >&2; exit 3');
    write('late', 'sleep 60');
    write('open', 'exit 0', 0o777);
    write('plain', 'exit 0', 0o644);
    symlinkSync(join(directory, 'good'), join(directory, 'link'));
    await run('good', [], ms(5000));
    const refused: readonly (readonly [string, RegExp])[] = [
      ['bad', /ended with 3: disk is full/], ['open', /chmod go-w/], ['plain', /chmod u\+x/], ['link', /no regular file/], ['none', /is not there/],
    ];
    for (const [name, words] of refused) await assert.rejects(run(name, [], ms(5000)), words, name);
    await assert.rejects(run('late', [], ms(50)), /did not end within 50 ms/);
    chmodSync(directory, 0o777);
    await assert.rejects(run('good', [], ms(5000)), /may be changed by others/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
