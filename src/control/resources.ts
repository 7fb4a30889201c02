/** Records as the API shows them. */
import type { ResourceOf } from '../api/api.ts';
import { plurals } from '../api/http-paths.ts';
import type { Kind } from '../model/resource.ts';
import { nicsSeen } from './nics-seen.ts';
import type { Liveness } from './liveness.ts';
import type { Verdicts } from './verdicts.ts';
import type { BfdSessionRecord, HostRecord, MigrationRecord, RouterRecord, Row, Table, Tables, VmRecord } from './records.ts';

export const tableOf = plurals satisfies Readonly<Record<Kind, Table>>;
export type TableOf<K extends Kind> = (typeof tableOf)[K];

/** Anything with a spec, and perhaps the rest: what is private to the server is left out. */
type Shown = { readonly labels?: Readonly<Record<string, string>>; readonly spec: unknown; readonly status?: unknown };

export function resource<K extends Kind>(kind: K, { name, record, revision }: Row<Tables[TableOf<K>]>): ResourceOf[K] {
  const { labels, spec, status }: Shown = record;
  const shown = { kind, name, ...(labels === undefined ? {} : { labels }), spec, ...(status === undefined ? {} : { status }), revision };
  // The record of a kind's table has the spec and the status of that kind (records.ts).
  return shown as unknown as ResourceOf[K];
}

export interface Memory {
  readonly live: Liveness;
  readonly verdicts: Verdicts;
}

/** With what is newer in memory than in the store. `whole`: with what is too much for a list. */
export function freshened<T extends Table>(table: T, row: Row<Tables[T]>, { live, verdicts }: Memory, whole = false): Row<Tables[T]> {
  if (table === 'hosts') {
    // By its table.
    const host = row.record as HostRecord;
    if (!host.status) return row;
    const verdict = verdicts.of(row.name);
    const said = host.status.state === 'silent' ? undefined : live.reportOf(row.name);
    const troubles = said && [...(said.troubles ?? []), ...(said.monitor?.troubles ?? [])];
    const counters = said?.monitor?.counters;
    const status = {
      ...live.fresh(row.name, host.status), ...(verdict ? { verdict } : {}), ...(troubles && troubles.length > 0 ? { troubles } : {}), ...(whole && counters ? { counters } : {}),
    };
    return { ...row, record: { ...row.record, status } };
  }
  if (table === 'vms') {
    // By its table.
    const { status } = row.record as VmRecord;
    const nics = nicsSeen(status.placement && live.addressesOf(status.placement.host), row.name);
    return nics.length === 0 ? row : { ...row, record: { ...row.record, status: { ...status, nics } } };
  }
  if (table === 'routers') {
    // By its table.
    const { status } = row.record as RouterRecord;
    return status ? { ...row, record: { ...row.record, status: live.freshRouter(row.name, status) } } : row;
  }
  if (table === 'bfdsessions') {
    // By its table.
    const { status } = row.record as BfdSessionRecord;
    return status ? { ...row, record: { ...row.record, status: live.freshSession(row.name, status) } } : row;
  }
  if (table === 'migrations') {
    // By its table.
    const { status } = row.record as MigrationRecord;
    const progress = live.progress(row.name);
    return progress && !status.end ? { ...row, record: { ...row.record, status: { ...status, progress } } } : row;
  }
  return row;
}
