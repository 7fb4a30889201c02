/** How often somebody without a certificate may knock: a bucket of tries for each address, filled again with time. */
import type { Milliseconds } from '../base/units.ts';

const TRIES = 10;
/** ms until one more. */
const REFILL = 6000;
/** Addresses remembered; past that the one longest not seen is forgotten. */
const ADDRESSES = 4096;

export class JoinLimit {
  readonly #buckets = new Map<string, { tries: number; at: number }>();

  /** Whether one more try from this address is allowed; `now` is monotonic. */
  take(address: string, now: Milliseconds): boolean {
    const key = network(address);
    const { tries, at } = this.#buckets.get(key) ?? { tries: TRIES, at: now };
    const left = Math.min(TRIES, tries + (now - at) / REFILL);
    this.#buckets.delete(key);
    this.#buckets.set(key, { tries: left >= 1 ? left - 1 : left, at: now });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > ADDRESSES && oldest !== undefined) this.#buckets.delete(oldest);
    return left >= 1;
  }
}

/** Whoever has one address of an IPv6 /64 has them all. */
function network(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail)];
  const between = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return [...before, ...between, ...after].slice(0, 4).join(':');
}
