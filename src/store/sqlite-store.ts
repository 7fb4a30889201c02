/**
 * The store in one file (and its -wal), for a cluster with one server. SQLite writes it ahead and syncs before a commit is told;
 * what is asked for during one turn of the event loop shares a commit, so that the throughput does not hang on the disk's syncs.
 *
 * Leases outlive a restart with their whole time before them: nobody knows how much of it had passed.
 */
import type { Clock } from '../base/clock.ts';
import { EmbeddedStore, HISTORY_LIMIT } from './embedded-store.ts';
import { SqliteFile } from './sqlite-file.ts';
import { State } from './state.ts';

export class SqliteStore extends EmbeddedStore {
  /**
   * Opens or makes the file, for this process alone. `history`: how many revisions are kept for watches, at least 1.
   * Throws StoreError: `STORE_LOCKED`, `STORE_NEWER`, `STORE_CORRUPT`, `STORE_FULL`, `STORE_UNAVAILABLE`.
   */
  static open(path: string, { clock, history = HISTORY_LIMIT }: { readonly clock: Clock; readonly history?: number }): SqliteStore {
    const file = new SqliteFile(path);
    try {
      const state = new State(history);
      file.load(state);
      return new SqliteStore(state, clock, file, setImmediate);
    } catch (error) {
      file.close();
      throw error;
    }
  }
}
