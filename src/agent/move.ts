/**
 * One move, driven: prepares both ends, feeds the switchover machine with what happens, carries out what it decides, keeps the
 * times, and writes the receipt.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type BytesPerSecond } from '../base/units.ts';
import type { Host } from '../host/host.ts';
import type { MoveOutcome, Receipt } from '../model/move.ts';
import { type SwitchoverEnd, type SwitchoverPolicy, type SwitchoverState } from '../protocol/switchover.ts';
import { planMove } from '../policy/plan.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { type IncomingMigration, type MigrationSample, type OutgoingMigration, prepareIncoming, prepareOutgoing } from '../vm/migration.ts';
import { realtimeClock } from './clock.ts';
import { formatUri } from './uri.ts';
import type { Journal } from './journal.ts';
import { compareLedger, readLedger } from './ledger.ts';
import { MoveDestination } from './move-destination.ts';
import { MoveSource, type MoveTunnels } from './move-source.ts';
import { MoveRefused } from './errors.ts';
import { gatherFacts } from './plan-facts.ts';
import { buildReceipt } from './receipt.ts';
import { type RunningVm, endVm } from './running-vm.ts';
import { SwitchoverRun } from './switchover-run.ts';

/** What can be chosen; whether QEMU may switch by itself follows from what it can do. */
export type MovePolicy = Omit<SwitchoverPolicy, 'selfSwitch'>;

export interface MoveOptions {
  /** 6 hex digits, unique: names the tunnels and taps, and the record in the destination's journal. */
  readonly id: string;
  readonly running: RunningVm;
  readonly to: Host;
  /** Of the network that carries migration and tunnels. */
  readonly sourceAddress: IpAddress;
  readonly destinationAddress: IpAddress;
  readonly port: number;
  readonly maxBandwidth: BytesPerSecond;
  readonly journal: Journal;
  readonly runDirectory: string;
  readonly policy: MovePolicy;
  readonly onProgress?: (progress: MoveProgress) => void;
  /** Whether the hosts ask the guest themselves when it answers; not needed, and some work for it, where a prober watches. Default true. */
  readonly hostProbes?: boolean;
  /** Aborting it before the commit takes the move back. */
  readonly signal?: AbortSignal;
}

export interface MoveProgress {
  readonly phase: SwitchoverState['phase'] | 'preparing';
  readonly sample?: MigrationSample;
}

export interface MoveResult {
  readonly receipt: Receipt;
  /** Where the guest runs now; after a stranded move, the destination's, which may or may not run. */
  readonly running: RunningVm;
  /** After a stranded move: the source's, which must not run until a person has looked. */
  readonly leftBehind?: RunningVm;
}

/** How long a guest may take to read what its taps hold at the end, ms. */
const TAKING = 3000;

/**
 * Ends with the guest running at one end, and says at which; only a `stranded` outcome leaves that open. Throws before anything was
 * changed, MoveRefused with the plan's reasons among others, and leaves nothing behind then.
 */
export async function move(options: MoveOptions): Promise<MoveResult> {
  const now = realtimeClock();
  const startedAt = now();
  const plan = planMove(await gatherFacts(options.running, options.to, options.destinationAddress));
  if (plan.kind === 'refused') throw new MoveRefused(plan.reasons);
  options.onProgress?.({ phase: 'preparing' });
  const preparing = now();
  const prepared = await prepare(options);

  const { source, destination, outgoing, uri } = prepared;
  const paths = [...source.ledgerPaths(), ...destination.ledgerPaths()];
  const before = readLedger(paths);
  const { onProgress, signal } = options;
  const run = new SwitchoverRun({ ...prepared, now, hostProbes: options.hostProbes ?? true, ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) });
  // From here on the machine alone says what may be undone: nothing below may end a QEMU but by its word.
  const end = await run.toEnd(() => outgoing.migrate(uri));
  const receipt = buildReceipt({
    move: options.id, vm: options.running.vm.name, from: options.running.host.name, to: options.to.name, outcome: outcomeOf(end),
    startedAt, preparing, endedAt: now(), run, ledger: compareLedger(before, readLedger(paths)),
    redirected: source.redirectedFrames(), delivered: destination.deliveredFrames(), untaken: await untaken(destination),
    warnings: plan.warnings,
  });

  source.close();
  switch (end.phase) {
    case 'done':
      destination.close();
      await endVm(options.running);
      return { receipt, running: destination.running };
    case 'rolled-back':
      await destination.discard();
      return { receipt, running: options.running };
    case 'stranded':
      return { receipt, running: destination.running, leftBehind: options.running };
  }
}

interface Prepared {
  readonly policy: SwitchoverPolicy;
  readonly source: MoveSource;
  readonly destination: MoveDestination;
  readonly incoming: IncomingMigration;
  readonly outgoing: OutgoingMigration;
  readonly uri: string;
}

async function prepare(options: MoveOptions): Promise<Prepared> {
  const { id, running, to, journal } = options;
  const tunnels: MoveTunnels = { id, vni: Number.parseInt(id, 16) & 0xfffff0, source: options.sourceAddress, destination: options.destinationAddress };
  const runDirectory = join(options.runDirectory, id);
  mkdirSync(runDirectory, { recursive: true });
  const source = new MoveSource(running, tunnels);
  let destination: MoveDestination | undefined;
  try {
    destination = await MoveDestination.prepare(to, running.vm, journal, runDirectory, tunnels);
    const [incoming, outgoing] = await Promise.all([
      prepareIncoming(destination.running.qemu, { hold: true }),
      prepareOutgoing(running.qemu, { hold: true, maxBandwidth: options.maxBandwidth }),
    ]);
    const uri = formatUri(options.destinationAddress, options.port);
    await incoming.listen(uri);
    const policy: SwitchoverPolicy = { ...options.policy, selfSwitch: outgoing.abilities.hold ? 'refuse' : 'accept' };
    return { policy, source, destination, incoming, outgoing, uri };
  } catch (error) {
    source.close();
    await destination?.abort();
    await destination?.discard();
    throw error;
  }
}

/** A tap seen empty once has given everything to the guest that came before. New frames keep coming, so one look does not do. */
async function untaken(destination: MoveDestination): Promise<boolean[]> {
  const waiting = destination.tapsWaiting();
  for (const deadline = performance.now() + TAKING; waiting.includes(true) && performance.now() < deadline; ) {
    await pause(1);
    for (const [i, still] of destination.tapsWaiting().entries()) waiting[i] &&= still;
  }
  return waiting;
}

function outcomeOf(end: SwitchoverEnd): MoveOutcome {
  switch (end.phase) {
    case 'done': return { kind: 'moved', ...(end.undrained === undefined ? {} : { undrained: end.undrained }) };
    case 'rolled-back': return { kind: 'rolled-back', reason: end.reason };
    case 'stranded': return { kind: 'stranded', reason: end.reason };
  }
}
