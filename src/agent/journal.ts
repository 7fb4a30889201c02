/**
 * What this host has decided about moves into it, one JSON record per line, synced before the decision counts. A record is
 * the commit point of a move (`committed`) or the promise never to run its VM (`aborted`); there is at most one per move.
 */
import { closeSync, constants, fdatasyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { GodwitError } from '../base/error.ts';

export type Decision = 'committed' | 'aborted';

export class JournalConflict extends GodwitError {
  constructor(move: string, before: Decision, wanted: Decision) {
    super('AGENT_JOURNAL_CONFLICT', `Move ${move} was ${before} on this host already and cannot be ${wanted} any more`);
  }
}

/** Nobody can say any more what stands on the disk: until the file has been opened anew, no decision can be made. */
export class JournalBroken extends GodwitError {
  constructor(cause: unknown) {
    super('AGENT_JOURNAL_BROKEN', 'A record could not be written to the journal of moves: see to the disk, then restart the agent', { cause });
  }
}

export class Journal {
  readonly #fd: number;
  readonly #decisions: Map<string, Decision>;
  #broken: JournalBroken | undefined;

  /** Opens or makes the file. A torn last line (a crash in the middle of a write) was never synced and does not count. */
  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600);
    this.#decisions = read(readFileSync(path, 'utf8'));
    // What was read may have come from memory alone: on the disk before anybody acts on it.
    fdatasyncSync(this.#fd);
    const directory = openSync(dirname(path), constants.O_RDONLY);
    try {
      fdatasyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }

  decision(move: string): Decision | undefined {
    return this.#decisions.get(move);
  }

  /**
   * On the disk when it returns. Writing the same decision again is harmless; the other one throws JournalConflict. Throws
   * JournalBroken when it could not be written, and from then on.
   */
  decide(move: string, vm: string, decision: Decision): void {
    if (this.#broken) throw this.#broken;
    const before = this.#decisions.get(move);
    if (before === decision) return;
    if (before) throw new JournalConflict(move, before, decision);
    // The newline in front ends a line that a crash may have torn.
    const record = Buffer.from(`\n${JSON.stringify({ move, vm, decision })}\n`);
    try {
      for (let written = 0; written < record.length; ) written += writeSync(this.#fd, record, written);
      fdatasyncSync(this.#fd);
    } catch (error) {
      this.#broken = new JournalBroken(error);
      throw this.#broken;
    }
    this.#decisions.set(move, decision);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function read(contents: string): Map<string, Decision> {
  const decisions = new Map<string, Decision>();
  for (const line of contents.split('\n')) {
    try {
      const record: unknown = JSON.parse(line);
      if (typeof record !== 'object' || record === null || !('move' in record) || !('decision' in record)) continue;
      if (typeof record.move === 'string' && (record.decision === 'committed' || record.decision === 'aborted')) {
        decisions.set(record.move, record.decision);
      }
    } catch {
      continue; // empty or torn
    }
  }
  return decisions;
}
