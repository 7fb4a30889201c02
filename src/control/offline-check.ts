/** `config check --offline`: documents by themselves, as if nothing were declared yet. */
import type { Declaration, Fault } from '../api/api.ts';
import { apply } from './apply.ts';
import { Draft, type Source } from './draft.ts';
import { warningsOf } from './warnings.ts';

const nothing: Source = { revision: 0, get: () => undefined, row: () => undefined, rows: () => [] };

/** Gives warnings. Throws ApiError CONTROL_INVALID with every fault. `now`: ms since the epoch. */
export function checkOffline(documents: readonly Declaration[], now: number): readonly Fault[] {
  const draft = new Draft(nothing);
  apply(draft, documents, now, true);
  return warningsOf(draft, documents);
}
