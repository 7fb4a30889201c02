import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AgentAlreadyJoined, AgentAlreadyRuns, AgentNotJoined } from '../../../src/agent/errors.ts';
import { lockStateDirectory } from '../../../src/agent/lock.ts';
import { agentDir, loadMembership, runJoin } from '../../../src/agent/membership.ts';
import { SelfMeasure } from '../../../src/agent/self-measure.ts';
import { ms } from '../../../src/base/units.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'gwa-main-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('one agent per state directory', (t) => {
  const path = folder(t);
  const unlock = lockStateDirectory(path);
  assert.throws(() => lockStateDirectory(path), (error) => error instanceof AgentAlreadyRuns && error.code === 'AGENT_ALREADY_RUNS');
  lockStateDirectory(folder(t))();
  unlock();
  lockStateDirectory(path)();
});

test('the lock of another process holds, and is gone with it even when it is killed', async (t) => {
  const path = folder(t);
  const lock = JSON.stringify(join(import.meta.dirname, '../../../src/agent/lock.ts'));
  const holder = spawn(process.execPath, ['-e', `import(${lock}).then((m) => { m.lockStateDirectory(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000); })`], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  assert.throws(() => lockStateDirectory(path), AgentAlreadyRuns);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  lockStateDirectory(path)();
});

test('a host that has not joined is told so; one that has does not join again', async (t) => {
  const stateDir = folder(t);
  await assert.rejects(loadMembership(stateDir, ms(Date.now())), AgentNotJoined);
  const asked = { url: 'https://127.0.0.1:1', token: 'gwt1.a.b.c', name: 'host-a', address: '10.0.0.1', stateDir };
  await assert.rejects(runJoin(asked), { code: 'TRUST_TOKEN_MALFORMED' });
  writeFileSync(join(agentDir(stateDir), 'agent.json'), '{"name":"host-a"');
  await assert.rejects(loadMembership(stateDir, ms(Date.now())), AgentNotJoined);
  writeFileSync(join(agentDir(stateDir), 'agent.json'), '{"name":"host-a","server":"https://10.0.0.9:7443","address":"10.0.0.1"}');
  await assert.rejects(runJoin(asked), AgentAlreadyJoined);
  await assert.rejects(loadMembership(stateDir, ms(Date.now())), { code: 'TRUST_NO_IDENTITY' });
});

test('the agent sees its own stalls', async () => {
  const measure = new SelfMeasure();
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 250));
  await turn();
  measure.read();
  const until = performance.now() + 300;
  while (performance.now() < until) continue;
  await turn();
  const { lateness, cpuTime, residentMemory } = measure.read();
  measure.close();
  assert.ok(lateness !== undefined && lateness > 150, `${lateness}`);
  assert.ok(cpuTime >= 300 && residentMemory > 1e7);
});
