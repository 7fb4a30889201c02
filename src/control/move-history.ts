/** When the moves of each VM ended, on the monotonic clock: what it may do next must not hang on the clock of the wall. */
import { type Milliseconds, ms } from '../base/units.ts';
import { MOVE_WINDOW } from '../policy/admission.ts';
import type { View } from './draft.ts';

export class MoveHistory {
  /** By migration and its end. */
  readonly #ended = new Map<string, { readonly vm: string; readonly at: Milliseconds }>();

  /**
   * Takes note of the ends it has not seen, as long as they count. One that came before this server did is taken at its record's age:
   * the best that is known. `time`: ms since the epoch; `at`: monotonic, the same instant.
   */
  note(view: View, time: number, at: Milliseconds): void {
    for (const [key, ended] of this.#ended) if (at - ended.at >= MOVE_WINDOW) this.#ended.delete(key);
    for (const { name, record: { spec, status } } of view.rows('migrations')) {
      if (status.end?.kind !== 'moved' || status.endedAt === undefined) continue;
      const key = `${name} ${status.endedAt}`;
      const age = Math.max(0, time - status.endedAt);
      if (age < MOVE_WINDOW && !this.#ended.has(key)) this.#ended.set(key, { vm: spec.vm, at: ms(at - age) });
    }
  }

  /** When its moves ended, on the monotonic scale. */
  moved(vm: string): readonly Milliseconds[] {
    return [...this.#ended.values()].filter((e) => e.vm === vm).map((e) => e.at);
  }
}
