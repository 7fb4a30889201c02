/**
 * store/: what the cluster remembers. One contract after etcd's v3 API (get, list, transaction with compare, watch from a revision,
 * lease), held by one suite (test/contract/store.ts): in memory, embedded (node:sqlite), later etcd.
 *
 * Keys are paths of printable ASCII, `/vms/web-1`; values are JSON text. Every successful transaction that writes takes one new
 * revision; revisions rise by one, start at 1, and outlive restarts. What a transaction's promise has said is on the disk.
 */
import type { Milliseconds } from '../base/units.ts';

export type Revision = number;

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** Of its last change, and of its creation. */
  readonly modRevision: Revision;
  readonly createRevision: Revision;
  readonly lease?: LeaseId;
}

export type LeaseId = string;

/** All must hold, or nothing is written. 0 is the revision of a key that does not exist. */
export type Compare =
  | { readonly key: string; readonly modRevision: Revision }
  | { readonly key: string; readonly value: string };

export type Operation =
  | { readonly put: string; readonly value: string; readonly lease?: LeaseId }
  | { readonly delete: string };

/** No two operations of one key. To delete a key that does not exist is no change, and takes no revision. */
export interface Transaction {
  readonly compare?: readonly Compare[];
  readonly operations: readonly Operation[];
}

export type Outcome =
  | { readonly ok: true; readonly revision: Revision }
  /** The comparison that did not hold, the first of them. */
  | { readonly ok: false; readonly failed: Compare; readonly revision: Revision };

export type Change =
  | { readonly kind: 'put'; readonly entry: Entry }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: Revision };

/** All changes of one transaction come in one batch. */
export interface ChangeBatch {
  readonly revision: Revision;
  readonly changes: readonly Change[];
}

export interface Listing {
  /** In the order of their keys (bytes). */
  readonly entries: readonly Entry[];
  /** The state they are all of. A watch from `revision + 1` misses nothing and repeats nothing. */
  readonly revision: Revision;
}

/**
 * Fails with StoreError: `STORE_COMPACTED` (a watch from a revision whose history is gone, or that was read too slowly: list anew),
 * `STORE_LEASE_GONE`, `STORE_FULL` (the disk; nothing of the transaction was kept), `STORE_CLOSED`, `STORE_MISUSE` (a bug), and
 * `STORE_CORRUPT`, `STORE_UNAVAILABLE`: whether a transaction was kept that failed with one of these shows only after a restart.
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>;
  /** All keys that begin with `prefix`. */
  list(prefix: string): Promise<Listing>;
  txn(transaction: Transaction): Promise<Outcome>;
  /** Changes of keys that begin with `prefix`, from revision `from` (inclusive) on, in order, none left out, until aborted. */
  watch(prefix: string, from: Revision, signal: AbortSignal): AsyncIterable<ChangeBatch>;
  /**
   * Keys put under a lease are deleted when it ends, in one batch. A lease ends when `ttl` has passed since its grant or last
   * `keepAlive`, or the store's last start; never before. A put under no lease takes a key out of its lease.
   */
  grant(ttl: Milliseconds): Promise<LeaseId>;
  keepAlive(lease: LeaseId): Promise<void>;
  revoke(lease: LeaseId): Promise<void>;
  close(): Promise<void>;
}
