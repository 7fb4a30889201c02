/** Where a VM that is placed or moved without a host being named goes: to a sound one, where there is one. */
import { MAIN_PATH } from '../model/path.ts';
import { actPolicy } from '../policy/acting-facts.ts';
import type { Sickness } from '../policy/acting-sickness.ts';
import { type Candidate, type Placed, type Wish, place } from '../policy/placement.ts';
import { pathOfNetwork } from './acting-facts.ts';
import { sentence } from './acting-words.ts';
import type { Draft } from './draft.ts';
import { record } from './events.ts';
import { policyOf } from './lookup.ts';

/** A VM that is to be placed. */
export interface Placing {
  readonly vm: string;
  readonly wish: Wish;
  readonly candidates: readonly Candidate[];
  /** Where it was last: taken again where it can be. */
  readonly last?: string;
  /** What it is to do there, in words, and whether that need not be told. */
  readonly verb?: string;
  readonly silent?: boolean;
}

/** On a host that is sound, by `act.target`. `time`: ms since the epoch. */
export function placeSound(draft: Draft, sickness: Sickness, { vm, wish, candidates, last, verb = 'start on', silent = false }: Placing, time: number): Placed {
  const mode = actPolicy(policyOf(draft)).modes.target;
  const without = placeOnce(wish, candidates, last);
  if (mode === 'off') return without;
  const paths = [MAIN_PATH, ...wish.networks.flatMap(({ name }) => {
    const spec = draft.get('networks', name)?.spec;
    return (spec && pathOfNetwork(spec)) ?? [];
  })];
  const judged = candidates.map((candidate): Candidate => {
    const avoid = paths.map((path) => sickness.get(path)?.get(candidate.name)).find((why) => why !== undefined);
    return avoid === undefined ? candidate : { ...candidate, avoid };
  });
  const placed = placeOnce(wish, judged, last);
  if (!('host' in placed) || !('host' in without) || placed.host === without.host) return placed;
  const avoid = judged.find(({ name }) => name === without.host)?.avoid ?? '';
  const report = { action: 'target', mode, what: `${vm} is to ${verb} ${placed.host} rather than ${without.host}`, because: [avoid] } as const;
  if (!silent) {
    record(draft, {
      at: time, severity: 'info', about: { kind: 'Vm', name: vm }, host: placed.host, reason: mode === 'act' ? 'TargetPreferred' : 'Advised',
      message: sentence(report), evidence: { kind: 'action', action: report },
    });
  }
  return mode === 'act' ? placed : without;
}

/** Where it was last, if it can be there and none is better; else the best. */
function placeOnce(wish: Wish, candidates: readonly Candidate[], last: string | undefined): Placed {
  const before = candidates.find(({ name }) => name === last);
  const again = before && before.avoid === undefined && wish.host === undefined ? place(wish, [before]) : undefined;
  if (again && 'host' in again) return again;
  const best = place(wish, candidates);
  const isBetter = 'host' in best && candidates.find(({ name }) => name === best.host)?.avoid === undefined;
  const stay = before && !isBetter && wish.host === undefined ? place(wish, [before]) : undefined;
  return stay && 'host' in stay ? stay : best;
}
