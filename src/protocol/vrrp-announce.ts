/**
 * When an Active announces its addresses, and when it asks for a proof that neighbours use it. One deadline, `next`, and in a duel
 * `quietAt`.
 *
 * - After a take: `count` announcements, the first at once, the gaps doubled each time; then every `refresh`, if there is one. As long as
 *   nobody was seen to use this host, each is followed by `verify`: it costs a request per neighbour, ends by itself, and a
 *   neighbour or switch that missed one announcement gets the next ones and a question as well.
 * - After a duel, without end until the proof is there: at once, after 10, 20, 40 … ms, at most 1 s apart. What the other sent may still be
 *   under way and turn everybody back, so when it has been silent for two of its intervals the schedule begins anew, and only a
 *   proof from then on ends it (`healed`). `after` is told from the first proof that nothing contradicted.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { IpAddress } from '../wire/ip-address.ts';

/** `interval`: between the first two announcements; `refresh`: between those that never end. */
export interface AnnounceSettings {
  readonly count: number;
  readonly interval: Milliseconds;
  readonly refresh?: Milliseconds;
}

export type AnnounceEffect =
  /** Gratuitous ARP in both forms, or unsolicited NA, for every address. */
  | { readonly do: 'announce' }
  /** Ask neighbours from the virtual addresses, so that an answer proves they use this host; it comes back as `used`. */
  | { readonly do: 'verify' }
  /** Two Actives met. Told once, until it has `healed`; the winner does not tell of one that it has just preempted. */
  | { readonly do: 'duel'; readonly with: IpAddress; readonly won: boolean }
  /** The winner of a duel was seen to be used, `after` so long. */
  | { readonly do: 'healed'; readonly after: Milliseconds };

export interface Announcing {
  /** When it took the addresses. */
  readonly tookAt: Milliseconds;
  /** Of the next announcement; without, there is none. */
  readonly next: Milliseconds | undefined;
  /** Between the last and the next. */
  readonly gap: Milliseconds;
  /** How many are left of the round; a duel has no end of its own. */
  readonly left: number;
  /** When a neighbour was first seen to use this host, since it took over or since the other of a duel was last heard. */
  readonly usedAt: Milliseconds | undefined;
  /** `quietAt`: when the other has been silent long enough; absent once it has been. */
  readonly duel: { readonly since: Milliseconds; readonly quietAt: Milliseconds | undefined; readonly told: boolean } | undefined;
}

type Step = readonly [Announcing, ...AnnounceEffect[]];

const FIRST_GAP = ms(10);
const LONGEST_GAP = ms(1000);
/** Whoever is heard again may yield to this very answer, so it is soon followed by an announcement; 20 a second at most, if it never yields. */
const RIVAL_GAP = ms(50);

/** It has taken the addresses. */
export function beginAnnouncing(settings: AnnounceSettings, now: Milliseconds): Step {
  const begun: Announcing = { tookAt: now, next: undefined, gap: settings.interval, left: settings.count - 1, usedAt: undefined, duel: undefined };
  return [{ ...begun, next: following(begun, settings, now) }, ...SAY];
}

/** The schedule was changed: it counts from the next round on. */
export const changeAnnouncing = (state: Announcing, settings: AnnounceSettings, now: Milliseconds): Announcing =>
  state.duel || state.left > 0 ? state : { ...state, next: following(state, settings, now) };

/** Infinity: nothing is planned. */
export const announceDeadline = ({ next, duel }: Announcing): Milliseconds => ms(Math.min(next ?? Infinity, duel?.quietAt ?? Infinity));

/** Another Active was heard `at`, and this one stays. `patience`: how long it must be silent to count as gone; 0: it said that it goes. */
export function rivalHeard(state: Announcing, rival: IpAddress, at: Milliseconds, patience: Milliseconds, now: Milliseconds): Step {
  const quietAt = patience > 0 ? ms(at + patience) : undefined;
  const known = state.duel;
  if (known && quietAt !== undefined) {
    const next = ms(Math.min(state.next ?? Infinity, now + RIVAL_GAP));
    return [{ ...state, next, gap: ms(Math.min(state.gap, RIVAL_GAP / 2)), usedAt: undefined, duel: { ...known, quietAt } }];
  }
  // Whoever was just preempted is heard once more, in good order; all that has to be done is the same.
  const told = known ? known.told : at - state.tookAt > patience;
  return [
    { ...state, next: ms(now + FIRST_GAP), gap: FIRST_GAP, left: 0, usedAt: undefined, duel: { since: known?.since ?? now, quietAt, told } },
    ...(told && !known ? [{ do: 'duel', with: rival, won: true } as const] : []),
    ...SAY,
  ];
}

/** A neighbour was seen to use this host. */
export function used(state: Announcing, settings: AnnounceSettings, now: Milliseconds): Step {
  const { duel, usedAt = now } = state;
  if (!duel || duel.quietAt !== undefined) return [{ ...state, usedAt }];
  const over: Announcing = { ...state, usedAt, duel: undefined, left: 0 };
  const after: Announcing = { ...over, next: following(over, settings, now) };
  return duel.told ? [after, { do: 'healed', after: ms(usedAt - duel.since) }] : [after];
}

/** What is due at `now`. */
export function announceDue(state: Announcing, settings: AnnounceSettings, now: Milliseconds): Step {
  const { duel } = state;
  if (duel?.quietAt !== undefined && duel.quietAt <= now) {
    return [{ ...state, duel: { ...duel, quietAt: undefined }, next: ms(now + FIRST_GAP), gap: FIRST_GAP }, ...SAY];
  }
  if (state.next === undefined || state.next > now) return [state];
  if (duel) {
    const gap = ms(Math.min(2 * state.gap, LONGEST_GAP));
    return [{ ...state, gap, next: ms(now + gap) }, ...SAY];
  }
  const after: Announcing = { ...state, gap: ms(2 * state.gap), left: Math.max(0, state.left - 1) };
  return [{ ...after, next: following(after, settings, now) }, ...(state.usedAt === undefined ? SAY : SAY.slice(0, 1))];
}

const SAY: readonly AnnounceEffect[] = [{ do: 'announce' }, { do: 'verify' }];

/** When the next one of an ordinary round is due, or of the refreshes after it. */
function following({ left, gap }: Announcing, { refresh }: AnnounceSettings, now: Milliseconds): Milliseconds | undefined {
  if (left > 0) return ms(now + gap);
  return refresh === undefined ? undefined : ms(now + refresh);
}
