/**
 * What is wrong with a host, from what all observers say of it. Suspicion is one host's; a verdict is many's, and carries its denominator:
 * how many were asked, how many abstained, how many saw it otherwise, by how many probes, and how late the one who judges was itself.
 *
 * An observer has no vote when it is unwell (it slept while it heard nothing of the peer), hears nobody at all (then it is cut off
 * itself), knows too little, or has not said anything for `maxAge`.
 *
 * - `dead`: no voter hears it on any path, and there are at least `observers` of them. One alone never says so, and nor do two hosts.
 * - `self`: the one who judges misses it, and has no vote: it is me.
 * - `one-way`: a path on which only one of the two hears the other.
 * - `path-down`: the one who judges does not hear it on some path, or on all, while others do, or too few were asked.
 * - `gray`: heard everywhere, but with more loss or latency than policy allows.
 * - `fine`, and `unknown` when there is too little to say anything.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { PathOpinion, PeerOpinion } from './failure-detector.ts';

export type VerdictKind = 'dead' | 'path-down' | 'one-way' | 'gray' | 'self' | 'fine' | 'unknown';

export interface Observation {
  readonly observer: string;
  readonly opinion: PeerOpinion;
  /** How old it is. */
  readonly age: Milliseconds;
  /** By path, in words: more loss or latency than policy allows. */
  readonly sick: ReadonlyMap<string, string>;
}

export interface VerdictPolicy {
  /** Voters that `dead` needs; 2 at least. */
  readonly observers: number;
  readonly maxAge: Milliseconds;
}

export interface Denominator {
  /** Who was asked, and of these who had a vote. */
  readonly observers: number;
  readonly voters: number;
  /** Without a vote, with the reason. */
  readonly abstained: ReadonlyMap<string, string>;
  /** Voters that see it otherwise than the verdict says. */
  readonly disagreed: readonly string[];
  /** Of all voters: sent to the peer, and come from it. */
  readonly probes: number;
  readonly arrivals: number;
  /** Of the one who judges. */
  readonly worstLateness: Milliseconds | undefined;
}

export interface Verdict {
  readonly peer: string;
  readonly kind: VerdictKind;
  readonly because: string;
  /** The paths it is about. */
  readonly paths: readonly string[];
  readonly denominator: Denominator;
}

/** @param judge whose verdict it is; undefined: nobody's own, of all voters together (the server's) */
export function verdictOn(peer: string, observations: readonly Observation[], judge: string | undefined, policy: VerdictPolicy): Verdict {
  const abstained = new Map<string, string>();
  const voters: Observation[] = [];
  for (const observation of observations) {
    const reason = withoutVote(observation, policy);
    if (reason === undefined) voters.push(observation);
    else abstained.set(observation.observer, reason);
  }
  const own = observations.find(({ observer }) => observer === judge);
  const give = (kind: VerdictKind, because: string, paths: readonly string[] = []): Verdict => ({
    peer, kind, because, paths,
    denominator: {
      observers: observations.length, voters: voters.length, abstained,
      disagreed: voters.filter((voter) => disagrees(voter, kind)).map(({ observer }) => observer),
      probes: sum(voters, ({ probes }) => probes), arrivals: sum(voters, ({ arrivals }) => arrivals),
      worstLateness: own?.opinion.health.worstLateness,
    },
  });

  const mine = own === undefined ? undefined : abstained.get(own.observer);
  if (own && mine !== undefined) {
    const missed = own.opinion.paths.filter(({ state }) => state === 'silent');
    const itself = own.opinion.health.unwell || own.opinion.hearsOthers === false;
    if (missed.length > 0 && itself) return give('self', `${own.observer} ${mine}`, names(missed));
  }
  const voices = own === undefined ? voters : voters.filter((voter) => voter === own);
  const least = Math.max(2, policy.observers);
  if (voters.length >= least && voters.every(misses)) {
    return give('dead', `none of ${voters.length} observers hears it on any path`, namesOf(voters, () => true));
  }
  if (voices.length === 0) return give('unknown', own === undefined ? 'nobody who could say' : `${own.observer} ${mine ?? 'has no vote'}`);

  const oneWay = namesOf(voices, isOneWay);
  if (oneWay.length > 0) return give('one-way', `${list(oneWay)}: only one of the two hears the other`, oneWay);
  const silent = namesOf(voices, ({ state }) => state === 'silent');
  if (silent.length > 0) {
    const told = voices.every(misses) ? whyNotDead(voters, least) : 'but heard on another path';
    return give('path-down', `${list(silent)}: silent, ${told}`, silent);
  }
  const sick = voices.flatMap((voter) => [...voter.sick]);
  if (sick.length > 0) return give('gray', list(sick.map(([path, what]) => `${path}: ${what}`)), [...new Set(sick.map(([path]) => path))]);
  return give('fine', 'heard on all paths');
}

function whyNotDead(voters: readonly Observation[], least: number): string {
  const hearing = voters.filter((voter) => !misses(voter)).length;
  if (hearing > 0) return `but ${hearing} of ${voters.length} observers hear it`;
  return `seen by ${voters.length} of the ${least} observers that 'dead' needs`;
}

function withoutVote({ opinion, age }: Observation, { maxAge }: VerdictPolicy): string | undefined {
  if (age > maxAge) return `said nothing for ${age} ms`;
  if (opinion.health.unwell) return `was asleep ${opinion.health.sleptAgo ?? 0} ms ago, ${opinion.health.worstLateness} ms at worst`;
  if (opinion.hearsOthers === false && misses({ opinion })) return 'hears nobody at all';
  if (known({ opinion }).length === 0) return 'knows too little';
  return undefined;
}

const known = ({ opinion }: Pick<Observation, 'opinion'>): PathOpinion[] => opinion.paths.filter(({ state }) => state !== 'unknown');
/** It hears it on no path that it knows. */
const misses = (observation: Pick<Observation, 'opinion'>): boolean => known(observation).every(({ state }) => state === 'silent');
const isOneWay = ({ state, heardThere }: PathOpinion): boolean =>
  state === 'silent' && heardThere === true || state === 'heard' && heardThere === false;

function disagrees(voter: Observation, kind: VerdictKind): boolean {
  switch (kind) {
    case 'fine':
    case 'gray': return misses(voter);
    case 'dead':
    case 'path-down':
    case 'one-way':
    case 'self': return known(voter).every((path) => path.state === 'heard' && !isOneWay(path));
    case 'unknown': return false;
  }
}

const names = (paths: readonly PathOpinion[]): string[] => [...new Set(paths.map(({ path }) => path))];
const namesOf = (voters: readonly Observation[], which: (path: PathOpinion) => boolean): string[] =>
  names(voters.flatMap((voter) => known(voter).filter(which)));
const sum = (voters: readonly Observation[], of: (path: PathOpinion) => number): number =>
  voters.reduce((total, { opinion }) => total + opinion.paths.reduce((part, path) => part + of(path), 0), 0);
const list = (paths: readonly string[]): string => paths.join(', ');

/** Some seconds of silence of an observer say nothing about what it observed. */
export const defaultVerdictPolicy: VerdictPolicy = { observers: 2, maxAge: ms(3000) };
