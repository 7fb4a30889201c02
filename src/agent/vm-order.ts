/** What an agent is to do about one VM, decided from what is wanted of it and what it knows; no I/O. */
import type { VmReport, WantedVm } from '../api/agent-protocol.ts';
import type { GuestState } from '../move/hypervisor.ts';
import type { Run, VmRecord } from './records.ts';

export interface Known {
  readonly record: VmRecord | undefined;
  readonly wanted: WantedVm | undefined;
  readonly guest: GuestState | undefined;
  /** Asked to power down, and it has not yet been waited long enough for that. */
  readonly goingDown: boolean;
  /** Why nothing may be done until a person has looked. */
  readonly blocked: string | undefined;
}

export type Order =
  /** Boot it, for `wanted.placement`. */
  | 'start'
  /** It runs, and a later order to start it is met by that. */
  | 'accept'
  /** Power down, then kill. */
  | 'stop'
  /** It is wanted again, but goes down just now: see first whether it does. */
  | 'await-end'
  /** It was deleted and is not there: make that lasting, and say so. */
  | 'forget'
  /** It was booted here once, and this agent knows nothing of that: not a second time. */
  | 'lost'
  | 'rest';

/**
 * A VM starts at most once per (epoch, start): `record.run` is the last such order that was followed. Nothing is done for an order
 * older than the record's, none at all at or below an epoch that was given away, and none because a VM is not listed.
 */
export function orderFor({ record, wanted, guest, goingDown, blocked }: Known): Order {
  if (!wanted || blocked !== undefined) return 'rest';
  if (record?.givenAway && wanted.placement.epoch <= record.givenAway.epoch) return 'rest';
  if (record && newer(record.placement, wanted.placement)) return 'rest';
  if (wanted.removed) return guest ? 'stop' : record ? 'forget' : 'rest';
  if (!wanted.running) return guest ? 'stop' : 'rest';
  if (guest && goingDown) return 'await-end';
  if (record?.run && !newer(wanted.placement, record.run)) return 'rest';
  return guest ? 'accept' : wanted.heard ? 'lost' : 'start';
}

interface Ordinal {
  readonly epoch: number;
  readonly start: number;
}

export const newer = (a: Ordinal, b: Ordinal): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.start > b.start);

/** Characters of a reason: enough for a person, and the server takes the report. */
const REASON = 2000;

export interface Told extends Known {
  /** Its QEMU has been looked for. */
  readonly settled: boolean;
  /** The first list of what is wanted has come. */
  readonly listed: boolean;
  /** The move that has it in hand. */
  readonly move: string | undefined;
  /** What that move says of it. */
  readonly said: Pick<VmReport, 'state' | 'reason'> | undefined;
  /** What went wrong last and is tried again. */
  readonly trouble: string | undefined;
}

const LOST = 'it was started on this host, and this agent has neither its QEMU nor a record of it: look whether it runs here, or on a '
  + 'machine with a copy of this host\'s identity, before you start it again';

/** What the server is told; undefined when there is nothing to tell of it. */
export function reportOf(told: Told, name: string): VmReport | undefined {
  const { record, wanted, guest, listed, said, trouble, blocked } = told;
  const move = told.move === undefined ? {} : { move: told.move };
  const because = (reason: string | undefined): { reason?: string } => (reason === undefined ? {} : { reason: reason.slice(0, REASON) });
  if (wanted && said === undefined && told.move === undefined && orderFor(told) === 'lost') {
    return told.settled ? { name, placement: wanted.placement, state: 'ended', ...because(trouble ?? LOST) } : undefined;
  }
  if (!record) {
    if (!wanted) return undefined;
    const { placement } = wanted;
    if (blocked !== undefined) return { name, placement, state: 'ended', ...because(blocked) };
    if (wanted.removed) return { name, placement, state: 'gone' };
    return { name, placement, state: wanted.running ? 'starting' : 'stopped', ...because(trouble), ...move };
  }
  const { placement, givenAway, run } = record;
  if (said) return { name, placement, state: said.state, ...because(said.reason), ...move };
  if (givenAway && placement.epoch <= givenAway.epoch) {
    // Once the server does not list it any more, it knows.
    if (listed && !wanted) return undefined;
    const by = givenAway.move === undefined ? {} : { move: givenAway.move };
    return { name, placement: { ...placement, epoch: givenAway.epoch }, state: 'gone', ...by };
  }
  if (guest) return { name, placement, state: guest, ...because(trouble), ...move };
  if (wanted && told.move === undefined && orderFor(told) === 'start') {
    return { name, placement: wanted.placement, state: 'starting', ...because(trouble) };
  }
  // However it ended: it is wanted stopped, and it is.
  const stopped = run?.state === 'ended' && wanted?.running === false && !newer(placement, wanted.placement);
  if (stopped) return { name, placement, state: 'stopped', ...move };
  return { name, placement, state: stateOf(run, record.running), ...because(trouble ?? run?.reason), ...move };
}

function stateOf(run: Run | undefined, running: boolean): VmReport['state'] {
  if (!run) return running ? 'starting' : 'stopped';
  // `up` without a QEMU in hand: it is being looked for.
  return run.state === 'up' ? 'running' : run.state;
}
