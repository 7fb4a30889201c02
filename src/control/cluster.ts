/**
 * The cluster as the store has it, parsed, and the one way of changing it. The copy in memory is fed by the store's watch alone, so
 * that it is always one state of the store; reading it costs no parsing and no waiting.
 */
import type { Clock } from '../base/clock.ts';
import { seconds } from '../base/units.ts';
import { ApiError } from '../api/api.ts';
import { StoreError } from '../store/store-errors.ts';
import type { Change, Entry, Store } from '../store/store.ts';
import { Draft, type Source } from './draft.ts';
import { type Row, type Table, type Tables, splitKey } from './records.ts';

/** Before the store is asked again when its watch failed. */
const RETRY = seconds(1);
/** Only another server's writes make a comparison fail, and then rarely more than once. */
const ATTEMPTS = 20;

type Copy = { readonly [T in Table]: Map<string, Row<Tables[T]>> };
const emptyCopy = (): Copy => ({
  hosts: new Map(), networks: new Map(), vms: new Map(), routers: new Map(), bfdsessions: new Map(), paths: new Map(), addresses: new Map(),
  migrations: new Map(), events: new Map(), policies: new Map(), moves: new Map(), tokens: new Map(), standings: new Map(), deeds: new Map(), alerts: new Map(),
});

export class Cluster implements Source {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #onFault: (error: unknown) => void;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<() => void>();
  readonly #sorted = new Map<Table, readonly Row<Tables[Table]>[]>();
  #copy = emptyCopy();
  #revision = 0;
  #fed: Promise<void> = Promise.resolve();
  /** The last change asked for: they are decided one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(store: Store, clock: Clock, onFault: (error: unknown) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  /** @param onFault Told when the store's watch failed; it is tried again. */
  static async open(store: Store, clock: Clock, onFault: (error: unknown) => void): Promise<Cluster> {
    const cluster = new Cluster(store, clock, onFault);
    await cluster.#list();
    cluster.#fed = cluster.#feed();
    return cluster;
  }

  /** The store stays open. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await Promise.allSettled([this.#fed, this.#last]);
  }

  get revision(): number {
    return this.#revision;
  }

  get<T extends Table>(table: T, name: string): Tables[T] | undefined {
    return this.#copy[table].get(name)?.record;
  }

  row<T extends Table>(table: T, name: string): Row<Tables[T]> | undefined {
    return this.#copy[table].get(name);
  }

  /** To try something out: nothing of it is stored. */
  draft(): Draft {
    return new Draft(this);
  }

  count(table: Table): number {
    return this.#copy[table].size;
  }

  rows<T extends Table>(table: T): readonly Row<Tables[T]>[] {
    // What is kept under a table's name was made from that table below.
    const kept = this.#sorted.get(table) as readonly Row<Tables[T]>[] | undefined;
    if (kept) return kept;
    const rows = [...this.#copy[table].values()].sort((a, b) => a.created - b.created || (a.name < b.name ? -1 : 1));
    this.#sorted.set(table, rows);
    return rows;
  }

  /**
   * Decides on a draft of the newest state and stores what it wrote, all or nothing; decides anew when somebody else's write came
   * between. On the disk, and to be read here, when it resolves. What `decide` throws is thrown on, and nothing is written then.
   * @throws ApiError 503 with the store's own code.
   */
  change<R>(decide: (draft: Draft) => R): Promise<R> {
    const mine = this.#last.then(() => this.#change(decide));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async #change<R>(decide: (draft: Draft) => R): Promise<R> {
    for (let attempt = 0; ; attempt++) {
      const draft = new Draft(this);
      const result = decide(draft);
      if (!draft.changed) return result;
      const outcome = await this.#store.txn(draft.transaction()).catch((error: unknown) => {
        throw error instanceof StoreError ? new ApiError(503, error.code, error.message, { cause: error.cause }) : error;
      });
      await this.#reached(outcome.revision);
      if (outcome.ok) return result;
      if (attempt === ATTEMPTS) throw new ApiError(503, 'CONTROL_CONTENDED', 'Somebody else writes to the store all the time: see that only one server runs on it, then try again');
    }
  }

  /** Resolves at the next change after `revision`, at once when there was one, or when aborted or closed. */
  async changedSince(revision: number, signal: AbortSignal): Promise<void> {
    if (this.#revision > revision || signal.aborted || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      signal.addEventListener('abort', done);
      this.#waiting.add(done);
    });
  }

  async #reached(revision: number): Promise<void> {
    while (this.#revision < revision) {
      if (this.#stop.signal.aborted) throw new ApiError(503, 'CONTROL_CLOSED', 'The server is shutting down: what was asked for may have been stored. Look, and try again');
      await this.changedSince(this.#revision, this.#stop.signal);
    }
  }

  #wake(): void {
    for (const done of this.#waiting) done();
  }

  async #list(): Promise<void> {
    const { entries, revision } = await this.#store.list('/');
    this.#copy = emptyCopy();
    this.#sorted.clear();
    for (const entry of entries) this.#take(entry);
    this.#revision = revision;
    this.#wake();
  }

  async #feed(): Promise<void> {
    const { signal } = this.#stop;
    for (let lost = false; !signal.aborted; ) {
      try {
        if (lost) await this.#list();
        lost = false;
        for await (const batch of this.#store.watch('/', this.#revision + 1, signal)) {
          for (const change of batch.changes) this.#apply(change);
          this.#revision = batch.revision;
          this.#wake();
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#onFault(error);
        lost = true;
        await this.#clock.sleep(RETRY, signal);
      }
    }
  }

  #apply(change: Change): void {
    if (change.kind === 'put') this.#take(change.entry);
    else {
      const at = splitKey(change.key);
      if (!at) return;
      this.#copy[at.table].delete(at.name);
      this.#sorted.delete(at.table);
    }
  }

  #take(entry: Entry): void {
    const at = splitKey(entry.key);
    if (at) this.#keep(at.table, at.name, entry);
  }

  #keep(table: Table, name: string, entry: Entry): void {
    // Nobody but this room writes these keys, and it writes records of that table; never is what fits into each of them.
    const record = JSON.parse(entry.value) as never;
    this.#copy[table].set(name, { name, record, revision: entry.modRevision, created: entry.createRevision });
    this.#sorted.delete(table);
  }
}
