/** Moves that fill a path which has become sick since they began get half of their bandwidth, and all of it again when it is well. */
import { type ActingFacts, type MoveFacts, type Standing, type Subject, limitKey, subjectKey } from './acting-facts.ts';
import type { Limits } from './acting-limit.ts';
import { rate } from './acting-paths.ts';
import { pairOf } from './path-use.ts';
import { seconds } from '../base/units.ts';

/** Of a path's capacity: who takes more fills it. */
const FILLS = 0.5;
/** Of what it may send: no less is left to it. */
const LEAST = 0.1;
/** So long it takes to see whether a step has helped. */
const STEP = seconds(10);

export function bandwidthStandings(facts: ActingFacts, limits: Limits): Standing[] {
  const mode = facts.policy.modes.bandwidth;
  if (mode === 'off') return [];
  return facts.moves.flatMap((move) => {
    const standing = ofMove(move, mode, facts, limits);
    return standing ? [standing] : [];
  });
}

function ofMove(move: MoveFacts, mode: 'advise' | 'act', { at, pairs, standings, deeds }: ActingFacts, limits: Limits): Standing | undefined {
  const { migration, vm, from, to, path: name, throughput, cap } = move;
  const [a, b] = pairOf(from, to);
  const path = pairs.find((pair) => pair.a === a && pair.b === b)?.paths.find((p) => p.path === name);
  const subject: Subject = { action: 'bandwidth', migration, host: from };
  const key = limitKey(subject);
  const known = standings.get(subjectKey(subject));
  // Of another mode it is none.
  const before = known?.mode === mode ? known : undefined;
  const slowed = before !== undefined && before.heldBack === undefined ? before.share : undefined;
  const give = (share: number, because: readonly string[], heldBack?: string): Standing => ({
    action: 'bandwidth', mode, subject, share, because, what: `${migration} (${vm} from ${from} to ${to}) is slowed to ${rate(cap * share)}, ${Math.round(share * 100)} % of what it may send`,
    ...(heldBack === undefined ? {} : { heldBack }),
  });
  if (!path || path.state === 'unknown') return before;
  if (path.state !== 'unfit') {
    // What cannot be slowed again when that does not last is not sped up yet.
    const restored = path.state === 'fit' && limits.full(key) === undefined;
    return slowed === undefined || restored ? undefined : before;
  }
  const fills = throughput > FILLS * path.capacity;
  if (slowed === undefined ? !fills || !(move.wasWell || before) : !fills || slowed <= LEAST || mode === 'advise') return before;
  if (deeds.some((deed) => deed.key === key && at - deed.at < STEP)) return before;
  const because = [`path ${name} between ${a} and ${b}: ${path.because ?? 'unfit'}`, `the move sends ${rate(throughput)}, and the path carries ${rate(path.capacity)}`];
  const full = limits.full(key);
  if (full !== undefined) return slowed === undefined ? give(1, because, full) : before;
  limits.take(key);
  return give(Math.max(LEAST, (slowed ?? 1) / 2), because);
}
