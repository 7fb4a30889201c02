/**
 * What this host has decided about moves, one JSON record per line, synced before it counts.
 *
 * Of moves into it, the commit point (`committed`) or the promise never to run the VM (`aborted`); at most one of them per move.
 * Of moves away from it, that the destination has leave to commit (`permitted`): from then on only the destination's word counts.
 */
import { GodwitError } from '../base/error.ts';
import { type Disk, DiskFull } from '../host/disk.ts';

export type Decision = 'committed' | 'aborted';

export class JournalConflict extends GodwitError {
  constructor(move: string, before: Decision, wanted: Decision) {
    super('MOVE_JOURNAL_CONFLICT', `Move ${move} was ${before} on this host already and cannot be ${wanted} any more`);
  }
}

/** Nobody can say any more what stands on the disk: until the file has been opened anew, no decision can be made. */
export class JournalBroken extends GodwitError {
  constructor(cause: unknown) {
    super('MOVE_JOURNAL_BROKEN', 'A record could not be written to the journal of moves: see to the disk, then restart the agent', { cause });
  }
}

export class Journal {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #decisions: Map<string, Decision>;
  readonly #permits: Set<string>;
  #broken: JournalBroken | undefined;

  /**
   * A torn last line (a crash in the middle of a write) was never synced and does not count. What is read the disk has synced, so
   * it may be acted upon. A full disk does not keep a journal from being read.
   */
  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
    const contents = disk.read(path);
    const { decisions, permits } = read(contents ? Buffer.from(contents).toString('utf8') : '');
    this.#decisions = decisions;
    this.#permits = permits;
  }

  decision(move: string): Decision | undefined {
    return this.#decisions.get(move);
  }

  /** The source has allowed the destination to commit. */
  permitted(move: string): boolean {
    return this.#permits.has(move);
  }

  /** On the disk when it returns. Throws as `decide` does. */
  permit(move: string, vm: string): void {
    if (this.#permits.has(move)) return;
    this.#append({ move, vm, permitted: true });
    this.#permits.add(move);
  }

  /**
   * On the disk when it returns. Writing the same decision again is harmless; the other one throws JournalConflict. Throws
   * DiskFull, and then nothing is decided, or JournalBroken, from then on.
   */
  decide(move: string, vm: string, decision: Decision): void {
    const before = this.#decisions.get(move);
    if (before === decision) return;
    if (before) throw new JournalConflict(move, before, decision);
    this.#append({ move, vm, decision });
    this.#decisions.set(move, decision);
  }

  #append(entry: object): void {
    if (this.#broken) throw this.#broken;
    // The newline in front ends a line that a crash may have torn.
    const record = Buffer.from(`\n${JSON.stringify(entry)}\n`);
    try {
      this.#disk.append(this.#path, record);
    } catch (error) {
      // Of a record for which there was no room nothing is left.
      if (error instanceof DiskFull) throw error;
      this.#broken = new JournalBroken(error);
      throw this.#broken;
    }
  }
}

function read(contents: string): { decisions: Map<string, Decision>; permits: Set<string> } {
  const decisions = new Map<string, Decision>();
  const permits = new Set<string>();
  for (const line of contents.split('\n')) {
    try {
      const record: unknown = JSON.parse(line);
      if (typeof record !== 'object' || record === null || !('move' in record) || typeof record.move !== 'string') continue;
      if ('permitted' in record && record.permitted === true) permits.add(record.move);
      if ('decision' in record && (record.decision === 'committed' || record.decision === 'aborted')) decisions.set(record.move, record.decision);
    } catch {
      continue; // empty or torn
    }
  }
  return { decisions, permits };
}
