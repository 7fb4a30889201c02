/** Virtual time of the network in memory, and the deadlines that wait in it. Nothing passes but by `advance`. */
import { errno, systemError } from './errno.ts';
import { checkInstant } from './native.ts';
import type { Deadline } from './native.ts';

export class VirtualTime {
  #now = 0;
  readonly #armed = new Set<MemoryDeadline>();

  /** ms; begins at 0. */
  get now(): number {
    return this.#now;
  }

  /**
   * Lets `ms` pass: from deadline to deadline in their order, each at its own instant, and all that comes of one (listeners, what they
   * send, who hears it) done before the next.
   */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settled();
      const next = this.#earliest();
      if (next === undefined || next.at > until) break;
      this.#now = Math.max(this.#now, next.at);
      next.expire();
    }
    this.#now = until;
  }

  deadline(): Deadline {
    return new MemoryDeadline(this.#armed, () => this.#now);
  }

  #earliest(): MemoryDeadline | undefined {
    let earliest: MemoryDeadline | undefined;
    // Those without a listener go off unheard when one comes.
    for (const deadline of this.#armed) if (deadline.heard && (!earliest || deadline.at < earliest.at)) earliest = deadline;
    return earliest;
  }
}

/** All microtasks, and those that they make. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class MemoryDeadline implements Deadline {
  readonly #armed: Set<MemoryDeadline>;
  readonly #now: () => number;
  #at = Infinity;
  #listener: (() => void) | undefined;
  #closed = false;

  constructor(armed: Set<MemoryDeadline>, now: () => number) {
    this.#armed = armed;
    this.#now = now;
  }

  get at(): number {
    return this.#at;
  }

  get heard(): boolean {
    return this.#listener !== undefined;
  }

  arm(at: number | undefined): void {
    this.#checkOpen('timerfd_settime');
    if (at !== undefined) checkInstant(at);
    this.#at = at ?? Infinity;
    if (at === undefined) this.#armed.delete(this);
    else this.#armed.add(this);
    this.#wake();
  }

  onExpired(listener: (() => void) | undefined): void {
    if (listener !== undefined) this.#checkOpen('poll');
    this.#listener = listener;
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#listener = undefined;
    this.#armed.delete(this);
  }

  expire(): void {
    if (this.#listener === undefined || this.#at > this.#now()) return;
    this.#at = Infinity;
    this.#armed.delete(this);
    this.#listener();
  }

  /** What has passed already needs no `advance`. */
  #wake(): void {
    if (this.#at <= this.#now()) queueMicrotask(() => this.expire());
  }

  #checkOpen(call: string): void {
    if (this.#closed) throw systemError(`${call} deadline`, errno.EBADF);
  }
}
