/**
 * move/: one move of one VM between two hosts. `ends.ts` says what its two ends are, `hypervisor.ts` what is needed of a host.
 *
 * One move, driven from its source: plans, prepares both ends, feeds the switchover machine with what happens, carries out what it
 * decides, keeps the times, and writes the receipt. The destination is another agent's, or in tests this process's own.
 */
import { unreachable } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';
import type { MoveOutcome, Receipt } from '../model/move.ts';
import type { Vm } from '../model/vm.ts';
import { type HostFacts, planMove } from '../policy/plan.ts';
import type { RollBack, SwitchoverEnd, SwitchoverPolicy } from '../protocol/switchover.ts';
import { realtimeClock } from './clock.ts';
import type { DestinationEnd, DestinationSummary, MoveTerms, SourceEnd } from './ends.ts';
import { MoveRefused, PeerLost } from './errors.ts';
import type { Guest, Hypervisor } from './hypervisor.ts';
import type { Journal } from './journal.ts';
import { type LedgerReading, compareLedger } from './ledger.ts';
import { type PeerProbes, tryWays } from './preflight.ts';
import { buildReceipt } from './receipt.ts';
import { SwitchoverRun, type SwitchoverProgress } from './switchover-run.ts';

/** What can be chosen; whether QEMU may switch by itself follows from what it can do. */
export type MovePolicy = Omit<SwitchoverPolicy, 'selfSwitch'>;

/** The other host, before there is anything of this move there. Methods fail with PeerLost. */
export interface DestinationSide {
  readonly host: string;
  facts(vm: Vm): Promise<HostFacts>;
  /** Without, the ways between the hosts are not tried. */
  readonly probes?: PeerProbes;
  /** Leaves nothing behind when it fails. */
  prepare(vm: Vm, terms: MoveTerms): Promise<DestinationEnd>;
}

export interface MoveOptions {
  readonly terms: MoveTerms;
  readonly guest: Guest;
  readonly hypervisor: Hypervisor;
  readonly to: DestinationSide;
  /** The source's. */
  readonly journal: Journal;
  readonly policy: MovePolicy;
  readonly onProgress?: (progress: MoveProgress) => void;
  /** Aborting it before the commit takes the move back. */
  readonly signal?: AbortSignal;
  /** Whoever has the run can tell it the destination's word. */
  readonly onRun?: (run: SwitchoverRun) => void;
}

export interface MoveProgress extends Omit<SwitchoverProgress, 'phase'> {
  readonly phase: SwitchoverProgress['phase'] | 'preparing';
}

export interface MoveResult {
  readonly receipt: Receipt;
  readonly end: SwitchoverEnd;
  /** After a stranded move not finished: nobody but a person may end anything. */
  readonly destination: DestinationEnd;
}

/** The plan, from what both hosts say of themselves and what was tried between them. Throws MoveRefused with every reason. */
export async function planTo({ guest, hypervisor, to, terms }: Pick<MoveOptions, 'guest' | 'hypervisor' | 'to' | 'terms'>): Promise<{ warnings: readonly string[]; notes: readonly string[] }> {
  const [source, destination, path] = await Promise.all([hypervisor.facts(guest.vm), to.facts(guest.vm), hypervisor.path(guest, terms.destination)]);
  const ways = to.probes && source.name !== destination.name
    ? await tryWays({ vm: guest.vm, from: hypervisor.probes, to: to.probes, destination, address: terms.destination, path })
    : undefined;
  const plan = planMove({ vm: guest.vm, source, destination, ...path, ...ways });
  if (plan.kind === 'refused') throw new MoveRefused(plan.reasons);
  return plan;
}

/**
 * Ends with the guest running at one end, and says at which: after `done` what is left at the source is the caller's to end. Only `stranded` and `dead` leave it running nowhere. Throws before
 * anything was changed, MoveRefused with the plan's reasons among others, and leaves nothing behind then.
 */
export async function move(options: MoveOptions): Promise<MoveResult> {
  const { terms, guest, hypervisor, to, journal } = options;
  const now = realtimeClock();
  const startedAt = now();
  const { warnings } = await planTo(options);
  options.onProgress?.({ phase: 'preparing' });
  const preparing = now();
  const source = await hypervisor.sourceEnd(guest, terms);
  let destination: DestinationEnd;
  try {
    destination = await to.prepare(guest.vm, terms);
  } catch (error) {
    source.close();
    throw error;
  }
  const run = newRun(options, source, destination, now, () => journal.permit(terms.id, guest.vm.name));
  const before = source.ledger();
  // From here on the machine alone says what may be undone: nothing below may end a QEMU but by its word.
  const end = await run.move();
  return finish({ ...options, source, destination, run, end, before, startedAt, preparing, now, warnings, from: hypervisor.host, to: to.host });
}

