/**
 * Which hosts are sick on which paths. A path is sick between two; the host is to blame that shares most of its pairs on it, while most of
 * the pairs without it are well. Of two hosts alone neither is; nor is anybody when the whole path is.
 */
import type { PairFacts } from './acting-facts.ts';

/** By path, by host: why. */
export type Sickness = ReadonlyMap<string, ReadonlyMap<string, string>>;

export function sicknessOf(pairs: readonly PairFacts[]): Sickness {
  const known = new Map<string, Counted>();
  for (const { a, b, paths } of pairs) {
    for (const { path, state, because } of paths) {
      if (state === 'unknown') continue;
      const counted = known.get(path) ?? { pairs: 0, sick: 0, hosts: new Map() };
      known.set(path, counted);
      const sick = state !== 'fit';
      counted.pairs++;
      if (sick) counted.sick++;
      for (const [host, peer] of [[a, b], [b, a]] as const) {
        const own = counted.hosts.get(host) ?? { pairs: 0, sick: 0, first: '' };
        counted.hosts.set(host, own);
        own.pairs++;
        if (sick) {
          own.sick++;
          if (own.first === '') own.first = `to ${peer} ${because ?? state}`;
        }
      }
    }
  }
  return new Map([...known].map(([path, counted]) => [path, sickOn(path, counted)]));
}

interface Counted {
  pairs: number;
  sick: number;
  readonly hosts: Map<string, { pairs: number; sick: number; first: string }>;
}

function sickOn(path: string, { pairs, sick, hosts }: Counted): ReadonlyMap<string, string> {
  return new Map([...hosts].flatMap(([host, own]) => {
    const [others, sickOthers] = [pairs - own.pairs, sick - own.sick];
    if (own.sick * 2 <= own.pairs || others === 0 || sickOthers * 2 > others) return [];
    return [[host, `path ${path} of ${host} is sick to ${own.sick} of ${own.pairs} hosts, and ${others - sickOthers} of ${others} other pairs on it are well: ${own.first}`]];
  }));
}
