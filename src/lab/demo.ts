/**
 * `npm run demo`: a VM moves round three hosts, first as plain QEMU moves it, then as Godwit does, with a server and an agent on each
 * host, under eyes that count every packet. Exit code 0 only if no packet was lost and no session broke in Godwit's moves.
 *
 * `npm run demo -- --keep` leaves the cluster up and says how to use it.
 */
import { parseArgs } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { formatError } from '../base/error.ts';
import { ms } from '../base/units.ts';
import { MigrationProgressView } from '../cli/migration-progress.ts';
import { type ComparisonSide, clientTrouble, formatComparison, formatReceipt, styleOf } from '../cli/cli.ts';
import type { Receipt } from '../model/move.ts';
import { lossless } from '../model/move.ts';
import type { Vm } from '../model/vm.ts';
import { kernelNative } from '../native/kernel.ts';
import type { Native } from '../native/native.ts';
import { mayBeUp, upLab, useOf } from './cluster-command.ts';
import { ClusterSession, openCluster } from './cluster-session.ts';
import { labAccelerator, labVm } from './guest-image.ts';
import { Prober, type ProbeResult } from './prober.ts';
import { Session } from './session.ts';
import { type Lab, type LabOptions, sweep } from './topology.ts';

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

async function round({ lab, vm }: { readonly lab: Lab; readonly vm: Vm }, name: string, move: () => Promise<{ stopToResume: number; total: number; receipt?: Receipt }>): Promise<Round> {
  const to = vm.nics[0]?.addresses[0];
  if (!to) throw new Error('The lab VM has no address');
  const prober = await Prober.start(lab.client, { to, sessions: SESSIONS });
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

const LAB: LabOptions = { hosts: 3, networks: ['a'] };

async function plainRound(native: Native, vm: Vm): Promise<Round> {
  say(`A lab of three hosts, a switch and a client, in network namespaces of its own. Booting ${vm.name} (QEMU, ${vm.accelerator}) on h1.`);
  const session = await Session.open(native, LAB, vm);
  try {
    say(`${SESSIONS} TCP sessions and 1000 packets/s each way between the client and ${vm.name}.`);
    say(`${MOVES} moves by plain QEMU:`);
    return await round(session, 'plain QEMU', async () => {
      const [from, to] = [session.at.name, session.next.name];
      const result = await session.movePlain();
      say(`  ${vm.name} ${from} to ${to}: STOP to RESUME ${result.stopToResume.toFixed(1)} ms`);
      return result;
    });
  } finally {
    await session.close();
  }
}

function godwitRound(session: ClusterSession): Promise<Round> {
  const style = styleOf(process.stderr, process.env);
  say(`${MOVES} moves by Godwit:`);
  return round(session, 'Godwit', async () => {
    const view = new MigrationProgressView({ out: process.stderr, style, vm: session.vm.name, from: session.at.name, to: session.next.name });
    try {
      const { receipt, total } = await session.move({ onChange: (migration) => view.update(migration, ms(performance.now())) });
      return { stopToResume: receipt.times.stopToResume ?? NaN, total, receipt };
    } finally {
      view.end();
    }
  });
}

async function main(): Promise<number> {
  let keep: boolean;
  try {
    keep = parseArgs({ options: { keep: { type: 'boolean', default: false } } }).values.keep;
  } catch (error) {
    console.error(`demo: ${formatError(error)}\nnpm run demo [-- --keep]`);
    return 2;
  }
  sweep();
  if (keep) mayBeUp();
  const native = kernelNative();
  const accelerator = await labAccelerator();
  const vm = labVm({ name: 'web-1', networks: ['a'], number: 10, accelerator });
  const plain = await plainRound(native, vm);
  say(`The same lab anew, with a server and an agent on each host. ${vm.name} is declared, and starts on h1.`);
  const cluster = await openCluster(native, keep ? { ...LAB, name: upLab } : LAB);
  let left = false;
  try {
    const godwit = await godwitRound(await ClusterSession.open(cluster, vm));
    const receipt = godwit.receipts.at(-1);
    if (receipt) process.stdout.write(`\nThe receipt of the last move:\n\n${formatReceipt(receipt, godwit.lastMove)}\n`);
    process.stdout.write(`\nBoth, as the client saw them:\n\n${formatComparison(plain.side, godwit.side)}\n\n`);
    const trouble = clientTrouble(godwit.whole);
    const unproven = godwit.receipts.filter((r) => r.outcome.kind !== 'moved' || !lossless(r)).length;
    if (unproven > 0) trouble.push(`${unproven} of ${MOVES} moves without a proof of no loss`);
    process.stdout.write(trouble.length === 0 ? 'Godwit lost nothing.\n' : `Godwit did not keep its promise: ${trouble.join('; ')}\n`);
    if (keep) {
      // This one has moved as often as a VM may in 3 minutes.
      say(useOf(cluster, labVm({ name: 'web-2', networks: ['a'], number: 11, accelerator }), `The cluster stays up; ${vm.name} runs in it.`));
      cluster.leave();
      left = true;
    }
    return trouble.length === 0 ? 0 : 1;
  } finally {
    if (!left) await cluster.close();
  }
}


main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(`demo: ${formatError(error)}`);
    process.exitCode = 1;
  },
);
