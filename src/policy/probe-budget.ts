/**
 * Who probes whom, on which path, marked how, and how often: every host every other one as long as that costs no more than a set share of a
 * core and of each link; beyond that a sample that rotates, so that every pair has its turn within a known time.
 *
 * The sample is a circulant: the hosts stand in a ring, in an order that the seed gives, and in a round each probes those at the same
 * distances from itself. So in every round each host is probed by as many as it probes itself, and no host ever carries more than another;
 * and a host that joins or leaves moves nobody else in the order. A host needs nothing but the list and the time to know its part.
 *
 * A probe costs its sender one packet out and one in, and its reflector the same. With `n` sessions out and as many in, a host handles
 * 4 × n × rate packets a second, and each direction of its link carries 2 × n × rate of them.
 */
import { fnv1a } from '../base/fnv-1a.ts';
import { type Milliseconds, ms } from '../base/units.ts';

export interface ProbedPath {
  readonly path: string;
  /** In bytes per second, of the slowest host's link. */
  readonly capacity: number;
  /** DSCPs that traffic really uses there, 0..63. */
  readonly classes: readonly number[];
}

export interface ProbeBudgetPolicy {
  /** Probes per second and session that are wanted, and fewer than which are not worth a session. */
  readonly rate: { readonly wanted: number; readonly least: number };
  /** Shares, 0..1, of one core and of each link. */
  readonly share: { readonly core: number; readonly link: number };
  /** How long a sample stays. */
  readonly dwell: Milliseconds;
}

export interface ProbeCosts {
  /** CPU time to send or take one packet, ms: measured, by who asks. */
  readonly packet: Milliseconds;
  /** One packet on the wire, bytes, with all headers. */
  readonly bytes: number;
}

export interface ProbeSession {
  readonly to: string;
  readonly path: string;
  readonly dscp: number;
}

export interface ProbePlan {
  readonly mode: 'full' | 'sampled';
  readonly sessions: readonly ProbeSession[];
  /** Between two probes of a session; on each path its own. */
  readonly interval: ReadonlyMap<string, Milliseconds>;
  /** Within this time every pair has been probed on every path in every class for `dwell`. 0: all the time. */
  readonly everyPairWithin: Milliseconds;
  /** When the next sample begins; undefined: never. */
  readonly until: Milliseconds | undefined;
  /** What the plan costs each host at most, as shares. */
  readonly cost: { readonly core: number; readonly link: ReadonlyMap<string, number> };
  /** In words, for people. */
  readonly because: string;
}

/** How a path's sessions are dealt out. */
interface Deal {
  readonly path: ProbedPath;
  /** (distance, class) pairs there are, and how many at a time. */
  readonly units: number;
  readonly atATime: number;
  readonly rate: number;
}

const PACKETS = 4;
const ONE_WAY = 2;

/**
 * The part of `host`.
 * @param hosts all, in any order, without doubles
 * @param now on a clock that all hosts share to some seconds: the wall's
 */
export function planProbes(
  host: string, hosts: readonly string[], paths: readonly ProbedPath[], seed: number, costs: ProbeCosts, policy: ProbeBudgetPolicy,
  now: Milliseconds,
): ProbePlan {
  const ring = [...hosts].sort((a, b) => rank(a, seed) - rank(b, seed) || (a < b ? -1 : 1));
  const own = ring.indexOf(host);
  const distances = ring.length - 1;
  const deals = own < 0 || distances < 1 ? [] : dealOut(paths, distances, costs, policy);
  const sampled = deals.some(({ units, atATime }) => atATime < units);
  const round = Math.floor(now / policy.dwell);
  const sessions = deals.flatMap(({ path, units, atATime }) => {
    const order = [...Array(units).keys()].sort((a, b) => rank(String(a), seed) - rank(String(b), seed) || a - b);
    return Array.from({ length: atATime }, (_, i): ProbeSession => {
      const unit = order[(round * atATime + i) % units] ?? 0;
      const distance = 1 + Math.floor(unit / path.classes.length);
      return { to: ring[(own + distance) % ring.length] ?? host, path: path.path, dscp: path.classes[unit % path.classes.length] ?? 0 };
    });
  });
  // A round may end in the middle of the ring, and the next one begins there: so one more than the quotient.
  const rounds = Math.max(0, ...deals.map(({ units, atATime }) => (atATime < units ? Math.ceil(units / atATime) + 1 : 0)));
  return {
    mode: sampled ? 'sampled' : 'full', sessions, interval: new Map(deals.map(({ path, rate }) => [path.path, ms(1000 / rate)])),
    everyPairWithin: ms(rounds * policy.dwell), until: sampled ? ms((round + 1) * policy.dwell) : undefined,
    cost: {
      core: deals.reduce((sum, { atATime, rate }) => sum + PACKETS * atATime * rate * costs.packet / 1000, 0),
      link: new Map(deals.map(({ path, atATime, rate }) => [path.path, ONE_WAY * atATime * rate * costs.bytes / path.capacity])),
    },
    because: reasonOf(deals, hosts.length, sampled),
  };
}

/** Full at the wanted rate; else full at a lower one; else as many sessions at the least rate as there is room for; else one, rarely. */
function dealOut(paths: readonly ProbedPath[], distances: number, costs: ProbeCosts, { rate, share }: ProbeBudgetPolicy): Deal[] {
  const probed = paths.filter(({ classes }) => classes.length > 0);
  const all = probed.reduce((sum, { classes }) => sum + classes.length * distances, 0);
  const core = share.core * 1000 / (PACKETS * costs.packet);
  return probed.map((path) => {
    const units = path.classes.length * distances;
    // Probes per second of all sessions of this path: its part of the core's, and its link's.
    const room = Math.min(core * units / all, share.link * path.capacity / (ONE_WAY * costs.bytes));
    const each = Math.min(rate.wanted, room / units);
    if (each >= rate.least) return { path, units, atATime: units, rate: each };
    const atATime = Math.max(1, Math.floor(room / rate.least));
    return { path, units, atATime, rate: Math.min(rate.least, room / atATime) };
  });
}

function reasonOf(deals: readonly Deal[], hosts: number, sampled: boolean): string {
  if (deals.length === 0) return 'nobody to probe';
  const told = deals.map(({ path, units, atATime, rate }) =>
    `${path.path}: ${atATime} of ${units} sessions at ${Number(rate.toPrecision(2))} probes/s`).join(', ');
  return `${hosts} hosts, ${sampled ? 'more than the budget has room for at a time' : 'all within the budget'}; ${told}`;
}

/** A number that looks random, the same on every host: FNV-1a, then the finalizer of MurmurHash3. */
function rank(text: string, seed: number): number {
  let hash = fnv1a(text, seed);
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}
