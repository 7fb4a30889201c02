/** Conflicts that go on: each is told when it begins, and when nobody has been seen to claim for a while. */

/** Without a claim for so long, a conflict is over. ms. */
export const QUIET = 60_000;
/** Conflicts kept at a time; more are counted. */
const MOST = 256;

/** One who claims. `port`: the interface at which that was seen, or of the guest whose address it is. */
export interface ConflictEnd {
  /** Absent: a virtual router without virtual MAC, of whose hosts none was seen. */
  readonly mac?: string;
  readonly port?: string;
  readonly vm?: string;
  readonly nic?: number;
  readonly router?: string;
}

/** Who disputes which address with whom. */
export interface Dispute {
  readonly network: string;
  readonly address: string;
  /** `claim`: both say they have it. `probe`: both asked for it at the same time, before they took it. */
  readonly by: 'claim' | 'probe';
  readonly ends: readonly [ConflictEnd, ConflictEnd];
}

/** One that goes on. When it was seen first and last, in ms on the caller's clock. */
export interface Conflict extends Dispute {
  readonly first: number;
  readonly last: number;
}

/** The same for the same two, whoever of them came first. */
export const conflictKey = ({ network, address, ends }: Omit<Dispute, 'by'>): string =>
  [network, address, ...ends.map(({ mac, router }) => mac ?? router ?? '').toSorted((a, b) => (a < b ? -1 : 1))].join(' ');

export interface ConflictChange {
  readonly change: 'began' | 'ended';
  readonly conflict: Conflict;
}

export class Conflicts {
  readonly #open = new Map<string, Conflict>();
  #refused = 0;

  /** The same two again are the same conflict. */
  seen(what: Dispute, now: number): readonly ConflictChange[] {
    const key = conflictKey(what);
    const known = this.#open.get(key);
    if (!known && this.#open.size >= MOST) {
      this.#refused++;
      return [];
    }
    const conflict: Conflict = known ? { ...known, last: now } : { ...what, first: now, last: now };
    this.#open.set(key, conflict);
    return known ? [] : [{ change: 'began', conflict }];
  }

  expire(now: number): readonly ConflictChange[] {
    const over = [...this.#open].filter(([, { last }]) => now - last >= QUIET);
    for (const [key] of over) this.#open.delete(key);
    return over.map(([, conflict]) => ({ change: 'ended', conflict }));
  }

  all(): readonly Conflict[] {
    return [...this.#open.values()];
  }

  get refused(): number {
    return this.#refused;
  }
}
