/** Which events are about a thing. */
import type { EventResource } from '../model/event.ts';
import type { Kind } from '../model/resource.ts';

/** What is done to a path is done both ways, and told once: it is about both names. `name` undefined: about any of this kind. */
export function isAbout({ spec: { about, evidence } }: EventResource, kind: Kind, name: string | undefined): boolean {
  if (about.kind !== kind) return false;
  if (name === undefined || about.name === name) return true;
  const [from, to, path] = about.name.split('/');
  return kind === 'Path' && evidence !== undefined && 'kind' in evidence && evidence.kind === 'action' && `${to}/${from}/${path}` === name;
}
