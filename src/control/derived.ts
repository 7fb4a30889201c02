/**
 * Resources that are in no store: rows made anew, of what is declared and what agents reported last, whenever they are looked at. A server
 * that starts has them again with the agents' next reports, a second later.
 */
import { isDeepStrictEqual } from 'node:util';
import type { WatchEvent } from '../api/api.ts';
import type { Clock } from '../base/clock.ts';
import { type Milliseconds, seconds } from '../base/units.ts';
import type { View } from './draft.ts';
import type { Row, Tables } from './records.ts';
import { type TableOf, resource } from './resources.ts';

/** Between two looks of who watches. */
const LOOK = seconds(1);
/** Others are not to wait for a list. */
const FRESH = 200;

export type DerivedKind = 'Address' | 'Path';

export interface Derivation<R> {
  /** All there are, by name. `now`: ms since the epoch. */
  readonly records: (view: View, now: number) => ReadonlyMap<string, R>;
  /** Without what changes all the time: a row's revision rises when the rest did. */
  readonly lasting: (record: R) => unknown;
}

interface Known {
  readonly lasting: unknown;
  readonly revision: number;
  readonly created: number;
}

export class Derived<K extends DerivedKind> {
  readonly #kind: K;
  readonly #clock: Clock;
  readonly #derivation: Derivation<Tables[TableOf<K>]>;
  readonly #known = new Map<string, Known>();
  #revision: number;
  #made: { readonly at: Milliseconds; readonly of: number; readonly rows: readonly Row<Tables[TableOf<K>]>[] } | undefined;

  constructor(kind: K, clock: Clock, derivation: Derivation<Tables[TableOf<K>]>) {
    this.#kind = kind;
    this.#clock = clock;
    this.#derivation = derivation;
    // Greater than those of the server before this one, for who resumes.
    this.#revision = clock.now();
  }

  rows(view: View): readonly Row<Tables[TableOf<K>]>[] {
    const at = this.#clock.monotonic();
    if (this.#made && this.#made.of === view.revision && at - this.#made.at < FRESH && at >= this.#made.at) return this.#made.rows;
    const records = this.#derivation.records(view, this.#clock.now());
    const rows = [...records].map(([name, record]): Row<Tables[TableOf<K>]> => {
      const lasting = this.#derivation.lasting(record);
      const known = this.#known.get(name);
      const row = known && isDeepStrictEqual(known.lasting, lasting) ? known : this.#next(lasting, known);
      this.#known.set(name, row);
      return { name, record, revision: row.revision, created: row.created };
    });
    for (const name of this.#known.keys()) if (!records.has(name)) this.#known.delete(name);
    this.#made = { at, of: view.revision, rows };
    return rows;
  }

  /** All there is, `synced`, and then what changed, looked at every second, until aborted. */
  async *watch(view: View, signal: AbortSignal): AsyncGenerator<WatchEvent<K>, void, undefined> {
    const told = new Map<string, number>();
    for (let synced = false; !signal.aborted; await this.#clock.sleep(LOOK, signal)) {
      const rows = new Map(this.rows(view).map((row) => [row.name, row]));
      for (const name of told.keys()) {
        if (rows.has(name)) continue;
        told.delete(name);
        yield { kind: 'delete', name, revision: ++this.#revision };
      }
      for (const [name, row] of rows) {
        if (told.get(name) === row.revision) continue;
        told.set(name, row.revision);
        yield { kind: 'put', resource: resource(this.#kind, row), revision: row.revision };
      }
      if (!synced) yield { kind: 'synced', revision: ++this.#revision };
      synced = true;
    }
  }

  #next(lasting: unknown, known: Known | undefined): Known {
    const revision = ++this.#revision;
    return { lasting, revision, created: known?.created ?? revision };
  }
}
