/** What becomes of adverts that could not be sent: a full queue is tried again soon, the rest is the router's fault before long. Pure. */
import { type Milliseconds, ms } from '../base/units.ts';

/** Until a queue that was full is tried again. */
const PATIENCE = ms(3);
/** Failures in a row that make a fault. */
const MOST = 3;

/** Who sends. */
export interface Sender {
  readonly name: string;
}

/** An errno's name, or `peers`: see RouterDriver.send. */
type Unsent = string | undefined;

interface Again<S> {
  readonly sender: S;
  readonly at: number;
  readonly send: () => Unsent;
}

export class SendTroubles<S extends Sender> {
  readonly #hopeless: (sender: S, errno: string) => void;
  readonly #failures = new Map<string, number>();
  #again: Again<S>[] = [];

  /** `hopeless`: told of who cannot send, and why. */
  constructor(hopeless: (sender: S, errno: string) => void) {
    this.#hopeless = hopeless;
  }

  /** Sends, and again after a while where the queue is full: a later advert would come after a whole interval. */
  send(sender: S, send: () => Unsent, now: Milliseconds): void {
    const unsent = send();
    if (unsent === 'ENOBUFS') this.#again.push({ sender, at: now + PATIENCE, send });
    else this.#count(sender, unsent);
  }

  /** When `retry` is wanted. */
  get due(): number {
    return Math.min(Infinity, ...this.#again.map(({ at }) => at));
  }

  retry(now: Milliseconds): void {
    const due = this.#again.filter(({ at }) => at <= now);
    if (due.length === 0) return;
    this.#again = this.#again.filter(({ at }) => at > now);
    for (const { sender, send } of due) this.#count(sender, send());
  }

  /** It sends no more, or begins anew. */
  forget({ name }: S): void {
    this.#failures.delete(name);
    this.#again = this.#again.filter(({ sender }) => sender.name !== name);
  }

  #count(sender: S, unsent: Unsent): void {
    // A link that is down, and peers that are not there, are known otherwise.
    if (unsent === 'ENETDOWN' || unsent === 'peers') return;
    const failures = unsent === undefined ? 0 : (this.#failures.get(sender.name) ?? 0) + 1;
    if (failures === 0) this.#failures.delete(sender.name);
    else this.#failures.set(sender.name, failures);
    if (unsent === undefined || (failures < MOST && unsent !== 'EMSGSIZE')) return;
    this.#failures.delete(sender.name);
    this.#hopeless(sender, unsent);
  }
}
