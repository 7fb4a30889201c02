/** One agent per state directory. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AgentAlreadyRuns } from './errors.ts';

/** A database that nobody refers to is closed, and its lock gone, whenever garbage is collected. */
const held = new Set<DatabaseSync>();

/**
 * Held until what it returns is called, or the process ends however it ends: SQLite takes fcntl(2) locks, which Node itself cannot,
 * and which the kernel gives up with the process; QEMUs do not inherit them. Throws AgentAlreadyRuns.
 */
export function lockStateDirectory(stateDir: string): () => void {
  mkdirSync(join(stateDir, 'agent'), { recursive: true, mode: 0o700 });
  const file = new DatabaseSync(join(stateDir, 'agent', 'lock'), { timeout: 0 });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    throw new AgentAlreadyRuns(stateDir, error);
  }
  held.add(file);
  return () => {
    held.delete(file);
    file.close();
  };
}
