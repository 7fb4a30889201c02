/** Deleting what nobody uses any more. */
import type { Kind } from '../model/resource.ts';
import { trackersOf } from '../policy/bfd-check.ts';
import type { Draft } from './draft.ts';
import { inUse, notFound, undeletable } from './errors.ts';
import { record } from './events.ts';
import { removeHost } from './hosts.ts';
import { tableOf } from './resources.ts';
import { remove as removeVm } from './vms.ts';

/** Throws ApiError CONTROL_NOT_FOUND, CONTROL_IN_USE, CONTROL_NOT_DELETABLE. `now`: ms since the epoch. */
export function remove(draft: Draft, kind: Kind, name: string, now: number): void {
  switch (kind) {
    case 'Vm': return removeVm(draft, name, now);
    case 'Host': return removeHost(draft, name, now);
    case 'Event':
    case 'Path':
    case 'Address': throw undeletable(kind);
    case 'Network': {
      const user = draft.rows('vms').find(({ record: vm }) => vm.spec.nics?.some((nic) => nic.network === name));
      if (user) throw inUse(kind, name, `${user.name} has a NIC on it: delete that first, or declare it without`);
      break;
    }
    case 'Migration': {
      const migration = draft.get('migrations', name);
      if (migration && (!migration.status.end || draft.get('moves', name))) throw inUse(kind, name, 'it has not ended, or a host has not cleared up after it: wait, or cancel it');
      break;
    }
    case 'BfdSession': {
      const [user] = trackersOf(name, new Map(draft.rows('routers').map((row) => [row.name, row.record.spec])));
      if (user) throw inUse(kind, name, `VirtualRouter ${user.router} hangs on it: take that track out first`);
      break;
    }
    case 'VirtualRouter':
    case 'Policy':
      break;
  }
  const table = tableOf[kind];
  if (draft.get(table, name) === undefined) throw notFound(kind, name, draft.rows(table).map((row) => row.name));
  draft.delete(table, name);
  record(draft, { at: now, severity: 'info', about: { kind, name }, reason: 'Deleted', message: `${kind} ${name} is deleted` });
}
