/** Receipts and client views as moves leave them. */
import { ms } from '../../../src/base/units.ts';
import type { LedgerEntry, MoveTimes, NicLedger, Phase, Receipt } from '../../../src/model/move.ts';
import type { ClientView, Style } from '../../../src/cli/cli.ts';

export const rich: Style = { bars: true, unicode: true };
export const plain: Style = { bars: false, unicode: false };

export const T0 = Date.UTC(2026, 4, 4, 3, 12, 7, 120);
const AT_DESTINATION = new Set(['preparing', 'committing', 'releasing', 'aborting']);

/** Phases one after the other from T0 on: name and length in ms. */
export function phases(...steps: readonly (readonly [string, number])[]): Phase[] {
  let at = T0;
  return steps.map(([name, length]) => ({ name, host: AT_DESTINATION.has(name) ? 'h2' : 'h1', from: ms(at), to: ms((at += length)) }));
}

export const nic = (n: number, over: Partial<NicLedger> = {}): NicLedger =>
  ({ nic: n, redirected: 54, delivered: 54, held: 41, drained: 13, overlap: 0, untaken: false, ...over });

/** Every queue of a move of `nics` NICs, each with 2 old drops at the uplinks and none since. */
export function ledger(nics: number): LedgerEntry[] {
  const entry = (host: string, queue: string, device: string, dropped = 0): LedgerEntry =>
    ({ host, queue, device, droppedBefore: dropped, droppedAfter: dropped });
  return ['h1', 'h2'].flatMap((host) => [
    ...Array.from({ length: nics }, (_, i) => [
      entry(host, 'qdisc', `gt-web-1-${i}`), entry(host, 'tap', `gt-web-1-${i}`),
      entry(host, 'filter', host === 'h1' ? `gt-web-1-${i}` : `gx-a00010-${i}`), entry(host, 'tunnel', `gx-a00010-${i}`),
    ]).flat(),
    entry(host, 'uplink', 'eth1', 2), entry(host, 'reassembly', 'ip'), entry(host, 'udp', 'ip'),
  ]);
}

export const dropping = (entries: readonly LedgerEntry[], host: string, queue: string, after: number): LedgerEntry[] =>
  entries.map((e) => (e.host === host && e.queue === queue ? { ...e, droppedAfter: after } : e));

const FORWARD = phases(
  ['preparing', 312], ['copying', 506.4], ['redirecting', 0.6], ['emptying', 1.2], ['stopping', 0.4], ['finishing', 11.5],
  ['committing', 0.9], ['releasing', 0.8], ['handing-over', 0.3], ['draining', 162],
);
const nothing: MoveTimes = {
  total: ms(0), redirectToStop: undefined, lastPass: undefined, deviceState: undefined, load: undefined, stopToLoaded: undefined,
  loadedToResume: undefined, stopToResume: undefined, groupOverlap: undefined,
};

const moved = (over: Partial<Receipt> = {}): Receipt => ({
  move: 'a00010', vm: 'web-1', from: 'h1', to: 'h2', outcome: { kind: 'moved' }, startedAt: ms(T0), endedAt: ms(T0 + 996.1), unwatched: false,
  phases: FORWARD,
  copy: { passes: 3, transferredBytes: 155_189_248, remainingAtSwitchBytes: 1_258_291 },
  // The guest stopped at T0 + 820.5 and ran again at T0 + 833.6.
  times: {
    total: ms(833.6), redirectToStop: ms(2.1), lastPass: ms(4.2), deviceState: ms(7.6), load: ms(-0.2), stopToLoaded: ms(11.6),
    loadedToResume: ms(1.5), stopToResume: ms(13.1), groupOverlap: ms(0.9),
  },
  nics: [nic(0)], ledger: ledger(1), hostProbes: [], notes: [], ...over,
});

export const clean = moved();
export const twoNics = moved({
  nics: [nic(0), nic(1, { redirected: 1207, delivered: 1207, held: 1190, drained: 17, overlap: 2 })], ledger: ledger(2),
  notes: ['This QEMU lacks avail-switchover-bandwidth'],
});
export const lossInTunnel = moved({ nics: [nic(0, { delivered: 51, held: 38 })], ledger: dropping(ledger(1), 'h2', 'tunnel', 3) });
export const switchedByItself = moved({
  unwatched: true, times: { ...moved().times, redirectToStop: ms(-0.4), lastPass: ms(0.1) },
  phases: FORWARD.filter(({ name }) => name !== 'emptying'),
  notes: ["QEMU switched by itself: the last frames that reached the source's tap before the redirect may be lost, "
    + 'and no counter sees them'],
});
export const undrained = moved({ outcome: { kind: 'moved', undrained: 'Frames still came the old way after 5 s' } });
export const rolledBack: Receipt = moved({
  outcome: { kind: 'rolled-back', reason: 'Cancelled' },
  phases: phases(
    ['preparing', 312], ['copying', 506.4], ['redirecting', 0.6], ['emptying', 1.2], ['stopping', 0.4], ['finishing', 4.1],
    ['cancelling', 12.3], ['aborting', 8.8], ['pausing', 0.3], ['returning', 6.4], ['resuming', 1.1],
  ),
  endedAt: ms(T0 + 861), times: { ...nothing, total: ms(853.6), redirectToStop: ms(2.1) },
  nics: [nic(0, { redirected: 41, delivered: 41, held: 41, drained: 0 })],
});
export const stranded: Receipt = moved({
  outcome: { kind: 'stranded', reason: 'The QEMU at the destination ended' },
  phases: FORWARD.slice(0, 8), endedAt: ms(T0 + 1840),
  times: { ...moved().times, total: ms(1840), loadedToResume: undefined, stopToResume: undefined, groupOverlap: undefined },
  nics: [nic(0, { redirected: 980, delivered: 980, held: 41, drained: 939, untaken: true })],
});
export const strandedIn = (phase: string, times: Partial<MoveTimes> = {}): Receipt =>
  ({ ...stranded, phases: phases(['copying', 100], ['redirecting', 1], [phase, 5]), times: { ...stranded.times, ...times } });

export const flawlessClient: ClientView = {
  toGuest: { sent: 4012, lost: 0, duplicated: 0, reordered: 0, largestGapMs: 31.25 },
  toClient: { sent: 4009, lost: 0, duplicated: 0, reordered: 0, largestGapMs: 35.6, gapStartMs: T0 + 816.4, gapEndMs: T0 + 852 },
  sessions: { opened: 8, alive: 8, largestStallMs: 42.3, errors: [] },
  bulk: { toGuestBytes: 0, toClientBytes: 0, largestStallMs: 0, alive: null, errors: [] },
  guest: { memoryErrors: 0, diskErrors: 0 },
  probe: { largestOwnLatenessMs: 1.24, sendErrors: 0, socketDrops: 0 },
};
