/**
 * What one host thinks of its peers: whether each is heard on each path, by the arrivals of BFD and of heartbeats. Pure: times are
 * monotonic and come in; packets count from their arrival (the kernel's), and `expire` is called only after the driver drained its sockets.
 *
 * - **Suspicion adapts.** A path falls silent after the gap that its measured jitter makes as rare as `falseAlarmsPerDay` asks
 *   (arrival-jitter.ts), between `floor` and `ceiling`. What that means in false alarms is shown with it, also where a bound decided.
 *   A longer gap than that is learnt from, unless it is more than twice as long: then it was an outage, and no jitter.
 * - **It distrusts itself first** (Lifeguard, Dadgar et al. 2018; memberlist's awareness.go). Who overslept by more than half an
 *   interval counts silence from its waking on, EXCUSES times at most between two arrivals. A silence with a sleep in it that was not
 *   excused any more, less than a time-out ago, is doubtful: `unwell`, which is no vote (verdict.ts). And who oversleeps by half of
 *   `floor` has all its time-outs lengthened by a factor of 1 + score: one more with each time, one less after `calm`.
 */
import { type Milliseconds, ms, seconds } from '../base/units.ts';
import { ArrivalJitter } from './arrival-jitter.ts';

export interface DetectorPolicy {
  /** Of one path, when the peer lives; more than 0. */
  readonly falseAlarmsPerDay: number;
  /** Bounds of the time-out. */
  readonly floor: Milliseconds;
  readonly ceiling: Milliseconds;
  /** Arrivals before a path is judged by its jitter; until then the ceiling holds. */
  readonly least: number;
  /** For each of these without an oversleep the score falls by one. */
  readonly calm: Milliseconds;
}

export const defaultDetectorPolicy: DetectorPolicy = {
  falseAlarmsPerDay: 0.01, floor: ms(150), ceiling: seconds(5), least: 32, calm: seconds(10),
};

/** `unknown`: nothing has ever come, and it is too early to say more. */
export type PathState = 'heard' | 'silent' | 'unknown';

export interface PathOpinion {
  readonly path: string;
  readonly state: PathState;
  /** Since the last arrival, or since waking. */
  readonly silence: Milliseconds;
  readonly timeout: Milliseconds;
  /** -log10 of the probability that a living peer is silent for so long; at most MOST_PHI. */
  readonly phi: number;
  /** What `timeout` means, per day; undefined: nothing was measured yet. */
  readonly falseAlarmsPerDay?: number | undefined;
  /** Sent to it, and come from it. */
  readonly probes: number;
  readonly arrivals: number;
  /** Whether the peer says that it hears this host there; undefined: it has not said so within `timeout`. */
  readonly heardThere?: boolean | undefined;
}

export interface OwnHealth {
  /** 0: well; 8 at most. */
  readonly score: number;
  readonly worstLateness: Milliseconds;
  /** How long ago it overslept last; undefined: never. */
  readonly sleptAgo?: Milliseconds | undefined;
  /** It slept while it heard nothing of this peer: the silence may be its own. */
  readonly unwell: boolean;
}

export interface PeerOpinion {
  readonly peer: string;
  readonly paths: readonly PathOpinion[];
  /** Whether any other peer is heard; undefined: there is no other. */
  readonly hearsOthers?: boolean | undefined;
  readonly health: OwnHealth;
}

export interface PathTurn {
  readonly peer: string;
  readonly path: string;
  readonly to: 'heard' | 'silent';
  readonly opinion: PathOpinion;
}

interface Watched {
  readonly peer: string;
  readonly path: string;
  interval: Milliseconds;
  readonly jitter: ArrivalJitter;
  last: Milliseconds | undefined;
  /** What silence is counted from. */
  from: Milliseconds;
  /** When this host woke of an oversleep that could hide an arrival here. */
  slept: Milliseconds | undefined;
  state: PathState;
  excuses: number;
  probes: number;
  arrivals: number;
  heardThere: { readonly hears: boolean; readonly at: Milliseconds } | undefined;
}

/** What is less probable than a double can say: opinions travel as JSON, which has no Infinity. */
export const MOST_PHI = 324;

