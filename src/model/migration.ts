/** A migration as the cluster remembers it: who asked for what, how far it is, and how it ended. `move.ts` has the receipt. */
import { Type, type Static } from 'typebox';
import type { Receipt } from './move.ts';
import { Name, closed, type Resource } from './resource.ts';

export const MigrationSpec = Type.Object(
  {
    vm: Name,
    to: Name,
    /** Plans and reports what would happen; changes nothing. */
    dryRun: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type MigrationSpec = Static<typeof MigrationSpec>;
/** As it is asked for: without a host, to the soundest that has room. */
export const MigrationRequest = Type.Object({ ...MigrationSpec.properties, to: Type.Optional(Name) }, closed);
export type MigrationRequest = Static<typeof MigrationRequest>;

/** The saga, in its order. `queued` comes before and is no step: the manners make it wait, and `reason` says for what. */
export const sagaPhases = ['plan', 'prepare', 'copy', 'switch', 'announce', 'drain', 'done'] as const;
export type SagaPhase = (typeof sagaPhases)[number];

export type MigrationEnd =
  | { readonly kind: 'moved'; readonly undrained?: string }
  /** The VM runs on at the source. */
  | { readonly kind: 'rolled-back'; readonly reason: string }
  /** The same, because somebody asked for it. */
  | { readonly kind: 'cancelled' }
  /** By the plan: nothing was changed. */
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }
  /** A dry run's: it could go. */
  | { readonly kind: 'possible'; readonly warnings: readonly string[]; readonly notes: readonly string[] }
  /** Nothing of the VM runs any more: its QEMU ended before it was handed over, or right after. */
  | { readonly kind: 'dead'; readonly reason: string; readonly at: 'source' | 'destination' }
  /** It is there and does not run: for a person to look at. */
  | { readonly kind: 'stranded'; readonly reason: string };

export interface MigrationProgress {
  /** 0..1, never falls. */
  readonly fraction: number;
  /** Of the copy; bytes, and bytes per second. */
  readonly pass: number;
  readonly transferred: number;
  readonly remaining: number;
  readonly throughput: number;
  readonly dirtyRate: number;
  /** ms until the copy ends at this rate; undefined while it does not converge, and then `slow` says why. */
  readonly timeLeft?: number;
  readonly slow?: string;
}

export interface MigrationStatus {
  readonly phase: 'queued' | SagaPhase;
  /** What it waits for; or, while it is `in doubt`, what has to happen. */
  readonly reason?: string;
  readonly from: string;
  /** All by the server's clock, ms since the epoch. */
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** Six hex digits: names the tunnels and taps of this move on both hosts. */
  readonly move: string;
  readonly progress?: MigrationProgress;
  /** Somebody wants it taken back; ignored after the commit. */
  readonly cancel?: boolean;
  /** Of the destination's journal, once known: the commit point, whatever else is or is not known. */
  readonly decision?: 'committed' | 'aborted';
  readonly end?: MigrationEnd;
  readonly receipt?: Receipt;
}
export type MigrationResource = Resource<'Migration', MigrationSpec, MigrationStatus>;
