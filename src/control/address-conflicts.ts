/**
 * Addresses that two claim: each conflict becomes one event when it begins, whichever hosts tell of it and however often, and one when
 * no host tells of it any more. What a host has told is remembered with the host, so that a server that was started anew knows.
 */
import type { AddressesReport } from '../api/agent-protocol.ts';
import { addressName } from '../model/address.ts';
import type { ConflictEnd } from '../protocol/address-conflicts.ts';
import { conflictKey } from '../protocol/address-conflicts.ts';
import type { Draft, View } from './draft.ts';
import { record } from './events.ts';
import { type NicName, nicsOf } from './lookup.ts';
import type { HostRecord, ToldConflict } from './records.ts';

/** All conflicts that this host knows of; undefined: its agent does not look. */
export function hearConflicts(draft: Draft, host: string, report: AddressesReport | undefined, now: number): void {
  const known = draft.get('hosts', host);
  if (!known || !report) return;
  const before = new Map((known.conflicts ?? []).map((conflict) => [conflictKey(conflict), conflict]));
  const told = new Map(report.conflicts.map(({ network, address, by, ends }): [string, ToldConflict] => {
    const conflict = { network, address, by, ends, host };
    return [conflictKey(conflict), before.get(conflictKey(conflict)) ?? conflict];
  }));
  if (told.size === before.size && [...told.keys()].every((key) => before.has(key))) return;
  const others = draft.rows('hosts').filter(({ name }) => name !== host);
  const elsewhere = new Set(others.flatMap(({ record: { conflicts = [] } }) => conflicts.map(conflictKey)));
  const nics = nicsOf(draft);
  for (const [key, conflict] of told) if (!before.has(key) && !elsewhere.has(key)) tell(draft, nics, conflict, now, 'began');
  for (const [key, conflict] of before) if (!told.has(key) && !elsewhere.has(key)) tell(draft, nics, conflict, now, 'ended');
  const { conflicts: _, ...rest } = known;
  const next: HostRecord = told.size === 0 ? rest : { ...rest, conflicts: [...told.values()] };
  draft.put('hosts', host, next);
}

/** Each once. */
export function openConflicts(view: View): ToldConflict[] {
  const all = view.rows('hosts').flatMap(({ record: { conflicts = [] } }) => conflicts);
  return [...new Map(all.map((conflict) => [conflictKey(conflict), conflict])).values()];
}

type Nics = ReadonlyMap<string, NicName>;

/** Who against whom, in one line. `nics`: of nicsOf. */
export function conflictText(view: View, nics: Nics, { network, ends, by, host }: ToldConflict): string {
  const [one, other] = ends.map((end) => nameOf(view, nics, network, end, host));
  return by === 'claim' ? `${one} and ${other} both claim it` : `${one} and ${other} both asked for it at the same time, to take it`;
}

function nameOf(view: View, nics: Nics, network: string, { mac, vm, nic, router, port }: ConflictEnd, host: string): string {
  if (router !== undefined) return `router ${router}${mac === undefined ? '' : ` (${mac})`}`;
  if (vm !== undefined) return `VM ${vm} (NIC ${nic ?? 0}, ${mac ?? 'no MAC'}, on ${host}, ${port ?? 'unknown port'})`;
  // What is outside for one host may be a guest of another.
  const owner = nics.get(`${network} ${mac}`);
  if (owner) return `VM ${owner.vm} (NIC ${owner.nic}, ${mac}, on ${view.get('vms', owner.vm)?.status.placement?.host ?? 'no host'})`;
  return `${mac ?? 'somebody'} (none of Godwit's VMs, seen by ${host} at ${port ?? 'unknown port'})`;
}

function tell(draft: Draft, nics: Nics, conflict: ToldConflict, now: number, what: 'began' | 'ended'): void {
  const { network, address, host } = conflict;
  const about = { kind: 'Address', name: addressName(conflict) } as const;
  const [it, text] = [`${address} on network ${network}`, conflictText(draft, nics, conflict)];
  record(draft, what === 'began'
    ? { at: now, severity: 'alarm', about, host, reason: 'AddressConflict', message: `${it}: ${text}. Take it from one of them` }
    : { at: now, severity: 'info', about, host, reason: 'AddressConflictEnded', message: `${it}: undisputed for a minute now. It was: ${text}` });
}
