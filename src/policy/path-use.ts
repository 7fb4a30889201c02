/** Which path what is between two hosts uses. Tunnels of networks stay on `main`; a move keeps the path that it began on. */
import { MAIN_PATH } from '../model/path.ts';

/** The two, always in the same order. */
export const pairOf = (one: string, other: string): readonly [a: string, b: string] => (one < other ? [one, other] : [other, one]);

export interface WayOfMove {
  readonly path: string;
  readonly source: string;
  readonly destination: string;
}

/**
 * The path for a move that begins: `main` when it is in use, else of those in use the one that carries most, else `main`.
 * @param from addresses by path @param to likewise @param capacity bytes per second
 */
export function wayFor(
  from: Readonly<Record<string, string>>, to: Readonly<Record<string, string>>, inUse: (path: string) => boolean, capacity: (path: string) => number,
): WayOfMove | undefined {
  const common = Object.keys(from).filter((path) => Object.hasOwn(to, path));
  const usable = common.filter(inUse);
  const [best] = usable.toSorted((a, b) => capacity(b) - capacity(a) || (a < b ? -1 : 1));
  const path = usable.includes(MAIN_PATH) || best === undefined ? MAIN_PATH : best;
  const [source, destination] = [from[path], to[path]];
  return source === undefined || destination === undefined ? undefined : { path, source, destination };
}
