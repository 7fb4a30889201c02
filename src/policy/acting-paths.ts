/**
 * Which paths between two hosts are taken out of use. What protocol/path-choice.ts does not choose goes out, with these guards:
 *
 * - never the last one: what it chooses stays in use, however sick;
 * - none goes out when what is left cannot carry what moves send now, unless nothing comes through it anyway;
 * - one comes back when it is chosen again, which path-quality.ts grants only after its hold; and only while the limit has room for taking
 *   it out once more: so none flaps, and none stays in use sick because the limit is reached.
 */
import { choosePaths, type PathFacts as ChosenFrom } from '../protocol/path-choice.ts';
import type { PathJudgement } from '../model/path.ts';
import type { PathState as Heard } from '../protocol/failure-detector.ts';
import { ms } from '../base/units.ts';
import { type ActingFacts, type PairFacts, type PathFact, type Standing, type Subject, type WellAgain, limitKey, subjectKey } from './acting-facts.ts';
import type { Limits } from './acting-limit.ts';

/** What one end says of a path. `heard`: by its failure detector, when it does not doubt itself. */
export interface PathSide {
  readonly from: string;
  readonly judgement?: PathJudgement;
  readonly heard?: Heard;
}

/**
 * Both ends together. A detector's silence counts where probes do not come back well either: the other's sessions may just not run. And
 * that none comes back does not count where the detector hears: then nobody answers there. Of a path that is cut one way only, the end
 * that does not hear says so.
 */
export function pathFact(path: string, sides: readonly PathSide[], capacity: number, at: WellAgain): PathFact {
  let [slowLoss, latency]: [number, PathFact['latency']] = [0, undefined];
  let [down, unfit, silent]: (PathSide | undefined)[] = [];
  let [well, recovers] = [false, true];
  for (const side of sides) {
    const { judgement, heard } = side;
    if (judgement) {
      slowLoss = Math.max(slowLoss, judgement.slowLoss);
      if (judgement.latency !== undefined) latency = ms(Math.max(latency ?? 0, judgement.latency));
    }
    if (judgement?.state === 'down') {
      if (heard !== 'heard') down ??= side;
    }
    if (judgement?.state === 'unfit') {
      unfit ??= side;
      recovers &&= judgement.loss <= at.loss && (at.latency === undefined || (judgement.latency ?? Infinity) <= at.latency);
    }
    if (heard === 'silent' && judgement?.state !== 'fit') silent ??= side;
    well ||= judgement?.state === 'fit' || (heard === 'heard' && judgement?.state !== 'down');
  }
  const figures = { path, capacity, slowLoss, latency };
  if (down) return { ...figures, state: 'down', because: `${down.from}: ${down.judgement?.because ?? 'nothing comes back'}` };
  if (silent) return { ...figures, state: 'down', because: `${silent.from} hears nothing there` };
  if (unfit) return { ...figures, state: 'unfit', recovers, because: `${unfit.from}: ${unfit.judgement?.because ?? 'unfit'}` };
  return { ...figures, state: well ? 'fit' : 'unknown' };
}

export function pathStandings({ pairs, policy, standings }: ActingFacts, limits: Limits): Standing[] {
  const mode = policy.modes.path;
  if (mode === 'off') return [];
  return pairs.flatMap((pair) => (pair.paths.length < 2 ? [] : ofPair(pair, mode, standings, limits)));
}

function ofPair(pair: PairFacts, mode: 'advise' | 'act', before: ActingFacts['standings'], limits: Limits): Standing[] {
  const { a, b, paths, traffic } = pair;
  const subject = (path: string): Subject => ({ action: 'path', a, b, path });
  const out = new Set(paths.filter(({ path }) => {
    const standing = before.get(subjectKey(subject(path)));
    return standing !== undefined && standing.heldBack === undefined && standing.mode === mode;
  }).map(({ path }) => path));
  // Nothing comes through any of them: the other host is gone, and no choice of paths is to be made.
  if (paths.every(({ state }) => state === 'down')) {
    return paths.flatMap(({ path }) => {
      const standing = before.get(subjectKey(subject(path)));
      return standing?.mode === mode ? [standing] : [];
    });
  }
  // All is well, as it nearly always is.
  if (out.size === 0 && paths.every(({ state }) => state === 'fit' || state === 'unknown')) return [];
  const choice = choosePaths(paths.map((fact) => chosenFrom(fact, out.has(fact.path))), paths.flatMap(({ path }) => (out.has(path) ? [] : [path])));

  const chosen = paths.filter(({ path }) => choice.use.includes(path));
  const mayReturn = ({ path }: PathFact): boolean => !out.has(path) || limits.full(limitKey(subject(path))) === undefined;
  const returned = chosen.filter(mayReturn);
  const use = returned.length > 0 ? returned : chosen;
  let carries = use.reduce((sum, { capacity }) => sum + capacity, 0);

  const made: Standing[] = [];
  const stand = ({ path }: PathFact, because: string, heldBack?: string): void => {
    made.push({
      action: 'path', mode, subject: subject(path), what: `path ${path} between ${a} and ${b} is taken out of use`, because: [because],
      ...(heldBack === undefined ? {} : { heldBack }),
    });
  };
  for (const fact of paths) {
    const { path, state, capacity } = fact;
    const key = limitKey(subject(path));
    const why = fact.because ?? choice.because.get(path) ?? 'nothing is known of it now';
    if (use.includes(fact)) {
      if (state !== 'fit' && state !== 'unknown') stand(fact, why, 'it is the last path: no other is better');
    } else if (out.has(path)) stand(fact, why);
    else if (limits.full(key) !== undefined) {
      stand(fact, why, limits.full(key));
      carries += capacity;
    } else if (state !== 'down' && carries < traffic) {
      stand(fact, why, `what is left carries ${rate(carries)}, and moves send ${rate(traffic)}`);
      carries += capacity;
    } else {
      stand(fact, why);
      limits.take(key);
    }
  }
  return made;
}

/** What nobody can say anything of now stays as it was. */
function chosenFrom({ path, state, slowLoss, latency, because }: PathFact, out: boolean): ChosenFrom {
  const fitness = state === 'unfit' || (state === 'unknown' && out) ? 'unfit' : 'fit';
  return { path, alive: state !== 'down', quality: { fitness, slowLoss, latency, because } };
}

export const rate = (bytesPerSecond: number): string => `${(bytesPerSecond * 8 / 1e6).toFixed(0)} Mbit/s`;
