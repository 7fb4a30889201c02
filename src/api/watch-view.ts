/**
 * What a watch has told so far, so that a lost connection costs its reader nothing: after a new one, a change told before is not told
 * again, and what was deleted meanwhile is.
 *
 * A stream asked to go on after id N repeats the changes of revision N (the transaction may have been cut in half). A server that
 * still keeps them says `synced` with N - 1 first. If it does not keep them, it tells all there is, then `synced`: what is not
 * among that has been deleted.
 */
import type { Kind } from '../model/resource.ts';
import type { WatchEvent } from './api.ts';

export class WatchView<K extends Kind> {
  /** Revisions by name. */
  readonly #known = new Map<string, number>();
  /** The names told on this connection; undefined once it is level. */
  #told: Set<string> | undefined = new Set();
  /** The id this connection was asked to go on after. */
  #after = 0;
  #synced = false;

  /** A connection begins; `after` is the id it was asked to go on after. */
  connected(after: string | undefined): void {
    this.#told = new Set();
    this.#after = Number(after ?? 0);
  }

  /** What of this event is new to the reader. */
  *take(event: WatchEvent<K>): Generator<WatchEvent<K>, void, void> {
    switch (event.kind) {
      case 'put': {
        const { name, revision } = event.resource;
        const known = this.#known.get(name) ?? -1;
        if (this.#told) {
          this.#told.add(name);
          if (known === revision) return;
        } else if (known >= revision) return;
        this.#known.set(name, revision);
        yield event;
        return;
      }
      case 'delete':
        if ((this.#known.get(event.name) ?? Infinity) > event.revision) return;
        this.#known.delete(event.name);
        yield event;
        return;
      case 'synced': {
        if (!this.#told) return;
        const goesOn = this.#told.size === 0 && event.revision === this.#after - 1;
        if (!goesOn) yield* this.#missing(event.revision);
        this.#told = undefined;
        if (!this.#synced) yield event;
        this.#synced = true;
      }
    }
  }

  *#missing(revision: number): Generator<WatchEvent<K>, void, void> {
    for (const name of this.#known.keys()) {
      if (this.#told?.has(name)) continue;
      this.#known.delete(name);
      yield { kind: 'delete', name, revision };
    }
  }
}
