/** What the daemons have said is on the disk: by the order of their system calls, as strace saw it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LabCluster } from '../../src/lab/cluster.ts';
import { moved, runVm, sharedCluster } from './cluster-fixture.ts';
import { type Call, readStrace } from './strace-log.ts';

const cluster = sharedCluster();
const WRITES = 'write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync';

/** The calls of a daemon while `during` goes on. */
async function traced(of: LabCluster, pid: number, name: string, during: () => Promise<unknown>): Promise<Call[]> {
  const log = join(of.lab.directory, `${name}.strace`);
  const strace: ChildProcess = spawn('strace', ['-f', '-y', '-xx', '-s', '100000', '-e', `trace=${WRITES}`, '-o', log, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    // It says so when it is attached.
    await once(strace.stderr ?? strace, 'data');
    await during();
  } finally {
    const exit = once(strace, 'exit');
    strace.kill('SIGINT');
    await exit;
  }
  const calls: Call[] = [];
  for await (const call of readStrace(log)) calls.push(call);
  return calls;
}

const says = (call: Call, text: string): boolean => call.strings.some((s) => s.includes(text));
const syncs = ({ name }: Call): boolean => name === 'fsync' || name === 'fdatasync';

test('the destination syncs the record of the commit before it lets the guest run', async () => {
  const it = cluster();
  const vm = await runVm(it, 'synced', 20, 'h1');
  const calls = await traced(it, it.pid('agent h2'), 'h2', () => moved(it, vm, 'h2'));
  const written = calls.findIndex((call) => says(call, '"decision":"committed"') && call.path.endsWith('moves.journal'));
  const synced = calls.findIndex((call, i) => i > written && syncs(call) && call.path.endsWith('moves.journal'));
  const cont = calls.findIndex((call) => says(call, '"execute":"cont"'));
  assert.ok(written >= 0 && synced > written && cont > synced, `record ${written}, sync ${synced}, cont ${cont}`);
});

test('the server syncs a declaration before it answers', async () => {
  const it = cluster();
  const calls = await traced(it, it.pid('server'), 'server', () => it.api.apply([{ kind: 'Network', name: 'durable', spec: { bridge: 'br-d' } }]));
  const written = calls.findIndex((call) => says(call, '/networks/durable') && call.path.endsWith('store.db-wal'));
  const synced = calls.findIndex((call, i) => i > written && syncs(call) && call.path.endsWith('store.db-wal'));
  const answered = calls.findIndex((call) => says(call, '"change":"created"') && call.path.startsWith('socket:'));
  assert.ok(written >= 0 && synced > written && answered > synced, `written ${written}, sync ${synced}, answer ${answered}`);
});

test('the kept log of a daemon is JSON, line by line', async () => {
  const it = cluster();
  const log = it.log('h1');
  assert.ok(existsSync(log));
  for (const line of readFileSync(log, 'utf8').split('\n').filter((l) => l !== '')) assert.equal(typeof JSON.parse(line), 'object');
});
