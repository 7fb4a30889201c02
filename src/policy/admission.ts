/**
 * Which of the moves that wait may begin now, and what the others wait for. One move at a time between two hosts, so many at a time
 * per host, and a pause for a VM that moved often.
 *
 * First come, first served, without starving anyone: a move that only waits for room keeps what it needs from all that came later,
 * so that it begins at the latest when all that ran before it have ended. One that waits for something of its own (its host is
 * silent, its VM moved too often) keeps nothing.
 */
import type { BytesPerSecond, Milliseconds } from '../base/units.ts';
import { bytesPerSecond, seconds } from '../base/units.ts';

/** RFC 7432 §15.1: a MAC that moves 5 times in 180 s is taken for a duplicate and frozen. */
export const MOVE_WINDOW = seconds(180);

export interface Move {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export interface WaitingMove extends Move {
  /** Why it cannot begin, whatever room there is. */
  readonly blocked?: string;
}

export interface AdmissionFacts {
  readonly running: readonly Move[];
  /** In the order of asking. */
  readonly waiting: readonly WaitingMove[];
  /** Moves at a time of this host, in and out together, at least 1. */
  readonly limit: (host: string) => number;
}

export interface Admission {
  readonly begin: readonly string[];
  /** By name, in words: why the others wait. */
  readonly waits: ReadonlyMap<string, string>;
}

export function admit({ running, waiting, limit }: AdmissionFacts): Admission {
  const begin: string[] = [];
  const waits = new Map<string, string>();
  /** By pair: the move that has it, or will have it next. */
  const pairs = new Map<string, { readonly move: Move; readonly runs: boolean }>();
  const claims = new Map<string, Move[]>();
  const claim = (move: Move, runs: boolean): void => {
    pairs.set(pairOf(move), { move, runs });
    for (const host of [move.from, move.to]) claims.set(host, [...(claims.get(host) ?? []), move]);
  };
  for (const move of running) claim(move, true);

  for (const move of waiting) {
    if (move.blocked !== undefined) {
      waits.set(move.name, move.blocked);
      continue;
    }
    const before = pairs.get(pairOf(move));
    if (before) {
      // It needs no room of its own: it takes that of the one before it.
      waits.set(move.name, `${before.move.name} ${before.runs ? 'runs' : 'comes first'} between ${move.from} and ${move.to}: one move at a time between two hosts`);
      continue;
    }
    const full = [move.from, move.to].find((host) => (claims.get(host)?.length ?? 0) >= limit(host));
    claim(move, false);
    if (full === undefined) begin.push(move.name);
    else {
      const others = (claims.get(full) ?? []).filter((m) => m !== move).map((m) => m.name);
      waits.set(move.name, `${full} takes ${limit(full)} ${limit(full) === 1 ? 'move' : 'moves'} at a time, and has or waits for ${others.join(', ')}`);
    }
  }
  return { begin, waits };
}

const pairOf = ({ from, to }: Move): string => [from, to].sort().join(' ');

/**
 * Why a VM may not move again yet; undefined when it may. `moved`: when its earlier moves ended, on the clock of `now`, which must be
 * a monotonic one.
 */
export function movedTooOften(moved: readonly Milliseconds[], now: Milliseconds, allowed: number): string | undefined {
  const recent = moved.filter((at) => now - at < MOVE_WINDOW).length;
  return recent < allowed
    ? undefined
    : `It moved ${recent} times in the last 3 minutes, and a fabric with EVPN freezes an address at the fifth: it waits until that is over`;
}

/** What one move may use: an equal share at each end, never more than either end's cap, never 0. Bytes per second. */
export function share(move: Move, running: readonly Move[], cap: (host: string) => BytesPerSecond): BytesPerSecond {
  const at = (host: string): number => {
    const moves = running.filter((m) => m.name !== move.name && (m.from === host || m.to === host)).length + 1;
    return Math.floor(cap(host) / moves);
  };
  return bytesPerSecond(Math.max(1, Math.min(at(move.from), at(move.to))));
}