const WINDOW = 512;
const EXCUSES = 3;
const WORST_SCORE = 8;
const DAY = 86_400_000;

export class FailureDetector {
  #policy: DetectorPolicy;
  readonly #watched = new Map<string, Map<string, Watched>>();
  #score = 0;
  #scoredAt: Milliseconds = ms(-Infinity);
  #sleptAt: Milliseconds | undefined;
  #worst: Milliseconds = ms(0);
  #shortest = Infinity;
  /** No path falls silent before; perhaps none does then either. */
  #due = Infinity;

  constructor(policy: DetectorPolicy) {
    this.#policy = policy;
  }

  /** What was measured stays. */
  follow(policy: DetectorPolicy): void {
    this.#policy = policy;
    this.#review();
  }

  /** Something should come from that peer on that path every `interval`; again with another one when that changes. */
  watch(peer: string, path: string, interval: Milliseconds, now: Milliseconds): void {
    const known = this.#watched.get(peer)?.get(path);
    if (known) {
      known.interval = interval;
      this.#review();
      return;
    }
    const paths = this.#watched.get(peer) ?? new Map<string, Watched>();
    this.#watched.set(peer, paths);
    paths.set(path, {
      peer, path, interval, jitter: new ArrivalJitter(WINDOW), last: undefined, from: now, slept: undefined, state: 'unknown', excuses: 0,
      probes: 0, arrivals: 0, heardThere: undefined,
    });
    this.#review();
  }

  /** Nothing is expected there any more. */
  forget(peer: string, path: string): void {
    const paths = this.#watched.get(peer);
    paths?.delete(path);
    if (paths?.size === 0) this.#watched.delete(peer);
    this.#review();
  }

  /** Probes were sent there. */
  probed(peer: string, path: string, count: number): void {
    const watched = this.#watched.get(peer)?.get(path);
    if (watched) watched.probes += count;
  }

