/** `godwit vm console`: what the guest writes to its first serial port. It is for reading: a log that QEMU keeps on the VM's own host. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Api } from '../api/api.ts';
import { ms } from '../base/units.ts';
import { runDirectory } from '../vm/run-directory.ts';
import { CliError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, say } from './io.ts';

/** Between two looks at the end of the log. */
const INTERVAL = ms(200);

/** Follows it until Ctrl-C. `runDir` is the agent's. */
export async function vmConsole(api: Api, io: Io, name: string, runDir: string): Promise<ExitCode> {
  const { status } = await api.get('Vm', name);
  let file: FileHandle;
  try {
    file = await open(runDirectory(join(runDir, 'vms', name)).serialLog, 'r');
  } catch (cause) {
    const on = status?.placement?.host;
    const where = on === undefined ? 'it has no host: start it first' : `its console is on its host: run this as root on ${on}`;
    throw new CliError(exitCodes.failed, 'CLI_NO_CONSOLE', `There is no console of ${name} here; ${where}`, { cause });
  }
  const leave = new AbortController();
  const off = io.onInterrupt(() => leave.abort());
  say(io, `The console of ${name}, for reading. Ctrl-C leaves.`);
  try {
    await follow(file, io, leave.signal);
  } finally {
    off();
    await file.close();
  }
  return exitCodes.fine;
}

async function follow(file: FileHandle, io: Io, signal: AbortSignal): Promise<void> {
  const decoder = new TextDecoder();
  const chunk = Buffer.alloc(65536);
  while (!signal.aborted) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
    if (bytesRead > 0) io.out.write(decoder.decode(chunk.subarray(0, bytesRead), { stream: true }));
    else await io.clock.sleep(INTERVAL, signal);
  }
}
