/** QmpClient against a real QEMU without a machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectQmp, type QmpClient } from '../../src/vm/qmp.ts';
import { qmpContract } from '../contract/qmp.ts';

qmpContract('QEMU', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'godwit-qmp-'));
  const socket = join(directory, 'qmp');
  const options = ['-M', 'none', '-nodefaults', '-display', 'none', '-qmp', `unix:${socket},server=on,wait=off`];
  const qemu = spawn('qemu-system-x86_64', options, { stdio: 'ignore' });
  const ended = once(qemu, 'exit');
  const end = async (): Promise<void> => {
    qemu.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true });
  };
  try {
    return { qmp: await connect(socket), end };
  } catch (error) {
    await end();
    throw error;
  }
});

async function connect(socket: string): Promise<QmpClient> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      return await connectQmp(socket);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await pause(5);
    }
  }
}
