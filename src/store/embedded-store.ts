/**
 * What the store in memory and the one in a file share: the whole of the contract but the keeping. All that there is lies in memory;
 * reads and watches are served from there. Whatever changes it is queued, decided as one group (a Draft), given to the keeper, and
 * only then visible to anyone: between two events of the loop, so that nobody sees a group half done.
 */
import type { Clock } from '../base/clock.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import { Draft, type State } from './state.ts';
import { closedStore, compacted, leaseGone, misuse } from './store-errors.ts';
import type { ChangeBatch, Entry, LeaseId, Listing, Outcome, Revision, Store, Transaction } from './store.ts';

/** How many revisions of history a store keeps for watches unless told otherwise. */
export const HISTORY_LIMIT = 10_000;

/** Where a group is kept before it is told to anyone. */
export interface Keeper {
  /** Kept for good when it returns. Throws StoreError. */
  commit(draft: Draft): void;
  close(): void;
}

interface Request {
  /** Decides, and gives back what tells the answer once the group is kept. */
  decide(draft: Draft): () => void;
  fail(error: unknown): void;
}

interface LeaseTimer {
  readonly ttl: Milliseconds;
  /** On the clock's monotonic scale. */
  deadline: Milliseconds;
  readonly stop: AbortController;
}

/** How soon the end of a lease is tried again that could not be kept. */
const RETRY = seconds(1);
/** Well below 2^31 ms, beyond which timers fire at once. */
const LONGEST_SLEEP = seconds(24 * 3600);

export class EmbeddedStore implements Store {
  readonly #state: State;
  readonly #clock: Clock;
  readonly #keeper: Keeper;
  readonly #defer: (flush: () => void) => void;
  readonly #timers = new Map<LeaseId, LeaseTimer>();
  readonly #waiting = new Set<() => void>();
  #queue: Request[] = [];
  #closed = false;

  /** @param defer Runs `flush` later; what is asked of the store until then is kept by one commit. */
  constructor(state: State, clock: Clock, keeper: Keeper, defer: (flush: () => void) => void) {
    this.#state = state;
    this.#clock = clock;
    this.#keeper = keeper;
    this.#defer = defer;
    for (const [lease, ttl] of state.leases) this.#startTimer(lease, ttl);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen();
    return this.#state.entries.get(key);
  }

  async list(prefix: string): Promise<Listing> {
    this.#checkOpen();
    const keys = [...this.#state.entries.keys()].filter((key) => key.startsWith(prefix)).sort();
    return { entries: keys.flatMap((key) => this.#state.entries.get(key) ?? []), revision: this.#state.revision };
  }

  async txn(transaction: Transaction): Promise<Outcome> {
    checkTransaction(transaction);
    return this.#submit((draft) => draft.txn(transaction));
  }

  async *watch(prefix: string, from: Revision, signal: AbortSignal): AsyncGenerator<ChangeBatch, void, undefined> {
    if (!Number.isSafeInteger(from) || from < 1) throw misuse(`a watch from revision ${from}`);
    for (let next = from; !signal.aborted; ) {
      this.#checkOpen();
      if (next > this.#state.revision) {
        await this.#changed(signal);
        continue;
      }
      const batch = this.#state.history[next - this.#state.oldest];
      if (!batch) throw compacted(next, this.#state.oldest);
      next++;
      const changes = batch.changes.filter((change) => (change.kind === 'put' ? change.entry.key : change.key).startsWith(prefix));
      if (changes.length > 0) yield { revision: batch.revision, changes };
    }
  }

  async grant(ttl: Milliseconds): Promise<LeaseId> {
    if (!(ttl > 0 && ttl < Infinity)) throw misuse(`a lease of ${ttl} ms`);
    return this.#submit((draft) => draft.grant(ttl));
  }

  async keepAlive(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    const timer = this.#timers.get(lease);
    if (!timer || !this.#lives(lease)) throw leaseGone(lease);
    timer.deadline = ms(this.#clock.monotonic() + timer.ttl);
  }

  async revoke(lease: LeaseId): Promise<void> {
    return this.#submit((draft) => {
      if (!this.#lives(lease)) throw leaseGone(lease);
      draft.end(lease);
    });
  }

  /** What was asked for before is still decided and kept. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    for (const lease of this.#timers.keys()) this.#stopTimer(lease);
    this.#wake();
    this.#keeper.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw closedStore();
  }

  #submit<T>(decide: (draft: Draft) => T): Promise<T> {
    this.#checkOpen();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#queue.push({
      decide: (draft) => {
        try {
          const answer = decide(draft);
          return () => resolve(answer);
        } catch (error) {
          return () => reject(error);
        }
      },
      fail: reject,
    });
    if (this.#queue.length === 1) this.#defer(() => this.#flush());
    return promise;
  }

  #flush(): void {
    const group = this.#queue;
    this.#queue = [];
    const draft = new Draft(this.#state, (lease) => this.#lives(lease));
    const answers = group.map((request) => request.decide(draft));
    try {
      if (!draft.empty) this.#keeper.commit(draft);
    } catch (error) {
      // Also to those who would have been refused: they may have been compared with what was not kept.
      for (const request of group) request.fail(error);
      return;
    }
    this.#state.accept(draft);
    for (const [lease, ttl] of draft.granted) this.#startTimer(lease, ttl);
    for (const lease of draft.ended) this.#stopTimer(lease);
    for (const answer of answers) answer();
    if (draft.batches.length > 0) this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Until the revision rises, the store is closed or `signal` is aborted. */
  #changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => {
      this.#waiting.delete(wake);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    this.#waiting.add(wake);
    signal.addEventListener('abort', wake);
    return promise;
  }

  /** Past its deadline a lease is gone for its holder, though its keys may still wait for their deletion to be kept. */
  #lives(lease: LeaseId): boolean {
    const timer = this.#timers.get(lease);
    return timer !== undefined && this.#clock.monotonic() < timer.deadline;
  }

  #startTimer(lease: LeaseId, ttl: Milliseconds): void {
    const timer = { ttl, deadline: ms(this.#clock.monotonic() + ttl), stop: new AbortController() };
    this.#timers.set(lease, timer);
    void this.#endInTime(lease, timer);
  }

  #stopTimer(lease: LeaseId): void {
    this.#timers.get(lease)?.stop.abort();
    this.#timers.delete(lease);
  }

  /** Never rejects: a lease whose end cannot be kept (a full disk) is ended as soon as it can. */
  async #endInTime(lease: LeaseId, timer: LeaseTimer): Promise<void> {
    const { signal } = timer.stop;
    while (!signal.aborted) {
      const left = timer.deadline - this.#clock.monotonic();
      if (left > 0) await this.#clock.sleep(ms(Math.min(left, LONGEST_SLEEP)), signal);
      else await this.#submit((draft) => draft.end(lease)).catch(() => this.#clock.sleep(RETRY, signal));
    }
  }
}

/** Keys are ASCII so that the order of their bytes is that of their characters, in every store alike. */
const KEY = /^\/[\x21-\x7e]*$/;

function checkTransaction({ operations }: Transaction): void {
  const keys = new Set<string>();
  for (const operation of operations) {
    const key = 'put' in operation ? operation.put : operation.delete;
    if (!KEY.test(key)) throw misuse(`the key ${JSON.stringify(key)} is not a path of printable ASCII`);
    if (keys.has(key)) throw misuse(`one transaction changes ${key} twice`);
    keys.add(key);
    if ('put' in operation && !operation.value.isWellFormed()) throw misuse(`the value of ${key} is not well-formed Unicode`);
  }
}
