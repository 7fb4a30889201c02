/** One pulse per run directory, and one per network namespace: a second one would remove all that the first one has. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PulseAlreadyRuns, PulseElsewhere } from './errors.ts';

/** A database that nobody refers to is closed, and its lock gone, whenever garbage is collected. */
const held = new Set<DatabaseSync>();

/** Until what it returns is called, or the process ends however it ends: SQLite takes fcntl(2) locks. Throws PulseAlreadyRuns. */
export function lockRunDirectory(runDir: string): () => void {
  const file = new DatabaseSync(join(runDir, 'pulse.lock'), { timeout: 0 });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    throw new PulseAlreadyRuns(runDir, error);
  }
  held.add(file);
  return () => {
    held.delete(file);
    file.close();
  };
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
