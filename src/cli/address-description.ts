/** An address for `describe`, and what was seen of a VM's NICs. */
import type { ResourceOf } from '../api/api.ts';
import type { NicSeen, VmSpec } from '../model/vm-spec.ts';
import { type Section, ago, commas, fields, tableOrNone } from './section.ts';
import { type Column, left } from './table.ts';
import { wrap } from './text.ts';
import { formatAge } from './age.ts';

export function addressSections({ name, spec, status }: ResourceOf['Address'], now: number): Section[] {
  const holders = (status?.holders ?? []).map(({ mac, vm, nic, router, host, evidence, seenBy, last }) => [
    mac ?? '-', who(vm === undefined ? undefined : `vm ${vm}, NIC ${nic ?? 0}`, router), host ?? '-', evidence,
    seenBy.length === 0 ? '-' : commas(seenBy), last === undefined ? 'never' : formatAge(now - last),
  ]);
  const first = Math.min(...(status?.holders ?? []).map((holder) => holder.first ?? Infinity));
  const since = Number.isFinite(first) ? ago(first, now) : 'never';
  return [
    { lines: fields([['Name', name], ['Network', spec.network], ['Address', spec.address], ['First seen', since]]) },
    { title: 'Conflict', lines: (status?.conflicts ?? []).flatMap((conflict) => wrap(conflict)) },
    { title: 'Who has it', lines: tableOrNone([left('MAC'), left('WHO'), left('HOST'), left('BY'), left('SEEN-BY'), left('LAST-SEEN')], holders) },
  ];
}

const who = (vm: string | undefined, router: string | undefined): string => vm ?? (router === undefined ? '-' : `router ${router}`);

interface Seen {
  readonly columns: readonly Column[];
  cells(nic: number): readonly string[];
}

/** Columns for a table of NICs: addresses that were seen in use, and what source guards dropped; none of which nothing is known. */
export function seenColumns(known: readonly NicSeen[], nics: NonNullable<VmSpec['nics']>): Seen {
  const guarded = nics.some(({ guard }) => guard) || known.some(({ dropped }) => dropped);
  const some = known.some(({ seen }) => seen.length > 0);
  return {
    columns: [...(some ? [left('SEEN')] : []), ...(guarded ? [left('GUARD')] : [])],
    cells: (nic) => {
      const of = known.find((one) => one.nic === nic);
      return [...(some ? [commas(of?.seen ?? [])] : []), ...(guarded ? [guardText(of?.dropped, nics[nic]?.guard)] : [])];
    },
  };
}

function guardText(dropped: NicSeen['dropped'], declared: boolean | undefined): string {
  if (!dropped) return declared ? 'not seen yet' : 'none';
  const reasons = Object.entries(dropped).filter(([, frames]) => frames > 0).map(([reason, frames]) => `${frames} ${reason}`);
  return reasons.length === 0 ? 'dropped nothing' : `dropped ${reasons.join(', ')}`;
}
