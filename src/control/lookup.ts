/** What is asked of a view again and again. */
import type { PolicySpec } from '../model/cluster-policy.ts';
import type { View } from './draft.ts';
import type { MigrationRecord, Row } from './records.ts';

export interface NicName {
  readonly vm: string;
  readonly nic: number;
}

/** Whose NIC has this MAC: by network and MAC. */
export function nicsOf(view: View): ReadonlyMap<string, NicName> {
  return new Map(view.rows('vms').flatMap(({ name: vm, record: { spec } }) =>
    (spec.nics ?? []).map(({ network, mac }, nic) => [`${network} ${mac.toLowerCase()}`, { vm, nic }])));
}

/** The migration of this VM that has not ended; there is at most one. */
export function livingMigration(view: View, vm: string): Row<MigrationRecord> | undefined {
  return view.rows('migrations').findLast(({ record: m }) => m.spec.vm === vm && !m.status.end);
}

/** It has begun and not ended, and is no dry run: it takes room, and has its VM in hand. */
export const moves = ({ spec, status }: MigrationRecord): boolean => status.phase !== 'queued' && !status.end && !spec.dryRun;

export const hostOf = (migration: MigrationRecord, role: 'source' | 'destination'): string => (role === 'source' ? migration.status.from : migration.spec.to);

/** Why this host takes no part in anything new; undefined when it does. */
export function unready(view: View, host: string): string | undefined {
  const status = view.get('hosts', host)?.status;
  if (!status) return 'has not reported yet';
  return status.state === 'silent' ? 'is silent' : undefined;
}

export const policyOf = (view: View): PolicySpec | undefined => view.get('policies', 'default')?.spec;
