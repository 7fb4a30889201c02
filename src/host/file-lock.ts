/** A lock on a file, that ends with its process however that ends. */
import { DatabaseSync } from 'node:sqlite';

/** A database that nobody refers to is closed, and its lock gone, whenever garbage is collected. */
const held = new Set<DatabaseSync>();

/**
 * Held until what it returns is called, or the process ends: SQLite takes fcntl(2) locks, which Node itself cannot, which the kernel gives
 * up with the process, and which child processes do not inherit. Makes the file. Throws what `refused` makes of the cause: another has it.
 */
export function lockFile(path: string, refused: (cause: unknown) => Error): () => void {
  const file = new DatabaseSync(path, { timeout: 0 });
  try {
    file.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    file.close();
    throw refused(error);
  }
  held.add(file);
  return () => {
    held.delete(file);
    file.close();
  };
}
