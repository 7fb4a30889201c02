/**
 * What acting remembers by the monotonic clock, and only in memory: how long ago something was done, since when a host has been sick, what
 * a move sent at most lately, and whether its path was well. Taking note twice of the same changes nothing: a decision may be made anew.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { Deed } from '../policy/acting-facts.ts';
import type { Sickness } from '../policy/acting-sickness.ts';
import type { View } from './draft.ts';

/** What a move sent at most in this time is what it sends. */
const LATELY = seconds(30);

export class ActingMemory {
  /** By limit key and time: when that was. */
  readonly #deeds = new Map<string, Deed>();
  readonly #sickSince = new Map<string, Milliseconds>();
  readonly #fastest = new Map<string, { readonly throughput: number; readonly at: Milliseconds; readonly cap: number }>();
  readonly #wasWell = new Set<string>();

  /** Those stored before this server began count at their records' age. `at` and `time` are the same instant. */
  noteDeeds(view: View, at: Milliseconds, time: number): void {
    const there = new Set<string>();
    for (const { name: key, record } of view.rows('deeds')) {
      for (const done of record.at) {
        const id = `${key} ${done}`;
        there.add(id);
        if (!this.#deeds.has(id)) this.#deeds.set(id, { key, at: ms(at - Math.max(0, time - done)) });
      }
    }
    for (const id of this.#deeds.keys()) if (!there.has(id)) this.#deeds.delete(id);
  }

  get deeds(): readonly Deed[] {
    return [...this.#deeds.values()];
  }

  /** Of those stored under this key, the ones that are no older. */
  fresh(key: string, stored: readonly number[], at: Milliseconds, age: Milliseconds): readonly number[] {
    return stored.filter((done) => at - (this.#deeds.get(`${key} ${done}`)?.at ?? at) < age);
  }

  noteSickness(sickness: Sickness, at: Milliseconds): void {
    const now = new Set([...sickness].flatMap(([path, hosts]) => [...hosts.keys()].map((host) => `${host} ${path}`)));
    for (const key of this.#sickSince.keys()) if (!now.has(key)) this.#sickSince.delete(key);
    for (const key of now) if (!this.#sickSince.has(key)) this.#sickSince.set(key, at);
  }

  sickFor(host: string, path: string, at: Milliseconds): Milliseconds {
    return ms(at - (this.#sickSince.get(`${host} ${path}`) ?? at));
  }

  /** The most it sent lately, while it might send as much as it may now. @param allowed bytes per second */
  fastest(migration: string, measured: number, allowed: number, at: Milliseconds): number {
    // What was measured before it was slowed says nothing of it now.
    const throughput = Math.min(measured, allowed);
    const known = this.#fastest.get(migration);
    if (known && known.cap === allowed && known.throughput > throughput && at - known.at < LATELY) return known.throughput;
    this.#fastest.set(migration, { throughput, at, cap: allowed });
    return throughput;
  }

  wasWell(migration: string, isWell: boolean): boolean {
    if (isWell) this.#wasWell.add(migration);
    return this.#wasWell.has(migration);
  }

  forgetMoves(running: ReadonlySet<string>): void {
    for (const name of this.#fastest.keys()) if (!running.has(name)) this.#fastest.delete(name);
    for (const name of this.#wasWell) if (!running.has(name)) this.#wasWell.delete(name);
  }
}
