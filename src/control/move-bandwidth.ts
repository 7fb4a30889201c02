/** What a move may send: its share of its hosts', less where it makes its path sick. */
import { type BytesPerSecond, bytesPerSecond } from '../base/units.ts';
import { hostDefaults } from '../model/host.ts';
import { parseRate } from '../model/quantity.ts';
import { inForce, subjectKey } from '../policy/acting-facts.ts';
import { share } from '../policy/admission.ts';
import type { View } from './draft.ts';
import { moves } from './lookup.ts';
import type { HostRecord, MigrationRecord } from './records.ts';

const capOf = (host: HostRecord | undefined): BytesPerSecond => parseRate(host?.spec.maxBandwidth ?? hostDefaults.maxBandwidth);

/** Before anything is taken from it. */
export function capOfMove(view: View, name: string, { spec, status }: MigrationRecord): BytesPerSecond {
  const running = view.rows('migrations').filter((row) => moves(row.record)).map((row) => ({ name: row.name, from: row.record.status.from, to: row.record.spec.to }));
  return share({ name, from: status.from, to: spec.to }, running, (host) => capOf(view.get('hosts', host)));
}

export function bandwidthOfMove(view: View, name: string, migration: MigrationRecord): BytesPerSecond {
  const cap = capOfMove(view, name, migration);
  const slowed = view.get('standings', subjectKey({ action: 'bandwidth', migration: name, host: migration.status.from }));
  return inForce(slowed) ? bytesPerSecond(Math.max(1, Math.floor(cap * (slowed?.share ?? 1)))) : cap;
}
