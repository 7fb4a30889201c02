/** How much counters grew from one reading to the next. */

/** Of many things with the same counters, known by keys. Those that one reading did not have are forgotten with `turn`. */
export class Growth<Key, Totals extends { readonly [name in keyof Totals]: number }> {
  #before = new Map<Key, Totals>();
  #now = new Map<Key, Totals>();

  /** Since the last reading. Undefined: there was none, or a counter went backwards, so that it is another thing by the same key. */
  of(key: Key, totals: Totals): Totals | undefined {
    const before = this.#before.get(key);
    this.#now.set(key, totals);
    if (!before) return undefined;
    const grown = { ...totals };
    for (const name in totals) {
      const more = totals[name] - before[name];
      if (more < 0) return undefined;
      // Every counter is a number, which the compiler cannot follow through a mapped type.
      grown[name] = more as Totals[typeof name];
    }
    return grown;
  }

  /** The reading is complete. */
  turn(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }
}

/** Per second; 0 for what did not grow or is not known. @param elapsed seconds, above 0 */
export const rateOf = (grown: number | undefined, elapsed: number): number => Math.max(0, grown ?? 0) / elapsed;
