/**
 * What an embedded store remembers, and how transactions change it. No I/O.
 *
 * A Draft is a group of transactions decided one after the other on top of a State that it does not touch: either all of it is kept
 * and accepted, or the State stays as it was.
 */
import { type Milliseconds } from '../base/units.ts';
import { leaseGone } from './store-errors.ts';
import type { Change, ChangeBatch, Compare, Entry, LeaseId, Outcome, Revision, Transaction } from './store.ts';

export class State {
  revision: Revision = 0;
  /** Leases ever granted: their names are never used again. */
  grants = 0;
  readonly entries = new Map<string, Entry>();
  readonly leases = new Map<LeaseId, Milliseconds>();
  /** The newest batches, one per revision without a gap; the last is of `revision`. */
  readonly history: ChangeBatch[] = [];
  readonly historyLimit: number;

  /** @param historyLimit How many revisions of history are kept, at least 1. */
  constructor(historyLimit: number) {
    this.historyLimit = historyLimit;
  }

  /** The oldest revision that a watch can begin at. */
  get oldest(): Revision {
    return this.revision - this.history.length + 1;
  }

  accept(draft: Draft): void {
    this.revision = draft.revision;
    this.grants = draft.grants;
    for (const [key, entry] of draft.entries) {
      if (entry) this.entries.set(key, entry);
      else this.entries.delete(key);
    }
    for (const [lease, ttl] of draft.granted) this.leases.set(lease, ttl);
    for (const lease of draft.ended) this.leases.delete(lease);
    this.history.push(...draft.batches);
    this.history.splice(0, this.history.length - this.historyLimit);
  }
}

export class Draft {
  readonly #state: State;
  readonly #lives: (lease: LeaseId) => boolean;
  /** What became of each key; undefined: deleted. */
  readonly entries = new Map<string, Entry | undefined>();
  readonly granted = new Map<LeaseId, Milliseconds>();
  readonly ended = new Set<LeaseId>();
  readonly batches: ChangeBatch[] = [];

  /** @param lives Whether a lease of the state still has time left. */
  constructor(state: State, lives: (lease: LeaseId) => boolean) {
    this.#state = state;
    this.#lives = lives;
  }

  get revision(): Revision {
    return this.#state.revision + this.batches.length;
  }

  get grants(): number {
    return this.#state.grants + this.granted.size;
  }

  get empty(): boolean {
    return this.batches.length + this.granted.size + this.ended.size === 0;
  }

  get(key: string): Entry | undefined {
    return this.entries.has(key) ? this.entries.get(key) : this.#state.entries.get(key);
  }

  /** Throws StoreError `STORE_LEASE_GONE` before anything was changed. */
  txn({ compare = [], operations }: Transaction): Outcome {
    const failed = compare.find((one) => !this.#holds(one));
    if (failed) return { ok: false, failed, revision: this.revision };
    const revision = this.revision + 1;
    const changes: Change[] = [];
    for (const operation of operations) {
      if ('put' in operation) {
        const { put: key, value, lease } = operation;
        if (lease !== undefined && !this.#granted(lease)) throw leaseGone(lease);
        const entry = { key, value, modRevision: revision, createRevision: this.get(key)?.createRevision ?? revision };
        changes.push({ kind: 'put', entry: lease === undefined ? entry : { ...entry, lease } });
      } else if (this.get(operation.delete)) changes.push({ kind: 'delete', key: operation.delete, revision });
    }
    this.#write(changes);
    return { ok: true, revision: this.revision };
  }

  grant(ttl: Milliseconds): LeaseId {
    const lease = `lease-${this.grants + 1}`;
    this.granted.set(lease, ttl);
    return lease;
  }

  /** Deletes the lease and, as one transaction, its keys in their order. Throws StoreError `STORE_LEASE_GONE`. */
  end(lease: LeaseId): void {
    if (!this.#state.leases.has(lease) || this.ended.has(lease)) throw leaseGone(lease);
    this.ended.add(lease);
    const keys = [...new Set([...this.#state.entries.keys(), ...this.entries.keys()])].filter((key) => this.get(key)?.lease === lease);
    const revision = this.revision + 1;
    this.#write(keys.sort().map((key) => ({ kind: 'delete', key, revision })));
  }

  #write(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const change of changes) {
      if (change.kind === 'put') this.entries.set(change.entry.key, change.entry);
      else this.entries.set(change.key, undefined);
    }
    this.batches.push({ revision: this.revision + 1, changes });
  }

  /** A lease granted by this very draft is known to nobody yet, so only those of the state count. */
  #granted(lease: LeaseId): boolean {
    return this.#state.leases.has(lease) && !this.ended.has(lease) && this.#lives(lease);
  }

  #holds(compare: Compare): boolean {
    const entry = this.get(compare.key);
    return 'value' in compare ? entry?.value === compare.value : (entry?.modRevision ?? 0) === compare.modRevision;
  }
}
