/**
 * What the server makes of the agents' words about one move. A pure function of what it knows and what it hears, in which a report
 * that comes twice, late or out of order changes nothing: phases only rise, a decision and an end are set once.
 */
import type { MoveReport } from '../api/agent-protocol.ts';
import { type MigrationEnd, type MigrationStatus, sagaPhases } from '../model/migration.ts';
import type { Receipt } from '../model/move.ts';
import type { MoveRecord } from './records.ts';

export interface MoveState {
  readonly status: MigrationStatus;
  readonly move: MoveRecord;
}

export type MoveNews =
  | { readonly kind: 'committed' }
  | { readonly kind: 'ended'; readonly end: MigrationEnd }
  /** The two hosts do not agree on what became of the VM, or one with itself: for a person to look at, at once. */
  | { readonly kind: 'contradiction'; readonly what: string };

export interface Heard extends MoveState {
  readonly news: readonly MoveNews[];
}

/** @param now ms since the epoch. */
export function hear({ status, move }: MoveState, report: MoveReport, now: number): Heard {
  if (move.told[report.role]) {
    // Its end has been stored; what comes now was under way before.
    return { status, move, news: [] };
  }
  const decided = decide(status, report);
  const doubted = status.end ? withoutDoubt(move) : doubt(move, report);
  let heard: Heard = { status: doubtful(further(decided.status, report), doubted), move: doubted, news: decided.news };
  if (!report.end) return heard;

  heard = { ...heard, move: { ...heard.move, told: { ...heard.move.told, [report.role]: true } } };
  const told = { end: report.end, ...(report.receipt ? { receipt: report.receipt } : {}) };
  if (report.role === 'destination') return { ...heard, move: { ...heard.move, destinationEnd: told } };
  if (!heard.status.end) return end(heard, told, now);
  return told.receipt && !heard.status.receipt ? { ...heard, status: { ...heard.status, receipt: told.receipt } } : heard;
}

/**
 * The destination's word instead of the source's, which is silent or knows nothing of the move: only after the commit, and only what
 * became of the VM there.
 */
export function endWithoutSource(state: MoveState, now: number): Heard {
  const told = state.move.destinationEnd;
  if (state.status.end || state.status.decision !== 'committed' || !told) return { ...state, news: [] };
  return end({ ...state, news: [] }, told, now);
}

function end(heard: Heard, told: { readonly end: MigrationEnd; readonly receipt?: Receipt }, now: number): Heard {
  const { end, receipt } = told;
  const moved = end.kind === 'moved';
  // What died there had been handed over before.
  const handedOver = moved || (end.kind === 'dead' && end.at === 'destination');
  const news: MoveNews[] = [...heard.news];
  const { reason: _, progress, ...status } = heard.status;
  if (handedOver && status.decision === 'aborted') news.push({ kind: 'contradiction', what: 'the destination has said `aborted`, and now the VM is told as handed over' });
  if (handedOver && status.decision === undefined) news.push({ kind: 'committed' });
  if (status.decision === 'committed' && atSource(end)) {
    news.push({ kind: 'contradiction', what: `the destination has said \`committed\`, and now the move is told as ${end.kind}: see that the VM does not run on both` });
  }
  news.push({ kind: 'ended', end });
  return {
    status: {
      ...status, end, endedAt: now,
      phase: moved ? 'done' : status.phase,
      ...(handedOver && status.decision === undefined ? { decision: 'committed' } : {}),
      ...(progress ? { progress } : {}),
      ...(receipt ? { receipt } : {}),
    },
    move: withoutDoubt(heard.move), news,
  };
}

/** The VM was never handed over. */
export const atSource = (end: MigrationEnd): boolean =>
  end.kind === 'rolled-back' || end.kind === 'cancelled' || end.kind === 'refused' || end.kind === 'possible' || (end.kind === 'dead' && end.at === 'source');

function decide(status: MigrationStatus, { decision }: MoveReport): { readonly status: MigrationStatus; readonly news: readonly MoveNews[] } {
  if (decision === undefined || decision === status.decision) return { status, news: [] };
  if (status.decision !== undefined) {
    return { status, news: [{ kind: 'contradiction', what: `it was ${status.decision}, and now it is told as ${decision}: the first stands` }] };
  }
  if (decision === 'committed' && status.end && atSource(status.end)) {
    return { status, news: [{ kind: 'contradiction', what: `it ended as ${status.end.kind}, and now it is told as committed: see that the VM does not run on both` }] };
  }
  return { status: { ...status, decision }, news: decision === 'committed' ? [{ kind: 'committed' }] : [] };
}

/** The source drives: its phase counts. With an end, the phase that stays is that in which the end came. */
function further(status: MigrationStatus, { role, phase, progress, end }: MoveReport): MigrationStatus {
  if (role !== 'source' || status.end) return status;
  const later = !end && rank(phase) > rank(status.phase) ? phase : status.phase;
  // In between it is kept in memory (liveness.ts) and written now and then.
  const known = progress && (end || later !== status.phase) ? { progress: { ...progress, fraction: Math.max(progress.fraction, status.progress?.fraction ?? 0) } } : {};
  return { ...status, phase: later, ...known };
}

const rank = (phase: MigrationStatus['phase']): number => (phase === 'queued' ? -1 : sagaPhases.indexOf(phase));

function doubt(move: MoveRecord, { role, inDoubt }: MoveReport): MoveRecord {
  const { [role]: _, ...others } = move.inDoubt ?? {};
  const doubts = inDoubt === undefined ? others : { ...others, [role]: inDoubt };
  return Object.keys(doubts).length === 0 ? withoutDoubt(move) : { ...move, inDoubt: doubts };
}

function withoutDoubt(move: MoveRecord): MoveRecord {
  const { inDoubt: _, ...rest } = move;
  return rest;
}

/** The source's doubt before the destination's: it is the one that stands still. */
export const doubtOf = (move: MoveRecord | undefined): string | undefined => move?.inDoubt?.source ?? move?.inDoubt?.destination;

function doubtful(status: MigrationStatus, move: MoveRecord): MigrationStatus {
  const { reason: _, ...rest } = status;
  const reason = doubtOf(move);
  return reason === undefined || status.end ? rest : { ...rest, reason };
}
