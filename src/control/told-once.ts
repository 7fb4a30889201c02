/**
 * What agents tell again until it is acknowledged, and is to be written once. Each is numbered by who made it (a pulse, a monitor: new with
 * every start); of each maker the last that was stored is kept with its host, in the transaction that stores it.
 */

export interface Mark {
  readonly maker: string;
  readonly sequence: number;
}

/** An agent tells of its last makers, in order, and forgets up to what was acknowledged. */
const MAKERS_KEPT = 32;

/**
 * Those that are not stored yet, each maker's in their order, whatever order they came in: what is behind the last stored is taken to be
 * stored. And the marks once they are.
 */
export function newOf<T>(
  items: readonly T[], markOf: (item: T) => Mark, marks: readonly Mark[],
): { readonly items: readonly T[]; readonly marks: readonly Mark[] } {
  const last = lastOf(marks);
  const byMaker = [...Map.groupBy(items, (item) => markOf(item).maker).values()];
  const news = byMaker.flatMap((of) => of.toSorted((a, b) => markOf(a).sequence - markOf(b).sequence)).filter((item) => {
    const { maker, sequence } = markOf(item);
    if (sequence <= (last.get(maker) ?? -1)) return false;
    // Behind all others: the newest is kept longest.
    last.delete(maker);
    last.set(maker, sequence);
    return true;
  });
  const told = new Set(items.map((item) => markOf(item).maker));
  const all = [...last].map(([maker, sequence]) => ({ maker, sequence }));
  return { items: news, marks: all.filter(({ maker }, n) => told.has(maker) || n >= all.length - MAKERS_KEPT) };
}

/** The last of these up to which all are stored; undefined when the first is not. */
export function storedOf<T>(items: readonly T[], markOf: (item: T) => Mark, marks: readonly Mark[]): Mark | undefined {
  const last = lastOf(marks);
  const missing = items.findIndex((item) => markOf(item).sequence > (last.get(markOf(item).maker) ?? -1));
  const stored = items[missing < 0 ? items.length - 1 : missing - 1];
  return stored && markOf(stored);
}

const lastOf = (marks: readonly Mark[]): Map<string, number> => new Map(marks.map(({ maker, sequence }) => [maker, sequence]));
