/** Two agents with one name: on one state directory, and on a copy of it, as when a host's disk was cloned. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { LabCluster } from '../../src/lab/cluster.ts';
import { LONG, agentFiles, sharedCluster } from './cluster-fixture.ts';
import { godwit, refused, runTiny, runsOn, stillWorks } from './bad-input-fixture.ts';
import { native } from './move-fixture.ts';

/** Of a VM of this name, wherever it has its files. */
const qemusNamed = (cluster: LabCluster, vm: string): number[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words[0]?.includes('qemu-system') && words.some((word) => word.includes(cluster.lab.directory) && word.includes(`/vms/${vm}/`));
  } catch {
    return false; // it has ended
  }
});

describe('a second agent with the same name', { timeout: 300_000 }, () => {
  const shared = sharedCluster(async (cluster) => {
    await runTiny(cluster, 'web-1', 'h2');
    await runTiny(cluster, 'web-2', 'h2');
  });

  test('on the same state directory: refused at once, in words', async () => {
    const cluster = shared();
    const said = await godwit(cluster, ['agent', '--state-dir', cluster.stateDir('h2'), '--run-dir', cluster.runDir('h2')], { at: cluster.lab.hosts[1]! });
    assert.equal(said.exit, 1);
    refused({ ...said, err: said.err.split('\n').filter((line) => !line.startsWith('{')).join('\n') }, { exit: 1, code: 'AGENT_ALREADY_RUNS', says: /end it first, or give this one a state directory of its own/ });
    await runsOn(cluster, 'web-1', 'h2');
  });

  for (const copy of ['of the identity alone', 'of all it knows'] as const) {
    test(`on another machine, with a copy ${copy}: no VM is started twice, none is told to be dead, and it is told of`, async () => {
      const cluster = shared();
      const pids = [...qemusNamed(cluster, 'web-1'), ...qemusNamed(cluster, 'web-2')];
      assert.equal(pids.length, 2);
      const [name, vm] = copy === 'of all it knows' ? ['all', 'web-1'] as const : ['id', 'web-2'] as const;
      const twins = async () => (await cluster.api.list('Event')).map(({ spec }) => spec).filter(({ reason }) => reason === 'AgentDuplicate');
      const before = (await twins()).length;
      const stateDir = `${cluster.stateDir('h2')}-${name}`;
      cpSync(agentFiles(cluster, 'h2'), join(stateDir, 'agent'), { recursive: true, filter: (path) => name === 'all' ? !path.endsWith('/lock') : !/\/(lock|vms|moves|ended|moves\.journal)$/.test(path) });
      const log = join(cluster.lab.directory, `twin-${name}.log`);
      const twin = startTwin(cluster, stateDir, join(cluster.lab.directory, `twin-${name}`), log);
      try {
        await cluster.until('somebody is told of it', async () => (await twins()).length > before, LONG);
        // Whatever would be done to them is done by now: the server has heard both several times.
        assert.deepEqual([...qemusNamed(cluster, 'web-1'), ...qemusNamed(cluster, 'web-2')], pids);
        for (const one of ['web-1', 'web-2']) {
          const { status } = await cluster.api.get('Vm', one);
          assert.ok(status?.state === 'running', `${one} is ${status?.state}: ${status?.reason}`);
        }
        assert.match((await twins()).at(-1)?.message ?? '', /Two agents report as h2: .*Two machines must not share one identity/);
        assert.match(readFileSync(log, 'utf8'), /CONTROL_AGENT_DUPLICATE/);
        assert.doesNotMatch(readFileSync(cluster.log('h2'), 'utf8'), /CONTROL_AGENT_DUPLICATE/);
      } finally {
        await ended(twin);
      }
      await cluster.until('h2 is ready', async () => (await cluster.api.get('Host', 'h2')).status?.state === 'ready', LONG);
      await stillWorks(cluster, vm);
    });
  }
});

function startTwin(cluster: LabCluster, stateDir: string, runDir: string, log: string): ChildProcess {
  const out = openSync(log, 'a');
  try {
    const words = [join(import.meta.dirname, '../../src/main.ts'), 'agent', '--state-dir', stateDir, '--run-dir', runDir];
    return native.inNetns(cluster.lab.server!.host.netns, () => spawn(process.execPath, words, { stdio: ['ignore', out, out] }));
  } finally {
    closeSync(out);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
