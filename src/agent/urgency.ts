/**
 * Precedence for the threads that a switchover waits for, while it does: this one, and the main loops of both QEMUs, which read
 * the taps, take our commands and load the guest. On a busy host they would stand in line behind the guests' own processors.
 */
import { constants, getPriority, setPriority } from 'node:os';

/** Raises the main thread of a process, or the calling one (0), until what it returns is called. Without the right to, does nothing. */
export function raise(pid: number): () => void {
  try {
    const before = getPriority(pid);
    setPriority(pid, constants.priority.PRIORITY_HIGHEST);
    return () => {
      try {
        setPriority(pid, before);
      } catch {
        // It has ended.
      }
    };
  } catch {
    return () => undefined;
  }
}
