/** A real guest's shell, through server and agent: before a move, after it, and with nobody looking. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { labAccelerator, labVm } from '../../src/lab/guest-image.ts';
import { vmDeclaration } from '../../src/lab/lab-declarations.ts';
import { runDirectory } from '../../src/vm/run-directory.ts';
import { LONG, ended, onlyQemu, sharedCluster } from './cluster-fixture.ts';

const cluster = sharedCluster();

/** What the shell answers to each line, as arithmetic, so that the echo of what was typed is not taken for it. */
async function says(port: Duplex, typed: string, answer: string): Promise<void> {
  let all = '';
  const take = (bytes: Buffer): void => void (all += bytes.toString());
  port.on('data', take);
  try {
    // A shell that has not begun to read loses nothing: the port keeps it.
    port.write(`${typed}\n`);
    await cluster().until(`the guest says ${answer}, not only ${JSON.stringify(all)}`, async () => all.includes(answer), LONG);
  } finally {
    port.off('data', take);
  }
}

test('the shell of a guest, and the same shell after it has moved', { timeout: 3 * LONG }, async () => {
  const { api } = cluster();
  // Without NICs: this init brings none up, and a queue that nobody reads is no guest to be moved.
  const made = labVm({ name: 'con', networks: [], number: 1, accelerator: await labAccelerator() });
  const vm = { ...made, boot: { ...(made.boot ?? assert.fail()), commandLine: 'console=ttyS0 quiet rdinit=/bin/busybox -- sh' } };
  const runs = (host: string) => async (): Promise<boolean> => {
    const { status } = await api.get('Vm', 'con');
    return status?.state === 'running' && status.placement?.host === host && status.migration === undefined;
  };
  const log = (host: string): string => readFileSync(runDirectory(qemuDirectory(host)).serialLog, 'utf8');
  const qemuDirectory = (host: string): string => {
    const { pid } = onlyQemu(cluster(), vm);
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const pidFile = words[words.indexOf('-pidfile') + 1] ?? assert.fail();
    assert.ok(pidFile.startsWith(cluster().runDir(host)));
    return join(pidFile, '..');
  };
  await api.apply([vmDeclaration(vm, { host: 'h1' })]);
  await cluster().until('it runs', runs('h1'), LONG);
  // Nobody looks, and all is in the log.
  await cluster().until('the shell is there', async () => log('h1').includes('# '), LONG);

  const before = await api.console('con');
  await says(before, 'kept=17; echo gw-$((6 * 7))', 'gw-42');
  await assert.rejects(api.console('con'), { code: 'CONTROL_NO_CONSOLE' });
  assert.ok(log('h1').includes('gw-42'));
  const closed = once(before, 'close');
  before.resume();
  const { name } = await api.migrate({ vm: 'con', to: 'h2' });
  const { status } = await ended(cluster(), name);
  assert.deepEqual(status?.end, { kind: 'moved' });
  await closed;

  await cluster().until('it runs there', runs('h2'), LONG);
  const after = await api.console('con');
  await says(after, 'echo gw-$((kept + 1))', 'gw-18');
  assert.ok(log('h2').includes('gw-18'));
  after.destroy();
});
