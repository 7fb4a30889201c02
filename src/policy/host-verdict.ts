/**
 * What the server makes of each host, from what all of them say of each other (protocol/verdict.ts has the vote itself). Two things that
 * one host cannot know are added:
 *
 * - **Whose trouble it is.** A host whose cable is cut misses all others, and all others would be `path-down` by its word. What two
 *   hosts have with each other counts against the one that has it with the larger share of its peers; with equal shares against both.
 * - **Who still reports lives.** A host whose agent reached the server a moment ago is not dead, whatever the others say.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import type { VerdictReport } from '../model/event.ts';
import type { PathOpinion, PeerOpinion } from '../protocol/failure-detector.ts';
import { type Observation, type Verdict, type VerdictPolicy, verdictOn } from '../protocol/verdict.ts';

/** What one host said last. */
export interface Voice {
  readonly host: string;
  /** How old it is. */
  readonly age: Milliseconds;
  readonly opinions: readonly PeerOpinion[];
  /** By peer and path, in words: more loss or latency than policy allows. */
  readonly sick: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export interface VerdictTerms extends VerdictPolicy {
  /** An agent that was heard within this time lives. */
  readonly lives: Milliseconds;
}

/**
 * On each of these hosts of which anybody says anything.
 * @param heardAgo how long ago its agent reported, by the server's own clock
 */
export function hostVerdicts(
  hosts: readonly string[], voices: readonly Voice[], heardAgo: (host: string) => Milliseconds, terms: VerdictTerms,
): ReadonlyMap<string, VerdictReport> {
  const known = new Set(hosts);
  const fresh = voices.filter(({ age }) => age <= terms.maxAge);
  const silent = new Shares(fresh.flatMap(({ host, opinions }) => opinions.flatMap(({ peer, paths }) =>
    paths.filter(isKnown).map((path) => ({ a: host, b: peer, path: path.path, bad: isTrouble(path) })))));
  const sick = new Shares(fresh.flatMap(({ host, opinions, sick: all }) => opinions.flatMap(({ peer, paths }) =>
    paths.map(({ path }) => ({ a: host, b: peer, path, bad: all.get(peer)?.has(path) ?? false })))));
  return new Map(hosts.flatMap((host): [string, VerdictReport][] => {
    const observations = voices.filter((voice) => voice.host !== host && known.has(voice.host))
      .flatMap((voice) => observationOf(voice, host, silent, sick));
    if (observations.length === 0) return [];
    const verdict = inShort(verdictOn(host, observations, undefined, terms), observations);
    return [[host, report(host, judged(host, verdict, fresh, heardAgo(host), terms), observations)]];
  }));
}

function observationOf(voice: Voice, host: string, silent: Shares, sick: Shares): Observation[] {
  const opinion = voice.opinions.find(({ peer }) => peer === host);
  if (!opinion) return [];
  const mine = (shares: Shares, path: string): boolean => shares.of(voice.host, path) > shares.of(host, path);
  // Who hears nobody has no vote anyway, and says so.
  const judged = opinion.paths.filter((path) => !(isTrouble(path) && mine(silent, path.path)));
  const paths = opinion.hearsOthers === false ? opinion.paths : judged;
  const words = [...voice.sick.get(host) ?? []].filter(([path]) => !mine(sick, path));
  return [{ observer: voice.host, opinion: { ...opinion, paths }, age: voice.age, sick: new Map(words) }];
}

/** What many say alike of the same paths, once. */
function inShort(verdict: Verdict, observations: readonly Observation[]): Verdict {
  if (verdict.kind !== 'gray') return verdict;
  const voters = observations.filter(({ observer }) => !verdict.denominator.abstained.has(observer));
  const because = verdict.paths.map((path) => {
    const [first, ...others] = voters.filter(({ sick }) => sick.has(path));
    return `${path}: ${first?.sick.get(path) ?? 'sick'}, by ${first?.observer}${others.length > 0 ? ` and ${others.length} more` : ''}`;
  });
  return { ...verdict, because: because.join('; ') };
}

type Judged = Pick<Verdict, 'kind' | 'because' | 'paths' | 'denominator'>;

function judged(host: string, verdict: Verdict, fresh: readonly Voice[], heardAgo: Milliseconds, { lives }: VerdictTerms): Judged {
  if (heardAgo > lives) return verdict;
  const reported = `its agent reported to the server ${Math.round(heardAgo)} ms ago`;
  // Of those who hear each other only one way the one direction is known better than by 'self'.
  const own = verdict.kind === 'one-way' ? undefined : itself(host, fresh);
  if (own !== undefined) return { ...verdict, kind: 'self', because: `${own}; ${reported}` };
  if (verdict.kind === 'dead') return { ...verdict, kind: 'path-down', because: `${verdict.because}, but it lives: ${reported}` };
  return verdict;
}

/** Why what this host misses is its own trouble; undefined when it is not, or misses nothing. */
function itself(host: string, fresh: readonly Voice[]): string | undefined {
  const own = fresh.find((voice) => voice.host === host)?.opinions ?? [];
  const missed = own.filter(misses);
  if (missed.length === 0) return undefined;
  const others = fresh.filter((voice) => voice.host !== host);
  const asleep = missed.filter(({ health }) => health.unwell);
  const [first] = asleep;
  if (first && asleep.every(({ peer }) => others.some((voice) => hears(voice, peer)))) {
    const { sleptAgo, worstLateness } = first.health;
    const slept = `${Math.round(sleptAgo ?? 0)} ms ago (${Math.round(worstLateness)} ms late at worst)`;
    return `${host} was asleep ${slept}, and misses ${list(asleep)}, whom others hear`;
  }
  const all = own.filter(({ paths }) => paths.some(isKnown));
  const among = others.flatMap(({ opinions }) => opinions.filter(({ peer, paths }) => peer !== host && paths.some(isKnown)));
  if (all.length < 2 || missed.length < all.length || among.length === 0 || among.some(misses)) return undefined;
  return `${host} hears none of its ${all.length} peers (${list(all)}), and they hear each other: it is itself, or its own links`;
}

/** Of hosts that are observers and observed at once: which part of their pairs on a path is in trouble, by either's word. */
class Shares {
  readonly #pairs = new Map<string, Map<string, boolean>>();