/** After a restart of the source's agent: the move goes back, or turns out to be committed and is brought to its end. */
export async function recoverMove(options: Omit<MoveOptions, 'to'> & { readonly destination: DestinationEnd }): Promise<MoveResult> {
  const { terms, guest, hypervisor, destination, journal } = options;
  const now = realtimeClock();
  const startedAt = now();
  const source = await hypervisor.adoptSourceEnd(guest, terms);
  const run = newRun(options, source, destination, now, () => undefined);
  const before = source.ledger();
  // A QEMU that can be held sends its last page only after our `stop`: with a guest that runs there is nothing to doubt.
  const permitted = journal.permitted(terms.id) && !(source.holds && (await source.running()));
  const why: RollBack = { reason: 'The agent of the source was restarted', redirected: source.redirects(), permitted, guestGone: false, destinationGone: false };
  const end = await run.goBack(why);
  return finish({ ...options, source, destination, run, end, before, startedAt, preparing: startedAt, now, warnings: [], from: hypervisor.host, to: destination.host });
}

function newRun(options: Omit<MoveOptions, 'to'>, source: SourceEnd, destination: DestinationEnd, now: () => Milliseconds, permit: () => void): SwitchoverRun {
  const { onProgress, signal, onRun } = options;
  const policy: SwitchoverPolicy = { ...options.policy, selfSwitch: source.holds ? 'refuse' : 'accept' };
  const run = new SwitchoverRun({ source, destination, policy, permit, now, ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) });
  onRun?.(run);
  return run;
}

interface Finishing {
  readonly terms: MoveTerms;
  readonly guest: Guest;
  readonly source: SourceEnd;
  readonly destination: DestinationEnd;
  readonly run: SwitchoverRun;
  readonly end: SwitchoverEnd;
  readonly before: LedgerReading;
  readonly startedAt: Milliseconds;
  readonly preparing: Milliseconds;
  readonly now: () => Milliseconds;
  readonly warnings: readonly string[];
  readonly from: string;
  readonly to: string;
}

async function finish({ terms, guest, source, destination, run, end, before, startedAt, preparing, now, warnings, from, to }: Finishing): Promise<MoveResult> {
  const redirected = source.redirectedFrames();
  const at = await summaryOf(destination);
  const receipt = buildReceipt({
    move: terms.id, vm: guest.vm.name, from, to, outcome: outcomeOf(end), startedAt, preparing, endedAt: now(), run,
    ledger: [...compareLedger(before, source.ledger()), ...(at.known ? compareLedger(at.before, at.after) : [])],
    redirected, delivered: at.known ? at.delivered : [], untaken: at.known ? at.untaken : redirected.map(() => true),
    hostProbes: run.hostProbes(at.known ? at.probes : []), announceFailure: at.known ? at.announceFailure : undefined,
    warnings: at.known ? warnings : [...warnings, `${to} could not be asked for its counters at the end: ${at.why}`],
  });
  source.close();
  if (end.phase !== 'stranded') await destination.finish().catch(unlessLost);
  return { receipt, end, destination };
}

type Known = ({ readonly known: true } & DestinationSummary) | { readonly known: false; readonly why: string };

/** A receipt without the other host's counters proves less, and says so; the move is what it is. */
async function summaryOf(destination: DestinationEnd): Promise<Known> {
  try {
    return { known: true, ...(await destination.summary()) };
  } catch (error) {
    if (!(error instanceof PeerLost)) throw error;
    return { known: false, why: error.message };
  }
}

/** A destination that cannot be spoken with clears up by itself. */
function unlessLost(error: unknown): void {
  if (!(error instanceof PeerLost)) throw error;
}

function outcomeOf(end: SwitchoverEnd): MoveOutcome {
  switch (end.phase) {
    case 'done': return { kind: 'moved', ...(end.undrained === undefined ? {} : { undrained: end.undrained }) };
    case 'rolled-back': return { kind: 'rolled-back', reason: end.reason };
    case 'stranded': return { kind: 'stranded', reason: end.reason };
    case 'dead': return { kind: 'dead', reason: end.reason, at: end.at };
    default: return unreachable(end);
  }
}
