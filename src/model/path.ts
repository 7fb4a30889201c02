/**
 * A path: one way from one host to another, by a pair of their addresses. Measured by STAMP (RFC 8762) from the source, heard by BFD and
 * by probes at both ends. Paths are not declared: they follow from the hosts' addresses (`Host.spec.address` is path `main`,
 * `Host.spec.paths` names others), the policy says how they are measured and judged. All times in ms, all shares 0..1.
 */
import type { Resource } from './resource.ts';

/** The path of `Host.spec.address`. */
export const MAIN_PATH = 'main';

/** Of probes by direction; `unknown`: a reflector that does not count. */
export interface Directions {
  readonly forward: number;
  readonly backward: number;
  readonly unknown: number;
}

/** Of the last second or of a window, by one class of traffic (DSCP). */
export interface ClassFigures {
  readonly dscp: number;
  readonly sent: number;
  readonly answered: number;
  readonly lost: Directions;
  readonly late: number;
  readonly duplicates: number;
  readonly reordered: { readonly forward: number; readonly backward: number };
  /** Absent: none came back. `jitter`: mean of the variation of RTT between successive answers (RFC 3393). */
  readonly rtt?: { readonly min: number; readonly mean: number; readonly max: number; readonly p50: number; readonly p90: number; readonly p99: number; readonly jitter: number };
  /** Where both clocks are set from outside: means, and how far off they may be. */
  readonly oneWay?: { readonly forward: number; readonly backward: number; readonly error?: number };
  /** What became of the DSCP: as it was at the other end, and as the answer came back. Absent: the reflector does not say. */
  readonly marking?: { readonly atReflector: number; readonly returned: number };
}

/** IP packets, bytes. */
export interface PathMtu {
  /** Tried: that of the link, or of the policy. */
  readonly wanted: number;
  /** The largest that came back lately; absent: none of any size did. */
  readonly passes?: number;
  /** Larger ones vanish without a word, though smaller ones pass. */
  readonly blackHole: boolean;
}

export type PathState = 'fit' | 'unfit' | 'down' | 'unknown';

/** What one host has to say of one of its paths, once a second. */
export interface PathReport {
  readonly peer: string;
  readonly path: string;
  readonly source: string;
  readonly destination: string;
  /** ms since the epoch: the end of the second that it tells of. */
  readonly at: number;
  /** Probes a second and class now. 0: not its turn (a sampled mesh). */
  readonly rate: number;
  /** Of the last second; one per class. */
  readonly classes: readonly ClassFigures[];
  /** Of the last minute, the first class. */
  readonly window: ClassFigures;
  readonly mtu: PathMtu;
  readonly quality: PathJudgement;
}

/** Whether it is fit for use (protocol/path-quality.ts). */
export interface PathJudgement {
  /** `down`: nothing came back for some time. */
  readonly state: PathState;
  /** ms since the epoch. */
  readonly since: number;
  /** In words, with its numbers. */
  readonly because?: string;
  /** Exponential averages. */
  readonly loss: number;
  readonly slowLoss: number;
  readonly latency?: number;
  readonly suspicious: boolean;
  /** ms since the epoch: not before then it comes back. */
  readonly heldUntil?: number;
}

/** A path fell out of its limits, or is back: told at once. */
export interface PathTurnReport {
  /** Rises with each of one start of the monitor. */
  readonly sequence: number;
  readonly monitor: string;
  readonly peer: string;
  readonly path: string;
  /** ms since the epoch. */
  readonly at: number;
  readonly from: PathState;
  readonly to: PathState;
  readonly because: string;
  readonly window: ClassFigures;
}

export interface PathSpec {
  readonly from: string;
  readonly to: string;
  readonly path: string;
  readonly source: string;
  readonly destination: string;
}

export interface PathStatus {
  readonly report: PathReport;
  /** By the failure detector at `from` (BFD and probes): undefined where no session watches it. */
  readonly heard?: 'heard' | 'silent' | 'unknown';
  readonly phi?: number;
  readonly timeout?: number;
  readonly falseAlarmsPerDay?: number;
  /** Whether moves and tunnels between the two use it now, and why not. */
  readonly inUse: boolean;
  readonly because?: string;
}
/** Its name: `FROM/TO/PATH`. */
export type PathResource = Resource<'Path', PathSpec, PathStatus>;

export const pathName = ({ from, to, path }: Pick<PathSpec, 'from' | 'to' | 'path'>): string => `${from}/${to}/${path}`;
