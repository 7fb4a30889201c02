/**
 * Precedence for the threads that a switchover waits for, while it does: this one, and the main loops of both QEMUs, which read
 * the taps, take our commands and load the guest. On a busy host they would stand in line behind the guests' own processors.
 */
import { constants, getPriority, setPriority } from 'node:os';

/** By pid: how many want it raised, and what it was before the first of them. Moves overlap: the last one to be done puts it back. */
const raised = new Map<number, { readonly before: number; wanted: number }>();

/** Those of node:os; a test that has not the right to raise anything brings its own. */
export interface Priorities {
  getPriority(pid: number): number;
  setPriority(pid: number, priority: number): void;
}

/** Raises the main thread of a process, or the calling one (0), until what it returns is called. Without the right to, does nothing. */
export function raise(pid: number, os: Priorities = { getPriority, setPriority }): () => void {
  let known = raised.get(pid);
  try {
    if (!known) {
      known = { before: os.getPriority(pid), wanted: 0 };
      os.setPriority(pid, constants.priority.PRIORITY_HIGHEST);
      raised.set(pid, known);
    }
  } catch {
    return () => undefined;
  }
  const { before } = known;
  known.wanted++;
  let done = false;
  return () => {
    if (done) return;
    done = true;
    if (--known.wanted > 0) return;
    raised.delete(pid);
    try {
      os.setPriority(pid, before);
    } catch {
      // It has ended.
    }
  };
}
