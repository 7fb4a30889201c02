/**
 * What is to be told to one webhook, in its order: one POST at a time, tried again when it fails in a way that may pass, and given up after
 * that. The queue is bounded: where the other side is slower than what happens, the oldest are dropped, and counted.
 */
import type { Clock } from '../base/clock.ts';
import { type Milliseconds, ms, seconds } from '../base/units.ts';

/** Its HTTP status; fails when there is none. Follows no redirect. */
export type Post = (url: string, body: string, signal: AbortSignal) => Promise<number>;

/** What is said of a webhook, when it changes. `dropped`: events that it never got. */
export type WebhookNews =
  | { readonly kind: 'fails'; readonly why: string }
  | { readonly kind: 'drops' }
  | { readonly kind: 'works'; readonly dropped: number };

export const QUEUE = 256;
export const TIMEOUT = seconds(5);
const ATTEMPTS = 6;
const FIRST_PAUSE = seconds(1);
const LONGEST_PAUSE = seconds(60);

export class WebhookLine {
  readonly #url: string;
  readonly #post: Post;
  readonly #clock: Clock;
  readonly #onNews: (news: WebhookNews) => void;
  readonly #queue: string[] = [];
  readonly #stop = new AbortController();
  #working: Promise<void> | undefined;
  #failing = false;
  #dropped = 0;
  #tellsOfDrops = false;

  constructor(url: string, parts: { readonly post: Post; readonly clock: Clock; readonly onNews: (news: WebhookNews) => void }) {
    this.#url = url;
    this.#post = parts.post;
    this.#clock = parts.clock;
    this.#onNews = parts.onNews;
  }

  /** Never waits. */
  send(body: string): void {
    if (this.#stop.signal.aborted) return;
    if (this.#queue.length >= QUEUE) {
      // The first may be under way: it is no less delivered for that.
      this.#queue.splice(1, 1);
      this.#drop();
    }
    this.#queue.push(body);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** What is queued is forgotten. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let body; !this.#stop.signal.aborted && (body = this.#queue[0]) !== undefined; ) {
      const delivered = await this.#deliver(body);
      if (this.#stop.signal.aborted) return;
      this.#queue.shift();
      if (delivered) {
        if (this.#failing || this.#dropped > 0) this.#onNews({ kind: 'works', dropped: this.#dropped });
        [this.#failing, this.#dropped, this.#tellsOfDrops] = [false, 0, false];
      } else this.#drop();
    }
  }

  async #deliver(body: string): Promise<boolean> {
    for (let attempt = 1, pause: Milliseconds = FIRST_PAUSE; ; attempt++, pause = ms(Math.min(LONGEST_PAUSE, pause * 2))) {
      const outcome = await this.#try(body);
      if (outcome === 'delivered' || this.#stop.signal.aborted) return outcome === 'delivered';
      if (!this.#failing) this.#onNews({ kind: 'fails', why: outcome.why });
      this.#failing = true;
      if (!outcome.again || attempt === ATTEMPTS) return false;
      await this.#clock.sleep(pause, this.#stop.signal);
      if (this.#stop.signal.aborted) return false;
    }
  }

  async #try(body: string): Promise<'delivered' | { readonly why: string; readonly again: boolean }> {
    const done = new AbortController();
    const limit = new AbortController();
    const late = this.#clock.sleep(TIMEOUT, AbortSignal.any([done.signal, this.#stop.signal])).then(() => {
      limit.abort();
      return undefined;
    });
    try {
      const status = await Promise.race([this.#post(this.#url, body, limit.signal), late]);
      if (status === undefined) return { why: `it did not answer within ${TIMEOUT / 1000} s`, again: true };
      if (status >= 200 && status < 300) return 'delivered';
      const moved = status >= 300 && status < 400 ? ': redirects are not followed, give the address it points to' : '';
      return { why: `it answered ${status}${moved}`, again: status >= 500 || status === 408 || status === 425 || status === 429 };
    } catch (error) {
      return { why: `it could not be reached (${codeOf(error)})`, again: true };
    } finally {
      done.abort();
      await late;
    }
  }

  #drop(): void {
    this.#dropped++;
    if (this.#tellsOfDrops) return;
    this.#tellsOfDrops = true;
    this.#onNews({ kind: 'drops' });
  }
}

/** The text of such an error may have the whole URL in it, and that may hold a secret. */
function codeOf(error: unknown): string {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 4; e = e.cause, depth++) if ('code' in e && typeof e.code === 'string') return e.code;
  return error instanceof Error ? error.name : 'unknown';
}
