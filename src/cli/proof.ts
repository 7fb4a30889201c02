/** Does the receipt's bookkeeping show that nothing was lost? If not, exactly what does not add up. */
import { type LedgerEntry, type Receipt, losses, missing, wentBack } from '../model/move.ts';
import { formatTable, left, right } from './table.ts';
import { clip, count, wrap } from './text.ts';

export interface Tally {
  readonly redirected: number;
  readonly missing: number;
  readonly dropped: number;
  /** What does not add up, one sentence each; empty is the proof. Not empty whenever `lossless` is false. */
  readonly doubts: readonly string[];
}

export function tally(receipt: Receipt): Tally {
  const doubts: string[] = [];
  const { outcome } = receipt;
  const [come, came] = outcome.kind === 'rolled-back' ? ['come back', 'came back'] : ['arrive', 'arrived'];
  if (outcome.kind === 'stranded') doubts.push('the move did not come to its end: frames that were under way are not counted');
  if (outcome.kind === 'moved' && outcome.undrained !== undefined) {
    doubts.push(`the redirect was taken away before it had drained: ${outcome.undrained}`);
  }
  if (receipt.unwatched) doubts.push('QEMU switched by itself: frames that reached the taps before the redirect are not counted');
  for (const { nic, redirected, delivered, untaken } of receipt.nics) {
    const more = delivered - redirected;
    if (more < 0) doubts.push(`NIC ${nic}: ${-more} of ${count(redirected, 'redirected frame')} did not ${come}`);
    if (more > 0) doubts.push(`NIC ${nic}: ${count(more, 'frame')} more ${came} than the ${redirected} redirected`);
    if (untaken) doubts.push(`NIC ${nic}: frames wait in the tap that the guest has not taken`);
  }
  for (const e of losses(receipt)) doubts.push(`${place(e)} dropped ${count(e.droppedAfter - e.droppedBefore, 'frame')}`);
  for (const e of wentBack(receipt)) {
    doubts.push(`${place(e)}: its counter went back from ${e.droppedBefore} to ${e.droppedAfter}, so its drops are not known`);
  }
  if (receipt.nics.length > 0 && receipt.ledger.length === 0) doubts.push('no queue was read');
  return {
    redirected: receipt.nics.reduce((sum, n) => sum + n.redirected, 0),
    missing: missing(receipt),
    dropped: losses(receipt).reduce((sum, e) => sum + e.droppedAfter - e.droppedBefore, 0),
    doubts,
  };
}

export function formatProof(receipt: Receipt): string[] {
  const { redirected, missing, doubts } = tally(receipt);
  if (receipt.nics.length === 0) return wrap('The VM has no NIC: there was nothing to lose.', '  ');
  const queues = count(receipt.ledger.length, 'queue');
  if (doubts.length > 0) {
    return [
      ...wrap(`Not proven. ${count(redirected, 'frame')} redirected, ${missing} of them missing. What does not add up:`, '  '),
      ...doubts.flatMap((doubt) => wrap(doubt, '  - ')),
    ];
  }
  if (redirected === 0) return wrap(`No frame was redirected; 0 dropped in ${queues}.`, '  ');
  const got = receipt.outcome.kind === 'rolled-back' ? 'brought back' : 'delivered and taken';
  return wrap(`${count(redirected, 'frame')} redirected = ${redirected} ${got}; 0 dropped in ${queues}.`, '  ');
}

/** One line when it is clean; otherwise each queue whose counter moved, and where to look. */
export function formatLedger(receipt: Receipt): string[] {
  const moved = [...losses(receipt), ...wentBack(receipt)];
  if (receipt.ledger.length === 0) return ['  No queue was read.'];
  if (moved.length === 0) return [`  ${count(receipt.ledger.length, 'queue')}, none dropped a frame.`];
  const rows = moved.map(({ host, queue, device, droppedBefore: before, droppedAfter: after }) =>
    [clip(host, 24), clip(queue, 16), clip(device, 20), before, after, after > before ? after - before : '?']);
  const hints = new Set(moved.map(({ queue }) => queue));
  const columns = [left('host'), left('queue'), left('device'), right('before'), right('after'), right('dropped')];
  return [
    ...formatTable(columns, rows, { indent: 2, rule: true }),
    ...wrap(`The other ${receipt.ledger.length - moved.length} of ${receipt.ledger.length} queues dropped nothing.`, '  '),
    ...[...hints].flatMap((queue) => wrap(HINTS[queue] ?? 'look at its counters on that host', `  ${clip(queue, 16)}: `)),
  ];
}

/** What to do about drops, by the name of the queue. */
const HINTS: Readonly<Record<string, string>> = {
  qdisc: 'the queue in front of the tap was full: make its limit longer, or the pause shorter.',
  tap: 'the tap was full, or its reader gone: raise its txqueuelen when the tap is made, or make the pause shorter.',
  filter: 'a redirect could not pass the frame on: look whether the device it leads to was up.',
  tunnel: 'compare the MTU of the network under the tunnel with the VM\'s MTU plus the tunnel\'s headers, and look at its link.',
  uplink: 'shared with other traffic, so the drops may not be the move\'s: look at ethtool -S and tc -s qdisc of the device.',
  reassembly: 'counts for the whole host: fragments were lost; a larger MTU under the tunnel makes none.',
  udp: 'counts for the whole host, so the drops may not be the move\'s: look at nstat for Udp errors.',
};

const place = ({ host, queue, device }: LedgerEntry): string => `${host} ${queue} ${device}`;
