/** What a pulse tells of a BFD session, from what its machine and its sockets know. */
import type { BfdDown, BfdStatus } from '../model/bfd-session.ts';
import type { BfdSessionStatus } from '../protocol/bfd-session.ts';
import type { DownEvidence } from '../protocol/bfd.ts';
import { type BfdDiagnostic, bfdDiagnostics } from '../wire/bfd.ts';

/** What the machine does not know. */
export interface SessionFacts {
  /** ms since the epoch. */
  readonly since: number;
  readonly lastDown: BfdDown | undefined;
  /** Why it cannot be carried out as it should be. */
  readonly trouble: string | undefined;
  readonly unsent: Readonly<Record<string, number>>;
}

export function sessionStatus(machine: BfdSessionStatus, { since, lastDown, trouble, unsent }: SessionFacts): BfdStatus {
  const { state, diagnostic, remote, discriminator, sendInterval, receiveInterval, detectionTime, echo, counters } = machine;
  const { sent, heard, echoesSent, echoesHeard, ups, downs, drops } = counters;
  const reason = trouble ?? reasonOf(machine);
  return {
    state, since, ...(reason !== undefined && { reason }), diagnostic, ...(remote && { remote }), discriminator,
    send: sendInterval, receive: receiveInterval ?? 0, detectionTime: detectionTime ?? 0,
    ...(echo && { echo: { active: echo.active, interval: echo.interval, ...(echo.roundTrip !== undefined && { roundTrip: echo.roundTrip }) } }),
    counters: { sent, heard, echoesSent, echoesHeard, ups, downs, dropped: drops, unsent },
    ...(lastDown && { lastDown }),
  };
}

/** Of a plan that cannot be carried out. */
export const impossibleSession = (reason: string, since: number): BfdStatus => ({
  state: 'down', since, reason, diagnostic: 'none', discriminator: 0, send: 0, receive: 0, detectionTime: 0,
  counters: { sent: 0, heard: 0, echoesSent: 0, echoesHeard: 0, ups: 0, downs: 0, dropped: {}, unsent: {} },
});

/** `at`: ms since the epoch. */
export function downOf(at: number, diagnostic: BfdDiagnostic, rule: string, evidence: DownEvidence | undefined): BfdDown {
  if (!evidence) return { at, diagnostic, rule };
  const { lastHeardAgo: silence, detectionTime, missed, ownLateness } = evidence;
  return { at, diagnostic, rule, silence, detectionTime, missed, ownLateness };
}

function reasonOf({ state, because, remote, lastDown, counters: { heard, drops } }: BfdSessionStatus): string | undefined {
  if (state === 'up') return undefined;
  if (because !== undefined) return because;
  const refused = Object.entries(drops).map(([reason, count]) => `${reason} ${count}`);
  if (remote?.state === 'admin-down') return `The other side is AdminDown (${bfdDiagnostics[remote.diagnostic]})`;
  if (remote) return `The other side is ${remote.state}: ${bfdDiagnostics[remote.diagnostic]}`;
  if (refused.length > 0) return `What came from the other side was refused: ${refused.join(', ')}`;
  if (heard === 0) return 'Nothing was ever heard of the other side';
  return lastDown ? `Nothing is heard of the other side: ${lastDown.rule}` : 'Nothing is heard of the other side';
}