  /** Something came, `at` by the kernel's time stamp. @param heardThere whether it says that the peer hears this host */
  heard(peer: string, path: string, at: Milliseconds, heardThere?: boolean): PathTurn | undefined {
    const watched = this.#watched.get(peer)?.get(path);
    if (!watched) return undefined;
    watched.arrivals++;
    if (heardThere !== undefined) watched.heardThere = { hears: heardThere, at };
    if (watched.last !== undefined) {
      const gap = at - watched.last;
      // A gap in which this host slept says nothing of the peer.
      const slept = watched.slept !== undefined && watched.slept >= watched.last;
      if (gap >= 0 && !slept && gap <= 2 * this.#timeout(watched)) watched.jitter.add(gap / watched.interval);
    }
    watched.last = ms(Math.max(at, watched.last ?? at));
    watched.from = ms(Math.max(at, watched.from));
    watched.excuses = 0;
    this.#due = Math.min(this.#due, watched.from + this.#timeout(watched));
    if (watched.state === 'heard') return undefined;
    watched.state = 'heard';
    return { peer, path, to: 'heard', opinion: this.#opinion(watched, at) };
  }

  /** The peer says, by another way, whether it hears this host on that path. */
  told(peer: string, path: string, hears: boolean, at: Milliseconds): void {
    const watched = this.#watched.get(peer)?.get(path);
    if (watched) watched.heardThere = { hears, at };
  }

  /** This process was to run at `now - late`, and ran now: every time, however little. Before what its sockets held is told. */
  late(late: Milliseconds, now: Milliseconds): void {
    this.#worst = ms(Math.max(this.#worst, late));
    this.#recover(now);
    // Half an interval can hide an arrival; what is shorter is jitter, and is measured with it.
    if (late <= this.#shortest / 2) return;
    for (const watched of this.#all()) {
      if (late <= watched.interval / 2) continue;
      watched.slept = now;
      if (watched.state === 'silent' || watched.excuses >= EXCUSES) continue;
      watched.excuses++;
      watched.from = now;
    }
    this.#sleptAt = now;
    if (late <= this.#policy.floor / 2) return;
    this.#scoredAt = now;
    this.#score = Math.min(WORST_SCORE, this.#score + 1);
  }

  /** Which paths have fallen silent, all sockets drained. */
  expire(now: Milliseconds): PathTurn[] {
    this.#recover(now);
    if (now < this.#due) return [];
    const turns: PathTurn[] = [];
    for (const watched of this.#all()) {
      // By the same sum as `deadline`: rounded otherwise, it would be due for ever and never silent.
      if (watched.state === 'silent' || now < watched.from + this.#timeout(watched)) continue;
      watched.state = 'silent';
      turns.push({ peer: watched.peer, path: watched.path, to: 'silent', opinion: this.#opinion(watched, now) });
    }
    this.#review();
    return turns;
  }

  /** When `expire` is wanted, perhaps for nothing; undefined: nothing can fall silent. */
  deadline(): Milliseconds | undefined {
    return this.#due === Infinity ? undefined : ms(this.#due);
  }

  peers(): string[] {
    return [...this.#watched.keys()];
  }

  /** undefined: that peer is not watched. */
  opinion(peer: string, now: Milliseconds): PeerOpinion | undefined {
    const paths = this.#watched.get(peer);
    if (!paths) return undefined;
    this.#recover(now);
    const others = this.#all().filter((watched) => watched.peer !== peer);
    return {
      peer, paths: [...paths.values()].map((watched) => this.#opinion(watched, now)),
      hearsOthers: others.length === 0 ? undefined : others.some(({ state }) => state === 'heard'),
      health: {
        score: this.#score, worstLateness: this.#worst, sleptAgo: this.#sleptAt === undefined ? undefined : ms(now - this.#sleptAt),
        unwell: [...paths.values()].some((watched) => this.#doubtful(watched, now)),
      },
    };
  }

  #all(): Watched[] {
    return [...this.#watched.values()].flatMap((paths) => [...paths.values()]);
  }

  #review(): void {
    [this.#shortest, this.#due] = [Infinity, Infinity];
    for (const watched of this.#all()) {
      this.#shortest = Math.min(this.#shortest, watched.interval);
      if (watched.state !== 'silent') this.#due = Math.min(this.#due, watched.from + this.#timeout(watched));
    }
  }

  #recover(now: Milliseconds): void {
    const { calm } = this.#policy;
    const before = this.#score;
    while (this.#score > 0 && now - this.#scoredAt >= calm) {
      this.#score--;
      this.#scoredAt = ms(this.#scoredAt + calm);
    }
    if (this.#score !== before) this.#review();
  }

  #timeout({ jitter, interval }: Watched): Milliseconds {
    const { falseAlarmsPerDay, floor, ceiling, least } = this.#policy;
    if (jitter.size < least) return ms(ceiling * (1 + this.#score));
    const gapsPerDay = DAY / (interval * jitter.mean);
    const wanted = jitter.quantile(Math.min(1, falseAlarmsPerDay / gapsPerDay)) * interval;
    return ms(Math.min(ceiling, Math.max(floor, wanted)) * (1 + this.#score));
  }

  /** It slept in the silence that it tells of, and has not listened for a whole time-out since. */
  #doubtful(watched: Watched, now: Milliseconds): boolean {
    const { slept, from, state } = watched;
    return state === 'silent' && slept !== undefined && slept > from && now - slept < this.#timeout(watched);
  }

  #opinion(watched: Watched, now: Milliseconds): PathOpinion {
    const { path, state, interval, jitter, probes, arrivals, heardThere } = watched;
    const timeout = this.#timeout(watched);
    const silence = ms(Math.max(0, now - watched.from));
    const measured = jitter.size >= this.#policy.least;
    const probability = measured ? jitter.probability(silence / interval) : 1;
    return {
      path, state, silence, timeout, phi: Math.min(MOST_PHI, Math.max(0, -Math.log10(probability))), probes, arrivals,
      heardThere: heardThere && now - heardThere.at < timeout ? heardThere.hears : undefined,
      falseAlarmsPerDay: measured ? jitter.probability(timeout / interval) * DAY / (interval * jitter.mean) : undefined,
    };
  }
}
