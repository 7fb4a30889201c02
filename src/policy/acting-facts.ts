/**
 * What is known when it is decided what to do of itself about sick paths (acting.ts), and what comes of it. A **standing** is one thing
 * that is acted on, advised or held back, as long as it lasts; it is stored, so that a restart of the server neither undoes nor repeats it.
 */
import type { Milliseconds } from '../base/units.ts';
import { type ActionMode, detectionDefaults } from '../model/detection-policy.ts';
import type { ActionReport, Severity } from '../model/event.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import type { PathState } from '../model/path.ts';
import { parseDuration } from '../model/quantity.ts';
import type { Candidate, Wish } from './placement.ts';

export type ActionKind = ActionReport['action'];

export interface ActPolicy {
  readonly modes: Readonly<Record<ActionKind, ActionMode>>;
  /** So many of one kind on one host (of a path: between two hosts) … */
  readonly limit: number;
  /** … in this time. */
  readonly within: Milliseconds;
  /** A host is evacuated that has been sick for so long. */
  readonly hold: Milliseconds;
}

export function actPolicy(spec: PolicySpec | undefined): ActPolicy {
  const { limit, within, ...modes } = { ...detectionDefaults.act, ...spec?.act };
  return { modes, limit, within: parseDuration(within), hold: parseDuration(spec?.quality?.hold ?? detectionDefaults.quality.hold) };
}

/** `a` before `b`. */
export type Subject =
  | { readonly action: 'path'; readonly a: string; readonly b: string; readonly path: string }
  /** `host`: its source. */
  | { readonly action: 'bandwidth'; readonly migration: string; readonly host: string }
  | { readonly action: 'evacuate'; readonly host: string }
  | { readonly action: 'priority'; readonly host: string };

/** One thing acted on. It is in force in mode `act` without `heldBack`. */
export interface Standing extends ActionReport {
  readonly subject: Subject;
  /** Of a bandwidth: what is left of it, 0..1. */
  readonly share?: number;
}

export const inForce = (standing: Standing | undefined): boolean => standing?.mode === 'act' && standing.heldBack === undefined;

/** Of names, in which there is no dot. */
export function subjectKey(subject: Subject): string {
  switch (subject.action) {
    case 'path': return `path.${subject.a}.${subject.b}.${subject.path}`;
    case 'bandwidth': return `bandwidth.${subject.migration}`;
    case 'evacuate': return `evacuate.${subject.host}`;
    case 'priority': return `priority.${subject.host}`;
  }
}

/** At these a path is well again, by the quick averages; it stays unfit for a while (protocol/path-quality.ts). */
export interface WellAgain {
  readonly loss: number;
  /** undefined: not judged. */
  readonly latency: Milliseconds | undefined;
}

export function wellAgainAt(spec: PolicySpec | undefined): WellAgain {
  const { loss, latency } = { latency: undefined, ...detectionDefaults.quality, ...spec?.quality };
  return { loss: loss.falling, latency: latency && parseDuration(latency.falling) };
}

/** Whose actions are counted together against the limit. */
export const limitKey = (subject: Subject): string => (subject.action === 'bandwidth' ? `bandwidth.of.${subject.host}` : subjectKey(subject));

/** Something that was done, by its limit key. */
export interface Deed {
  readonly key: string;
  readonly at: Milliseconds;
}

/** One path between two hosts: sick in either direction is sick. */
export interface PathFact {
  readonly path: string;
  readonly state: PathState;
  /** Unfit for what was: by its quick averages it is well now. */
  readonly recovers?: boolean;
  /** Why it is not fit, in words. */
  readonly because?: string;
  readonly slowLoss: number;
  readonly latency: Milliseconds | undefined;
  /** Bytes per second. */
  readonly capacity: number;
}

export interface PairFacts {
  readonly a: string;
  readonly b: string;
  readonly paths: readonly PathFact[];
  /** What moves send between the two now. Bytes per second. */
  readonly traffic: number;
}

/** A move that copies. */
export interface MoveFacts {
  readonly migration: string;
  readonly vm: string;
  readonly from: string;
  readonly to: string;
  readonly path: string;
  /** The path has been well since the move began. */
  readonly wasWell: boolean;
  /** The most that it sent in a second lately, bytes per second. */
  readonly throughput: number;
  /** What it may send, unslowed. */
  readonly cap: number;
}

export interface HostFacts {
  /** Its name, its room, and why it takes nothing now. */
  readonly candidate: Candidate;
  /** Moves in and out of it, those that wait too, and how many it takes at a time. */
  readonly moves: number;
  readonly mostMoves: number;
  /** Those it has a part in, and does not own: for their priority. */
  readonly routers: readonly string[];
}

export interface VmFacts {
  readonly name: string;
  readonly host: string;
  /** By the paths whose health is its networks'. */
  readonly networks: readonly { readonly name: string; readonly path: string }[];
  readonly wish: Wish;
  /** Why it cannot be moved now; undefined: it can. */
  readonly stays?: string;
  /** It is on its way. */
  readonly moving: boolean;
}

export interface ActingFacts {
  /** Monotonic. */
  readonly at: Milliseconds;
  readonly policy: ActPolicy;
  readonly pairs: readonly PairFacts[];
  readonly hosts: readonly HostFacts[];
  readonly moves: readonly MoveFacts[];
  readonly vms: readonly VmFacts[];
  /** By subjectKey. */
  readonly standings: ReadonlyMap<string, Standing>;
  readonly deeds: readonly Deed[];
  /** For how long this host has been sick on this path by now. */
  readonly sickFor: (host: string, path: string) => Milliseconds;
}

/** A move to be asked for. */
export interface Evacuation {
  readonly vm: string;
  readonly from: string;
  readonly to: string;
}

/** What happened, to be told: the standing as it is now, or as it was before it ended. */
export interface ActionTold {
  readonly reason: ActionReason;
  readonly severity: Severity;
  readonly subject: Subject;
  readonly report: ActionReport;
}
export type ActionReason =
  | 'PathTakenOut' | 'PathBroughtBack' | 'MoveSlowed' | 'MoveSpeedRestored' | 'EvacuationBegun' | 'EvacuationMove' | 'EvacuationEnded'
  | 'PriorityLowered' | 'PriorityRestored' | 'TargetPreferred' | 'Advised' | 'HeldBack';

export interface Decision {
  /** All that stand now. */
  readonly standings: ReadonlyMap<string, Standing>;
  readonly evacuations: readonly Evacuation[];
  readonly told: readonly ActionTold[];
  /** Limit keys of what is done now. */
  readonly done: readonly string[];
}
