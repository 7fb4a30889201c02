/** The store as a double: everything the embedded store does, kept nowhere. It needs no event but microtasks and its clock. */
import type { Clock } from '../base/clock.ts';
import { EmbeddedStore, HISTORY_LIMIT } from './embedded-store.ts';
import { State } from './state.ts';

export class MemoryStore extends EmbeddedStore {
  /** @param options.history How many revisions are kept for watches, at least 1. */
  constructor({ clock, history = HISTORY_LIMIT }: { readonly clock: Clock; readonly history?: number }) {
    super(new State(history), clock, { commit: () => undefined, close: () => undefined }, queueMicrotask);
  }
}
