/** One kind as it is and then as it changes, from the store's own watch. */
import { ApiError, type WatchEvent } from '../api/api.ts';
import type { Kind } from '../model/resource.ts';
import { StoreError } from '../store/store-errors.ts';
import type { Change, Store } from '../store/store.ts';
import type { Cluster } from './cluster.ts';
import { type Tables, splitKey } from './records.ts';
import { type TableOf, resource, tableOf } from './resources.ts';

/**
 * As ControlPlane.watch has it. A reader that falls too far behind before `synced` is told anew what there is; after it, it is failed
 * with ApiError STORE_COMPACTED and asks again: what it had already has ids to go on from, and a second listing, which is in no order,
 * must not be told under them.
 */
export async function* watch<K extends Kind>(store: Store, cluster: Cluster, kind: K, signal: AbortSignal, after: number | undefined): AsyncGenerator<WatchEvent<K>, void, undefined> {
  const table = tableOf[kind];
  /** What the reader has been told of; undefined while it resumes, and knows what we do not. */
  let known: Set<string> | undefined;
  for (let from = after; !signal.aborted; from = undefined) {
    let revision = from;
    if (revision === undefined || revision > cluster.revision) {
      revision = cluster.revision;
      const rows = cluster.rows<TableOf<K>>(table);
      const names = new Set(rows.map((row) => row.name));
      for (const name of known ?? []) if (!names.has(name)) yield { kind: 'delete', name, revision };
      for (const row of rows) yield { kind: 'put', resource: resource(kind, row), revision: row.revision };
      known = names;
    }
    let level = false;
    try {
      for await (const event of changes(store, cluster, kind, revision, signal)) {
        level ||= event.kind === 'synced';
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!level && error instanceof StoreError && error.code === 'STORE_COMPACTED') continue;
      throw error instanceof StoreError ? new ApiError(503, error.code, error.message, { cause: error.cause }) : error;
    }
    return;
  }
}

async function* changes<K extends Kind>(
  store: Store, cluster: Cluster, kind: K, revision: number, signal: AbortSignal,
): AsyncGenerator<WatchEvent<K>, void, undefined> {
  // Of all tables: when something has changed since, there is a batch of it at once, or the store says that its history is gone. A
  // reader must not be told `synced` before that is known.
  const batches = store.watch('/', revision + 1, signal)[Symbol.asyncIterator]();
  const first = revision < cluster.revision ? await batches.next() : undefined;
  yield { kind: 'synced', revision };
  for (let next = first ?? (await batches.next()); !next.done; next = await batches.next()) {
    for (const change of next.value.changes) {
      if (splitKey(change.kind === 'put' ? change.entry.key : change.key)?.table !== tableOf[kind]) continue;
      yield eventOf(kind, change, next.value.revision);
    }
  }
}

function eventOf<K extends Kind>(kind: K, change: Change, revision: number): WatchEvent<K> {
  if (change.kind === 'delete') return { kind: 'delete', name: splitKey(change.key)?.name ?? '', revision };
  const { key, value, modRevision, createRevision } = change.entry;
  // Nobody but this room writes these keys, and it writes records of that table.
  const record = JSON.parse(value) as Tables[TableOf<K>];
  return { kind: 'put', resource: resource(kind, { name: splitKey(key)?.name ?? '', record, revision: modRevision, created: createRevision }), revision };
}
