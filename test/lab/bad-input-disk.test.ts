/** A full disk under the server's store and under an agent: refused in words, nothing half done, and with room again all goes on. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { LabCluster } from '../../src/lab/cluster.ts';
import { LONG, qemus, sharedCluster } from './cluster-fixture.ts';
import { changesNothing, godwit, refused, runTiny, runsOn, stillWorks } from './bad-input-fixture.ts';
import { fillDisk } from './fill-disk.ts';

/** The state directory moves to a disk of 16 MiB while `daemon` is down; `use` gets what fills it, and it is moved back afterwards. */
async function onSmallDisk(cluster: LabCluster, who: string, stop: () => Promise<void>, start: () => Promise<void>, use: (fill: () => void, free: () => void) => Promise<void>): Promise<void> {
  const state = cluster.stateDir(who);
  const copy = mkdtempSync(join(tmpdir(), 'gw-disk-'));
  const filler = join(state, 'filler');
  await stop();
  cpSync(state, copy, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'gw-disk', state]);
  try {
    cpSync(copy, state, { recursive: true });
    await start();
    await use(() => fillDisk(filler), () => rmSync(filler, { force: true }));
    await stop();
    rmSync(copy, { recursive: true });
    cpSync(state, copy, { recursive: true });
  } finally {
    await stop();
    execFileSync('umount', ['-l', state]);
    cpSync(copy, state, { recursive: true });
    rmSync(copy, { recursive: true });
  }
  await start();
}

describe('full disks', { timeout: 300_000 }, () => {
  const shared = sharedCluster((cluster) => runTiny(cluster, 'web-1', 'h1'));

  test('under the server: what would be written is refused, what is read is answered, VMs run on', async () => {
    const cluster = shared();
    await onSmallDisk(cluster, 'server', () => cluster.end('server'), () => cluster.startServer(), async (fillUp, free) => {
      await runsOn(cluster, 'web-1', 'h1');
      fillUp();
      // Room that the store has of its own is used up: some small writes may still go.
      const big = `kind: Network\nname: big\nlabels: {${Array.from({ length: 20_000 }, (_, i) => `l${i}: ${'x'.repeat(15)}`).join(', ')}}\nspec: {bridge: br-a}\n`;
      await changesNothing(cluster, async () => {
        refused(await godwit(cluster, ['apply', '-f', '-'], { stdin: big }), { exit: 1, code: 'STORE_FULL', says: /disk of the store .* is full\. Nothing was changed; make room, then try again/ });
        assert.equal((await godwit(cluster, ['get', 'vms', '-o', 'json'])).exit, 0);
      });
      assert.deepEqual(qemus(cluster, { name: 'web-1' }).map(({ host }) => host), ['h1']);
      free();
      await cluster.until('it goes on by itself', async () => (await godwit(cluster, ['apply', '-f', '-'], { stdin: 'kind: Network\nname: small\nspec: {bridge: br-a}\n' })).exit === 0, LONG);
      await stillWorks(cluster, 'web-1');
    });
    await cluster.until('the agents report again', async () => (await cluster.api.list('Host')).every(({ status }) => status?.state === 'ready'), LONG);
  });

  for (const full of ['destination', 'source'] as const) {
    test(`under the ${full}'s agent: the move goes back, the VM runs on; with room it goes`, async () => {
      const cluster = shared();
      const { status } = await cluster.api.get('Vm', 'web-1');
      const from = status?.placement?.host ?? '';
      const to = from === 'h1' ? 'h2' : 'h1';
      const host = full === 'source' ? from : to;
      const ready = async (): Promise<void> => {
        const before = (await cluster.api.get('Host', host)).status?.agent.instance;
        cluster.startAgent(host);
        await cluster.until(`${host} is ready`, async () => {
          const { status: now } = await cluster.api.get('Host', host);
          return now?.state === 'ready' && now.agent.instance !== before && (await cluster.api.get('Vm', 'web-1')).status?.state === 'running';
        }, LONG);
      };
      await onSmallDisk(cluster, host, () => cluster.end(`agent ${host}`), ready, async (fillUp, free) => {
        fillUp();
        const said = await godwit(cluster, ['migrate', 'web-1', '--to', to, '--wait']);
        assert.equal(said.exit, 1, said.err);
        assert.match(said.err, new RegExp(`web-1 runs on ${from}\\. Why: .*(HOST_DISK_FULL|disk .*full).*\\[CLI_MOVE_FAILED\\]`), said.err);
        await runsOn(cluster, 'web-1', from);
        assert.deepEqual(qemus(cluster, { name: 'web-1' }).map((qemu) => qemu.host), [from]);
        // What is on a full disk is started neither.
        await cluster.api.apply([{ kind: 'Vm', name: `late-${full}`, spec: { cpus: 1, memory: '64MiB', accelerator: 'tcg', cpuModel: 'Nehalem', host } }]);
        await cluster.until('it is said why it does not start', async () => /HOST_DISK_FULL/.test((await cluster.api.get('Vm', `late-${full}`)).status?.reason ?? ''), LONG);
        free();
        await stillWorks(cluster, 'web-1');
        await cluster.api.start(`late-${full}`);
        await runsOn(cluster, `late-${full}`, host);
      });
    });
  }
});
