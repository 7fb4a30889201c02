/**
 * Which sizes of IP packet pass a path: one of the wanted size with DF now and then; when it does not come back, the largest that does is
 * searched for by halving. Pure: it says what to send when, and is told what became of it.
 *
 * - `vanished` counts only while small probes pass: a path that is down has no MTU. Three in a row, and larger ones vanish without a word:
 *   a black hole (RFC 4821 §1).
 * - Who says that it is too big (the link's own EMSGSIZE, ICMP) is an answer too: no black hole. ICMP can be forged, so the size that it
 *   names is only what is tried next.
 * - A size of the search is tried three times at once, so that ordinary loss is not taken for a limit: where 5 % are lost each way, one
 *   step in 1000 goes wrong, and is mended: what was found is tried again and again, and three losses in a row begin the search anew.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import type { PathMtu } from '../model/path.ts';

/** Losses in a row that are no chance. */
const TRIES = 3;
/** Between two tries of a size whose fate is urgent. */
const HURRY = ms(100);
/** For so long it counts that somebody said so. */
const TOLD = seconds(30);
/** A search is over when this many bytes are left between what passes and what does not. */
const GRAIN = 1;

interface Search {
  /** Passes; vanishes or is too big. */
  low: number;
  high: number;
  size: number;
  sent: number;
  vanished: number;
  /** What somebody said would pass, while that is tried. */
  named: number | undefined;
}

export class MtuProbe {
  readonly #least: number;
  readonly #interval: Milliseconds;
  readonly wanted: number;
  #due: Milliseconds;
  #passes: number | undefined;
  #misses = 0;
  #toldAt = -Infinity;
  #blackHole = false;
  #search: Search | undefined;
  /** Of `#passes`, when it is below the wanted one and found: tried in turns with that. */
  #turn = false;
  #passesMisses = 0;

  /** @param least the small probes' own size, which passes where they do  @param interval between two full-size ones */
  constructor(wanted: number, least: number, interval: Milliseconds = seconds(1), now: Milliseconds = ms(0)) {
    this.wanted = wanted;
    this.#least = Math.min(least, wanted);
    this.#interval = interval;
    this.#due = now;
  }

  get due(): Milliseconds {
    return this.#due;
  }

  get mtu(): PathMtu {
    return { wanted: this.wanted, ...(this.#passes !== undefined && { passes: this.#passes }), blackHole: this.#blackHole };
  }

  /** The size to send now, bytes of IP packet; call it when `due`. */
  next(now: Milliseconds): number | undefined {
    const search = this.#search;
    if (search) {
      if (search.sent >= TRIES) {
        // Its fate is told, in a timeout at most; this is for one that got lost on the way to us.
        search.sent = 0;
        this.#due = ms(now + this.#interval);
        return undefined;
      }
      search.sent++;
      this.#due = ms(now + (search.sent < TRIES ? HURRY : 4 * this.#interval));
      return search.size;
    }
    const settled = this.#passes !== undefined && this.#passes < this.wanted;
    if (settled) {
      this.#turn = !this.#turn;
      this.#due = ms(now + (this.#passesMisses > 0 ? HURRY : this.#interval / 2));
      return this.#turn ? this.#passes : this.wanted;
    }
    this.#due = ms(now + (this.#misses > 0 && this.#misses < TRIES ? HURRY : this.#interval));
    return this.wanted;
  }

  /** It came back whole. */
  passed(size: number, now: Milliseconds): void {
    if (size >= this.wanted) {
      this.#passes = this.wanted;
      this.#misses = 0;
      this.#blackHole = false;
      this.#search = undefined;
      this.#due = ms(Math.max(this.#due, now + this.#interval));
      return;
    }
    if (size === this.#passes) this.#passesMisses = 0;
    if (this.#search && size > this.#search.low && size < this.#search.high) {
      this.#search.low = size;
      this.#passes = size;
      // Who was right about what passes is right about what does not: one byte more is tried, and no halving.
      this.#step(now, size === this.#search.named ? size + 1 : undefined);
    }
  }

  /** It did not. @param smallPass whether small ones came back meanwhile */
  vanished(size: number, smallPass: boolean, now: Milliseconds): void {
    if (!smallPass) {
      this.#misses = this.#passesMisses = 0;
      if (this.#search) this.#search.sent = this.#search.vanished = 0;
      else this.#passes = undefined;
      this.#due = ms(Math.min(this.#due, now + this.#interval));
      return;
    }
    if (size === this.wanted) {
      // Routers say it once a second, to all that is sent together (icmp_ratelimit).
      if (now - this.#toldAt < TOLD) return;
      this.#misses++;
      if (this.#misses < TRIES) this.#due = ms(Math.min(this.#due, now));
      else if (!this.#blackHole) {
        this.#blackHole = true;
        if (this.#passes === undefined || this.#passes >= this.wanted) this.#begin(this.wanted, now);
      }
      return;
    }
    const search = this.#search;
    if (search) {
      if (size !== search.size || ++search.vanished < TRIES) return;
      search.high = size;
      this.#step(now);
    } else if (size === this.#passes && ++this.#passesMisses >= TRIES) {
      this.#passes = undefined;
      this.#begin(size, now);
    } else if (size === this.#passes) this.#due = ms(Math.min(this.#due, now));
  }

  /** Somebody said that it is too big. @param limit what passes, as he says */
  tooBig(size: number, limit: number | undefined, now: Milliseconds): void {
    if (size >= this.wanted) {
      this.#blackHole = false;
      this.#misses = 0;
      this.#toldAt = now;
      // The same again: it is known how much passes.
      if (this.#passes !== undefined && this.#passes < this.wanted && !this.#search) return;
    }
    const search = this.#search;
    if (!search) {
      if (size <= (this.#passes ?? this.#least) || size >= this.wanted) this.#begin(size, now, limit);
      return;
    }
    if (size <= search.low || size > search.high) return;
    search.high = Math.min(size, search.high);
    this.#step(now, limit);
  }

  #begin(high: number, now: Milliseconds, limit?: number): void {
    if (this.#search) return;
    const passes = this.#passes !== undefined && this.#passes < high ? this.#passes : this.#least;
    this.#passes = undefined;
    this.#passesMisses = 0;
    this.#search = { low: Math.min(passes, high - 1), high, size: 0, sent: 0, vanished: 0, named: undefined };
    this.#step(now, limit);
  }

  #step(now: Milliseconds, limit?: number): void {
    const search = this.#search;
    if (!search) return;
    this.#due = ms(now);
    if (search.high - search.low <= GRAIN) {
      this.#passes = search.low;
      this.#passesMisses = 0;
      this.#search = undefined;
      return;
    }
    const { low, high } = search;
    search.named = limit !== undefined && limit > low && limit < high ? limit : undefined;
    search.size = search.named ?? low + Math.ceil((high - low) / 2);
    search.sent = search.vanished = 0;
  }
}
