/** Many deadlines, of which the earliest is wanted: a binary heap whose entries know their place, so that one can be moved in O(log n). */
import { type Milliseconds, ms } from '../base/units.ts';

const ABSENT = -1;

export class DeadlineEntry<T> {
  readonly item: T;
  due: Milliseconds = ms(Infinity);
  /** In the heap's array. */
  place = ABSENT;

  constructor(item: T) {
    this.item = item;
  }
}

export class DeadlineHeap<T> {
  readonly #entries: DeadlineEntry<T>[] = [];

  /** The earliest one; of equals any. */
  get first(): DeadlineEntry<T> | undefined {
    return this.#entries[0];
  }

  /** Puts it in, or moves it. At Infinity it is taken out. */
  set(entry: DeadlineEntry<T>, due: Milliseconds): void {
    if (due === Infinity) {
      this.delete(entry);
      return;
    }
    const before = entry.place === ABSENT ? Infinity : entry.due;
    if (entry.place === ABSENT) entry.place = this.#entries.push(entry) - 1;
    entry.due = due;
    if (due < before) this.#rise(entry);
    else if (due > before) this.#sink(entry);
  }

  delete(entry: DeadlineEntry<T>): void {
    const { place } = entry;
    if (place === ABSENT) return;
    entry.place = ABSENT;
    const last = this.#entries.pop();
    if (!last || last === entry) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #put(entry: DeadlineEntry<T>, place: number): void {
    this.#entries[place] = entry;
    entry.place = place;
  }

  #rise(entry: DeadlineEntry<T>): void {
    while (entry.place > 0) {
      const place = (entry.place - 1) >> 1;
      const parent = this.#entries[place];
      if (!parent || parent.due <= entry.due) return;
      this.#put(parent, entry.place);
      this.#put(entry, place);
    }
  }

  #sink(entry: DeadlineEntry<T>): void {
    for (;;) {
      const left = this.#entries[2 * entry.place + 1];
      const right = this.#entries[2 * entry.place + 2];
      const child = left && right ? (right.due < left.due ? right : left) : left;
      if (!child || child.due >= entry.due) return;
      const { place } = child;
      this.#put(child, entry.place);
      this.#put(entry, place);
    }
  }
}
