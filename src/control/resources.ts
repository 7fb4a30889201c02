/** Records as the API shows them. */
import type { ResourceOf } from '../api/api.ts';
import type { Kind } from '../model/resource.ts';
import type { Liveness } from './liveness.ts';
import type { HostRecord, MigrationRecord, Row, Table, Tables } from './records.ts';

export const tableOf = { Host: 'hosts', Network: 'networks', Vm: 'vms', Migration: 'migrations', Event: 'events', Policy: 'policies' } as const satisfies Record<Kind, Table>;
export type TableOf<K extends Kind> = (typeof tableOf)[K];

/** Anything with a spec, and perhaps the rest: what is private to the server is left out. */
type Shown = { readonly labels?: Readonly<Record<string, string>>; readonly spec: unknown; readonly status?: unknown };

export function resource<K extends Kind>(kind: K, { name, record, revision }: Row<Tables[TableOf<K>]>): ResourceOf[K] {
  const { labels, spec, status }: Shown = record;
  const shown = { kind, name, ...(labels === undefined ? {} : { labels }), spec, ...(status === undefined ? {} : { status }), revision };
  // The record of a kind's table has the spec and the status of that kind (records.ts).
  return shown as unknown as ResourceOf[K];
}

/** With what is newer in memory than in the store. */
export function freshened<T extends Table>(table: T, row: Row<Tables[T]>, live: Liveness): Row<Tables[T]> {
  if (table === 'hosts') {
    // By its table.
    const host = row.record as HostRecord;
    return host.status ? { ...row, record: { ...row.record, status: live.fresh(row.name, host.status) } } : row;
  }
  if (table === 'migrations') {
    // By its table.
    const { status } = row.record as MigrationRecord;
    const progress = live.progress(row.name);
    return progress && !status.end ? { ...row, record: { ...row.record, status: { ...status, progress } } } : row;
  }
  return row;
}