  constructor(pairs: readonly { readonly a: string; readonly b: string; readonly path: string; readonly bad: boolean }[]) {
    for (const { a, b, path, bad } of pairs) {
      for (const [one, other] of [[a, b], [b, a]] as const) {
        const of = this.#pairs.get(`${one} ${path}`) ?? new Map<string, boolean>();
        this.#pairs.set(`${one} ${path}`, of.set(other, bad || (of.get(other) ?? false)));
      }
    }
  }

  of(host: string, path: string): number {
    const pairs = [...this.#pairs.get(`${host} ${path}`)?.values() ?? []];
    return pairs.length === 0 ? 0 : pairs.filter((bad) => bad).length / pairs.length;
  }
}

function report(host: string, { kind, because, paths, denominator: d }: Judged, observations: readonly Observation[]): VerdictReport {
  const voters = observations.filter(({ observer }) => !d.abstained.has(observer));
  return {
    host, verdict: kind, because, paths, observers: d.observers, voters: d.voters, abstained: Object.fromEntries(d.abstained),
    disagreed: d.disagreed, probes: d.probes, arrivals: d.arrivals,
    worstLateness: ms(Math.max(0, ...voters.map(({ opinion }) => opinion.health.worstLateness))),
  };
}

const isKnown = ({ state }: PathOpinion): boolean => state !== 'unknown';
const isTrouble = ({ state, heardThere }: PathOpinion): boolean => state === 'silent' || (state === 'heard' && heardThere === false);
const misses = ({ paths }: PeerOpinion): boolean => paths.some(isKnown) && paths.filter(isKnown).every(({ state }) => state === 'silent');
const hears = ({ opinions }: Voice, peer: string): boolean =>
  opinions.some((opinion) => opinion.peer === peer && opinion.paths.some(({ state }) => state === 'heard'));
const list = (opinions: readonly PeerOpinion[]): string => opinions.map(({ peer }) => peer).join(', ');
