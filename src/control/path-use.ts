/** Paths as what is decided about them stands in the store: which are in use, and which one a move that begins takes. */
import { parseRate } from '../model/quantity.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import { type HostSpec } from '../model/host.ts';
import { MAIN_PATH } from '../model/path.ts';
import { inForce, subjectKey } from '../policy/acting-facts.ts';
import { PRIORITY_LOWERED } from '../policy/acting-priority.ts';
import { type WayOfMove, pairOf, wayFor } from '../policy/path-use.ts';
import type { View } from './draft.ts';
import { policyOf } from './lookup.ts';

/** A host's addresses by path. */
export const pathsOfHost = (spec: HostSpec): Readonly<Record<string, string>> => ({ ...spec.paths, [MAIN_PATH]: spec.address });

/** Bytes per second. */
export const capacityOf = (view: View, path: string): number =>
  parseRate(policyOf(view)?.paths?.[path]?.capacity ?? detectionDefaults.paths.capacity);

/** Whether moves between the two use it, in both directions, and why not; or why it is in use although it is sick. */
export function pathUse(view: View, from: string, to: string, path: string): { readonly use: boolean; readonly because?: string } {
  const [a, b] = pairOf(from, to);
  const standing = view.get('standings', subjectKey({ action: 'path', a, b, path }));
  if (!standing) return { use: true };
  const because = standing.because.join('; ');
  if (inForce(standing)) return { use: false, because };
  return { use: true, because: `${standing.heldBack ?? 'act.path only advises'}: ${because}` };
}

/** Undefined: one of the two is not there. */
export function wayBetween(view: View, from: string, to: string): WayOfMove | undefined {
  const [source, destination] = [view.get('hosts', from), view.get('hosts', to)];
  if (!source || !destination) return undefined;
  const use = (path: string): boolean => pathUse(view, from, to, path).use;
  return wayFor(pathsOfHost(source.spec), pathsOfHost(destination.spec), use, (path) => capacityOf(view, path));
}

/** Subtracted from this host's priorities in virtual routers. */
export const loweredBy = (view: View, host: string): number => (inForce(view.get('standings', subjectKey({ action: 'priority', host }))) ? PRIORITY_LOWERED : 0);
