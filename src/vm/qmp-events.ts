/**
 * Events, heard as they come and found again when they came before anybody waited for them.
 *
 * A waiter names a mark, taken *before* it did what causes the event: `mark(); execute('stop'); waitFor('STOP', …)`. The
 * events are a linked list and a mark is a place in it, so an event after the mark is seen whether it came before or after
 * `waitFor`: a wakeup cannot be lost. What no mark can reach any more is garbage; nothing is trimmed by count or age.
 */
import type { Milliseconds } from '../base/units.ts';
import { QmpClosed, QmpTimeout } from './qmp-errors.ts';
import type { QmpEvents } from './qmp-types.ts';

export type QmpEventName = keyof QmpEvents;

export interface QmpEvent<Name extends QmpEventName = QmpEventName> {
  readonly name: Name;
  readonly data: QmpEvents[Name];
  /** When QEMU raised it: CLOCK_REALTIME, ms since the epoch, to the microsecond. */
  readonly at: number;
}

/** A place between two events. */
export interface QmpMark {
  /** The event after it and the place after that, once there is one. */
  next?: { readonly event: QmpEvent; readonly mark: QmpMark };
}

export interface WaitForOptions<Name extends QmpEventName> {
  readonly since: QmpMark;
  readonly timeout: Milliseconds;
  /** Without it the first event of that name will do. */
  readonly predicate?: (event: QmpEvent<Name>) => boolean;
}

interface Waiter {
  readonly offer: (event: QmpEvent) => void;
  readonly fail: (error: QmpClosed) => void;
}

export class QmpEventLog {
  #tail: QmpMark = {};
  readonly #listeners = new Map<string, Set<(event: QmpEvent) => void>>();
  readonly #waiters = new Set<Waiter>();
  #closed: { readonly cause: unknown } | undefined;

  /** Listeners run in the order they were added. One that throws is a bug: uncaught, yet the others still run. */
  append(event: QmpEvent): void {
    const mark: QmpMark = {};
    this.#tail.next = { event, mark };
    this.#tail = mark;
    // Before the listeners: what one of them waits for from a mark of now is not this event.
    for (const waiter of this.#waiters) waiter.offer(event);
    for (const listener of Array.from(this.#listeners.get(event.name) ?? [])) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Nothing comes any more: all waiters, and later ones that find no event, fail with QmpClosed. */
  close(cause: unknown): void {
    this.#closed = { cause };
    for (const waiter of this.#waiters) waiter.fail(new QmpClosed('while an event was waited for', { cause }));
  }

  mark(): QmpMark {
    return this.#tail;
  }

  /** Returns what removes the listener. */
  on<Name extends QmpEventName>(name: Name, listener: (event: QmpEvent<Name>) => void): () => void {
    const offered = (event: QmpEvent): void => {
      if (isNamed(event, name)) listener(event);
    };
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(offered));
    return () => void listeners.delete(offered);
  }

  /** Fails with QmpTimeout, QmpClosed, or what the predicate throws. */
  waitFor<Name extends QmpEventName>(name: Name, { since, timeout, predicate }: WaitForOptions<Name>): Promise<QmpEvent<Name>> {
    const matches = (event: QmpEvent): event is QmpEvent<Name> => isNamed(event, name) && (predicate?.(event) ?? true);
    return new Promise((resolve, reject) => {
      for (let { next } = since; next !== undefined; next = next.mark.next) {
        if (matches(next.event)) return resolve(next.event);
      }
      if (this.#closed !== undefined) return reject(new QmpClosed(`before ${name} came`, this.#closed));
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        offer: (event) => {
          try {
            if (!matches(event)) return;
            resolve(event);
          } catch (error) {
            reject(error);
          }
          done();
        },
        fail: (error) => {
          reject(error);
          done();
        },
      };
      const timer = setTimeout(() => {
        reject(new QmpTimeout(`event ${name}`, timeout));
        done();
      }, timeout);
      this.#waiters.add(waiter);
    });
  }
}

function isNamed<Name extends QmpEventName>(event: QmpEvent, name: Name): event is QmpEvent<Name> {
  return event.name === name;
}
