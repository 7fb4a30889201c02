/**
 * A session that flaps may not push all other events out. Of one thing on one host MOST_OF_ONE events are written in a minute, of all that
 * is limited here MOST_OF_ALL; when the minute is over one event says how many were left out: of that thing, or of its host where all
 * together were too many. In memory: at worst a server that starts writes a few more.
 */
import { type Milliseconds, seconds } from '../base/units.ts';
import type { EventSpec } from '../model/event.ts';

export const MOST_OF_ONE = 6;
export const MOST_OF_ALL = 300;
const WINDOW = seconds(60);

type About = Pick<EventSpec, 'about' | 'host'>;

interface Counted {
  readonly about: About;
  readonly from: Milliseconds;
  /** By their ids: a transaction that is decided anew asks again. */
  readonly told: Set<string>;
  readonly left: Set<string>;
}

export interface LeftOut extends About {
  readonly key: string;
  readonly count: number;
}

export class EventLimit {
  readonly #counted = new Map<string, Counted>();
  #all: { from: Milliseconds; readonly told: Set<string> } | undefined;

  /** Whether this one may be written. `id` is its own, everywhere; `at` monotonic. */
  admits(about: About, id: string, at: Milliseconds): boolean {
    const one = this.#of(about, at);
    const { host } = about;
    const crowd = host === undefined ? one : this.#of({ about: { kind: 'Host', name: host }, host }, at);
    if (one.told.has(id)) return true;
    if (one.left.has(id) || crowd.left.has(id)) return false;
    if (!this.#all || at - this.#all.from >= WINDOW) this.#all = { from: at, told: new Set() };
    if (one.told.size >= MOST_OF_ONE) one.left.add(id);
    else if (this.#all.told.size >= MOST_OF_ALL) crowd.left.add(id);
    else {
      one.told.add(id);
      this.#all.told.add(id);
      return true;
    }
    return false;
  }

  #of(about: About, at: Milliseconds): Counted {
    const key = `${about.about.kind} ${about.about.name} ${about.host ?? ''}`;
    const counted = this.#counted.get(key) ?? { about, from: at, told: new Set(), left: new Set() };
    this.#counted.set(key, counted);
    return counted;
  }

  /** Of which the minute is over and some were left out; until `settle`. */
  due(at: Milliseconds): readonly LeftOut[] {
    return [...this.#counted].flatMap(([key, { about, from, left }]) =>
      (at - from >= WINDOW && left.size > 0 ? [{ ...about, key, count: left.size }] : []));
  }

  /** What was due then has been written; who was quiet is forgotten. */
  settle(at: Milliseconds, written: readonly LeftOut[]): void {
    const keys = new Set(written.map(({ key }) => key));
    for (const [key, { from, left }] of this.#counted) {
      if (at - from >= WINDOW && (left.size === 0 || keys.has(key))) this.#counted.delete(key);
    }
  }
}
