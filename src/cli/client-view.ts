/** What a prober saw of a move from outside, and where in the move its largest gap lies. */
import type { Receipt } from '../model/move.ts';
import { type Style, arrow } from './style.ts';
import { formatTable, left, right } from './table.ts';
import { count, formatBytes, formatMs, wrap } from './text.ts';

/** One direction of a numbered stream. `null`: the guest was asked at the end and did not answer. */
export interface StreamView {
  readonly sent: number | null;
  readonly lost: number | null;
  readonly duplicated: number | null;
  readonly reordered: number | null;
  readonly largestGapMs: number | null;
}

/** What is used of a prober's result. Times in ms; `gapStartMs` and `gapEndMs` since the epoch, by the clock of the move's hosts. */
export interface ClientView {
  readonly toGuest: StreamView;
  readonly toClient: StreamView & { readonly gapStartMs: number; readonly gapEndMs: number };
  readonly sessions: {
    readonly opened: number; readonly alive: number; readonly largestStallMs: number; readonly errors: readonly string[];
  };
  /** `alive` is null when there was no bulk stream. */
  readonly bulk: {
    readonly toGuestBytes: number | null; readonly toClientBytes: number; readonly largestStallMs: number;
    readonly alive: boolean | null; readonly errors: readonly string[];
  };
  readonly guest: { readonly memoryErrors: number; readonly diskErrors: number } | null;
  readonly probe: { readonly largestOwnLatenessMs: number; readonly sendErrors: number; readonly socketDrops: number };
}

/** What is wrong with it, for a sentence; empty when every packet came once and in order and everything lives. */
export function clientTrouble({ toGuest, toClient, sessions, bulk, guest }: ClientView): string[] {
  const trouble: string[] = [];
  for (const [direction, stream] of [['to the guest', toGuest], ['to the client', toClient]] as const) {
    for (const kind of ['lost', 'duplicated', 'reordered'] as const) {
      const n = stream[kind];
      if (n !== null && n > 0) trouble.push(`${n} ${kind} ${direction}`);
    }
  }
  const broken = sessions.opened - sessions.alive;
  if (broken > 0) trouble.push(`${broken} of ${count(sessions.opened, 'TCP session')} broke`);
  if (usesBulk(bulk) && bulk.alive === false) trouble.push('the bulk streams broke');
  trouble.push(...sessions.errors, ...bulk.errors);
  if (guest === null || [toGuest, toClient].some((s) => s.lost === null || s.duplicated === null || s.reordered === null)) {
    trouble.push('the guest did not answer at the end, so what it got is not known');
  }
  if (guest && guest.memoryErrors > 0) trouble.push(`${count(guest.memoryErrors, 'page')} of guest memory changed by themselves`);
  if (guest && guest.diskErrors > 0) trouble.push(`${count(guest.diskErrors, 'disk block')} read back wrong`);
  return trouble;
}

/** The lines of the receipt's section. */
export function formatClientView(view: ClientView, receipt: Receipt, style: Style): string[] {
  const { toGuest, toClient, sessions, bulk, probe } = view;
  const row = (name: string, s: StreamView): string[] =>
    [name, ...[s.sent, s.lost, s.duplicated, s.reordered].map(known), s.largestGapMs === null ? '?' : formatMs(s.largestGapMs)];
  const columns = [left('packets'), ...['sent', 'lost', 'duplicated', 'reordered', 'largest gap'].map(right)];
  const lines = formatTable(columns, [row('to the guest', toGuest), row('to the client', toClient)], { indent: 2 });
  if ((toClient.largestGapMs ?? 0) > 0) {
    const { gapStartMs: start, gapEndMs: end } = toClient;
    lines.push(...wrap(describeGap(start, end, receipt, style), '  Gap to client: '));
  }
  const sessionsAlive = `${sessions.alive} of ${count(sessions.opened, 'TCP session')} alive`;
  lines.push(...wrap(`${sessionsAlive}, largest stall ${formatMs(sessions.largestStallMs)}`, '  '));
  if (usesBulk(bulk)) {
    const toGuestBytes = bulk.toGuestBytes === null ? '?' : formatBytes(bulk.toGuestBytes);
    const both = `${toGuestBytes} to the guest, ${formatBytes(bulk.toClientBytes)} to the client`;
    const state = bulk.alive === false ? 'broke' : 'alive';
    lines.push(...wrap(`Bulk TCP ${state}: ${both}, largest stall ${formatMs(bulk.largestStallMs)}`, '  '));
  }
  if (probe.socketDrops + probe.sendErrors > 0) {
    const own = `The prober itself dropped ${probe.socketDrops} and failed to send ${probe.sendErrors}`;
    lines.push(...wrap(`${own}: those are not the move's.`, '  '));
  }
  lines.push(...wrap(`The prober was never later than ${formatMs(probe.largestOwnLatenessMs)} by its own fault.`, '  '));
  return lines;
}

/** When the guest stood still, in ms since the epoch: QEMU's STOP and RESUME, which the receipt holds as spans. */
export function pauseOf({ phases, times }: Receipt): { readonly stop: number; readonly resume: number } | undefined {
  const redirecting = phases.find(({ name }) => name === 'redirecting');
  if (!redirecting || times.redirectToStop === undefined || times.stopToResume === undefined) return undefined;
  const stop = redirecting.from + times.redirectToStop;
  return { stop, resume: stop + times.stopToResume };
}

export interface GapParts {
  readonly before: number;
  readonly during: number;
  readonly after: number;
}

/** The parts of a gap before, in and after a pause that it touches, ms; they add up to the gap. Undefined when it lies apart. */
export function gapParts(start: number, end: number, pause: { readonly stop: number; readonly resume: number }): GapParts | undefined {
  if (end <= pause.stop || start >= pause.resume) return undefined;
  const from = Math.max(start, pause.stop);
  const to = Math.min(end, pause.resume);
  return { before: from - start, during: to - from, after: end - to };
}

function describeGap(start: number, end: number, receipt: Receipt, style: Style): string {
  const pause = pauseOf(receipt);
  const parts = pause && gapParts(start, end, pause);
  if (parts) {
    const to = arrow(style);
    const stoodStill = `${formatMs(parts.during)} STOP ${to} RESUME`;
    return `${formatMs(parts.before)} before STOP + ${stoodStill} + ${formatMs(parts.after)} RESUME ${to} first answer`;
  }
  if (start < receipt.startedAt && end <= receipt.startedAt) return `ended ${formatMs(receipt.startedAt - end)} before the move began`;
  const phase = receipt.phases.find(({ from, to }) => start >= from && start < to);
  if (phase) return `apart from the pause: it began while ${phase.name}`;
  return start >= receipt.endedAt ? `began ${formatMs(start - receipt.endedAt)} after the move had ended` : 'apart from the pause';
}

const usesBulk = (bulk: ClientView['bulk']): boolean => (bulk.toGuestBytes ?? 0) + bulk.toClientBytes > 0 || bulk.errors.length > 0;

const known = (n: number | null): string => (n === null ? '?' : String(n));
