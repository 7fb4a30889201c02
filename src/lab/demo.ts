/**
 * `npm run demo`: a VM moves round three hosts, first as plain QEMU moves it, then as Godwit does, under eyes that count every
 * packet. Exit code 0 only if no packet was lost and no session broke in Godwit's moves.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { formatError } from '../base/error.ts';
import { ms } from '../base/units.ts';
import { type ComparisonSide, MoveProgressView, clientTrouble, formatComparison, formatReceipt, styleOf } from '../cli/cli.ts';
import type { Receipt } from '../model/move.ts';
import { lossless } from '../model/move.ts';
import { kernelNative } from '../native/kernel.ts';
import { labAccelerator, labVm } from './guest-image.ts';
import { Prober, type ProbeResult } from './prober.ts';
import { Session } from './session.ts';
import { sweep } from './topology.ts';

const MOVES = 4;
const SESSIONS = 8;
/** Streams run this long between two moves, ms. */
const BETWEEN = 400;

interface Round {
  readonly side: ComparisonSide;
  /** Counts of the whole round; gaps and stalls of its last move. */
  readonly lastMove: ProbeResult;
  readonly whole: ProbeResult;
  readonly receipts: readonly Receipt[];
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function round(session: Session, name: string, move: () => Promise<{ stopToResume: number; total: number; receipt?: Receipt }>): Promise<Round> {
  const to = session.vm.nics[0]?.addresses[0];
  if (!to) throw new Error('The lab VM has no address');
  const prober = await Prober.start(session.lab.client, { to, sessions: SESSIONS });
  try {
    const [gaps, pauses, totals, receipts]: [number[], number[], number[], Receipt[]] = [[], [], [], []];
    let seen: ProbeResult | undefined;
    for (let i = 0; i < MOVES; i++) {
      await pause(BETWEEN);
      if (i === 0) await prober.report(); // the streams' first moments are not the move's
      const result = await move();
      await pause(BETWEEN);
      seen = await prober.report();
      gaps.push(seen.toClient.largestGapMs);
      pauses.push(result.stopToResume);
      totals.push(result.total);
      if (result.receipt) receipts.push(result.receipt);
    }
    if (!seen) throw new Error('No move was made');
    const whole = await prober.stop();
    const { toGuest, toClient, sessions } = whole;
    return {
      lastMove: seen, whole, receipts,
      side: {
        name, moves: MOVES, lostToGuest: toGuest.lost, lostToClient: toClient.lost,
        duplicated: toGuest.duplicated + toClient.duplicated, reordered: toGuest.reordered + toClient.reordered,
        largestGapMs: gaps, stopToResumeMs: pauses, totalMs: totals,
        sessionsOpened: sessions.opened, sessionsAlive: sessions.alive, largestStallMs: sessions.largestStallMs,
      },
    };
  } finally {
    prober.kill();
  }
}

async function main(): Promise<number> {
  sweep();
  const style = styleOf(process.stderr, process.env);
  const native = kernelNative();
  const accelerator = await labAccelerator();
  const vm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator });
  say(`A lab of three hosts, a switch and a client, in network namespaces of its own. Booting ${vm.name} (QEMU, ${accelerator}) on h1.`);
  const session = await Session.open(native, { hosts: 3, networks: ['a'] }, vm);
  try {
    say(`${SESSIONS} TCP sessions and 1000 packets/s each way between the client and ${vm.name}.`);
    say(`${MOVES} moves by plain QEMU:`);
    const plain = await round(session, 'plain QEMU', async () => {
      const [from, to] = [session.at.name, session.next.name];
      const result = await session.movePlain();
      say(`  ${vm.name} ${from} to ${to}: STOP to RESUME ${result.stopToResume.toFixed(1)} ms`);
      return result;
    });
    say(`${MOVES} moves by Godwit:`);
    const godwit = await round(session, 'Godwit', async () => {
      const view = new MoveProgressView({ out: process.stderr, style, vm: vm.name, from: session.at.name, to: session.next.name });
      try {
        const { receipt } = await session.move({ hostProbes: false, onProgress: (progress) => view.update(progress, ms(performance.now())) });
        return { stopToResume: receipt.times.stopToResume ?? NaN, total: receipt.times.total, receipt };
      } finally {
        view.end();
      }
    });

    const receipt = godwit.receipts.at(-1);
    if (receipt) process.stdout.write(`\nThe receipt of the last move:\n\n${formatReceipt(receipt, godwit.lastMove)}\n`);
    process.stdout.write(`\nBoth, as the client saw them:\n\n${formatComparison(plain.side, godwit.side)}\n\n`);
    const trouble = clientTrouble(godwit.whole);
    const unproven = godwit.receipts.filter((r) => r.outcome.kind !== 'moved' || !lossless(r)).length;
    if (unproven > 0) trouble.push(`${unproven} of ${MOVES} moves without a proof of no loss`);
    process.stdout.write(trouble.length === 0 ? 'Godwit lost nothing.\n' : `Godwit did not keep its promise: ${trouble.join('; ')}\n`);
    return trouble.length === 0 ? 0 : 1;
  } finally {
    await session.close();
  }
}

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(`demo: ${formatError(error)}`);
    process.exitCode = 1;
  },
);
