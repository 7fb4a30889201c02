/** One pulse per run directory. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PulseAlreadyRuns } from './errors.ts';

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
