/** Puts the receipt of a move together from what was measured. */
import { type Milliseconds, ms } from '../base/units.ts';
import type { HostProbe, LedgerEntry, Phase, Receipt } from '../model/move.ts';
import type { SwitchoverRun } from './switchover-run.ts';

/** What a run has written down of itself. */
export type RunRecord = Pick<SwitchoverRun, 'entered' | 'stoppedAt' | 'redirectedAt' | 'preSwitchoverAt' | 'sentAt' | 'lastSample' | 'overlap'
  | 'overlapTime' | 'returned' | 'unwatched' | 'loadedAt' | 'commit'>;

export interface ReceiptParts extends Pick<Receipt, 'move' | 'vm' | 'from' | 'to' | 'outcome' | 'startedAt' | 'endedAt'> {
  readonly preparing: Milliseconds;
  readonly run: RunRecord;
  readonly ledger: readonly LedgerEntry[];
  readonly redirected: readonly number[];
  readonly delivered: readonly number[];
  readonly untaken: readonly boolean[];
  readonly hostProbes: readonly HostProbe[];
  readonly announceFailure: string | undefined;
  /** Of the plan. */
  readonly warnings: readonly string[];
}

const UNWATCHED = "QEMU switched by itself: the last frames that reached the source's tap before the redirect may be lost, "
  + 'and no counter sees them';
const DESTINATION_PHASES: ReadonlySet<string> = new Set(['aborting', 'in-doubt']);

export function buildReceipt(parts: ReceiptParts): Receipt {
  const { run, endedAt } = parts;
  const { loadedAt = run.loadedAt, resumedAt, held: heldFrames = [] } = run.commit ?? {};
  const entered = run.entered;
  const at = (phase: string): Milliseconds | undefined => entered.find((e) => e.phase === phase)?.at;
  const between = (from: Milliseconds | undefined, to: Milliseconds | undefined): Milliseconds | undefined =>
    from !== undefined && to !== undefined ? ms(to - from) : undefined;
  const steps = entered.slice(0, -1).map(({ phase, at: from }, i): Phase => ({
    name: phase, host: DESTINATION_PHASES.has(phase) ? parts.to : parts.from, from, to: entered[i + 1]?.at ?? endedAt,
  }));
  const back = run.returned;
  // A guest that came back still has what its taps held.
  const unwatched = run.unwatched && parts.outcome.kind !== 'rolled-back';
  return {
    move: parts.move, vm: parts.vm, from: parts.from, to: parts.to, outcome: parts.outcome,
    startedAt: parts.startedAt, endedAt, unwatched,
    phases: [{ name: 'preparing', host: parts.to, from: parts.preparing, to: at('copying') ?? endedAt }, ...steps],
    copy: {
      passes: run.lastSample?.dirtySyncCount ?? 0,
      transferredBytes: run.lastSample?.transferred ?? 0,
      remainingAtSwitchBytes: run.lastSample?.remaining ?? 0,
    },
    times: {
      total: ms((resumedAt ?? endedAt) - parts.startedAt),
      redirectToStop: between(run.redirectedAt, run.stoppedAt),
      lastPass: between(run.stoppedAt, run.preSwitchoverAt),
      deviceState: between(run.preSwitchoverAt, run.sentAt),
      load: between(run.sentAt, loadedAt),
      stopToLoaded: between(run.stoppedAt, loadedAt),
      loadedToResume: between(loadedAt, resumedAt),
      stopToResume: between(run.stoppedAt, resumedAt),
      groupOverlap: run.overlapTime,
    },
    nics: parts.redirected.map((redirected, nic) => {
      // On the way back everything is taken out of the destination's taps and put into the source's.
      // A destination that could not be asked at the end has at least what it held at its commit.
      const delivered = back ? (back.frames[nic] ?? 0) : (parts.delivered[nic] ?? heldFrames[nic] ?? 0);
      const held = back ? delivered : (heldFrames[nic] ?? 0);
      return { nic, redirected, delivered, held, drained: delivered - held, overlap: run.overlap[nic] ?? 0, untaken: parts.untaken[nic] ?? false };
    }),
    ledger: parts.ledger,
    hostProbes: parts.hostProbes,
    notes: [
      ...parts.warnings,
      ...(unwatched ? [UNWATCHED] : []),
      ...(parts.announceFailure === undefined ? [] : [`Announcing its new place failed, neighbours learn it from its own frames: ${parts.announceFailure}`]),
      ...(back && back.outOfOrder > 0 ? [`${back.outOfOrder} frames may have come back behind younger ones`] : []),
    ],
  };
}
