/** One pulse per run directory, and one per network namespace: a second one would remove all that the first one has. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { lockFile } from '../host/file-lock.ts';
import { PulseAlreadyRuns, PulseElsewhere } from './errors.ts';

/** Until what it returns is called, or the process ends. Throws PulseAlreadyRuns. */
export function lockRunDirectory(runDir: string): () => void {
  return lockFile(join(runDir, 'pulse.lock'), (cause) => new PulseAlreadyRuns(runDir, cause));
}

/** Abstract (unix(7)): of this network namespace alone, and gone with its process. Nobody is heard on it. */
const NAME = 'godwit-pulse';

/** The same for the network namespace of this process. Rejects with PulseElsewhere. */
export async function lockNamespace(): Promise<() => void> {
  const server = createServer((socket) => socket.destroy()).unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new PulseElsewhere(NAME, cause))).listen(`\0${NAME}`, resolve);
  });
  return () => void server.close();
}
