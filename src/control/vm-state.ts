/** The state of a VM as shown: it follows from what was declared, what was last heard, its move and its host. */
import type { VmState } from '../model/vm-spec.ts';
import type { HostRecord, MigrationRecord, VmRecord } from './records.ts';

export interface Circumstances {
  /** The migration that has it in hand: begun, not ended, no dry run; `inDoubt` as its agents say. */
  readonly moving?: { readonly name: string; readonly migration: MigrationRecord; readonly inDoubt?: string };
  /** Where it is placed. */
  readonly host?: HostRecord;
}

export interface Shown {
  readonly state: VmState;
  readonly reason?: string;
}

export function vmState(vm: VmRecord, { moving, host }: Circumstances): Shown {
  const wanted = isWantedRunning(vm);
  const placement = vm.status.placement;
  const observed = vm.observed;
  if (vm.startWanted) return stopped(vm, vm.startWanted.waits ?? 'waits for a host');
  if (!placement) return stopped(vm);
  const silent = host?.status?.state === 'silent' ? `${placement.host} is silent: whether it runs there is not known` : undefined;
  if (moving) {
    if (moving.inDoubt !== undefined) return { state: 'in-doubt', reason: moving.inDoubt };
    return silent === undefined ? { state: 'moving' } : { state: 'unknown', reason: silent };
  }
  if (observed?.state === 'ended') return wanted ? { state: 'failed', ...because(observed.reason) } : stopped(vm);
  if (silent !== undefined) return { state: 'unknown', reason: silent };
  return { state: observed?.state ?? 'starting', ...because(stopping(vm) ?? observed?.reason) };
}

export const isWantedRunning = (vm: VmRecord): boolean => vm.spec.running !== false && !vm.deleting;

const because = (reason: string | undefined): { reason?: string } => (reason === undefined ? {} : { reason });

const stopped = (vm: VmRecord, reason?: string): Shown => ({ state: 'stopped', ...because(vm.deleting ? 'is being deleted' : reason) });

const stopping = (vm: VmRecord): string | undefined => (vm.deleting ? 'is being stopped and deleted' : vm.spec.running === false ? 'is being stopped' : undefined);
