/** Starting, stopping and deleting VMs, and what their agents say of them. */
import { ApiError } from '../api/api.ts';
import type { VmReport } from '../api/agent-protocol.ts';
import type { Placement } from '../model/vm-spec.ts';
import type { Draft } from './draft.ts';
import type { Liveness } from './liveness.ts';
import { hostSilent, notFound, vmMoving, vmNotRunning, vmStopping, vmUnknown } from './errors.ts';
import { record } from './events.ts';
import { livingMigration } from './lookup.ts';
import type { Observed, VmRecord } from './records.ts';

/** The VM with a start ordered; as it is when it runs or is about to. Throws ApiError when a start now could mean a second one. */
export function ordered(name: string, vm: VmRecord): VmRecord {
  if (vm.deleting) throw new ApiError(409, 'CONTROL_VM_DELETED', `${name} is being deleted: declare it anew when it is gone`);
  switch (vm.status.state) {
    case 'stopped':
    case 'failed': {
      const { force: _, observed: __, ...rest } = vm;
      return { ...rest, spec: { ...vm.spec, running: true }, startWanted: vm.startWanted ?? {} };
    }
    case 'unknown':
      throw vmUnknown(name, vm.status.reason ?? 'its host is silent');
    case 'paused':
      throw new ApiError(409, 'CONTROL_VM_PAUSED', `${name} is there and stands still${vm.status.reason === undefined ? '' : ` (${vm.status.reason})`}: look at it, then \`godwit vm stop ${name}\` and start it`);
    default:
      if (vm.spec.running === false) throw vmStopping(name);
      return vm;
  }
}

/** The VM wanted stopped. */
export function halted(vm: VmRecord, force: boolean): VmRecord {
  const { startWanted: _, ...rest } = vm;
  return { ...rest, spec: { ...vm.spec, running: false }, ...(force ? { force } : {}) };
}

export function start(draft: Draft, name: string): void {
  draft.put('vms', name, ordered(name, known(draft, name)));
}

export function stop(draft: Draft, name: string, force: boolean): void {
  draft.put('vms', name, halted(known(draft, name), force));
}

/** Its host is to announce its addresses anew. */
export function announce(draft: Draft, name: string, now: number): void {
  const vm = known(draft, name);
  const { state, reason, placement, migration } = vm.status;
  if (migration !== undefined) throw vmMoving(name, migration);
  if (state === 'unknown' && placement) throw hostSilent(placement.host, 'is silent');
  if (state !== 'running' || !placement) throw vmNotRunning(name, [state, reason].filter(Boolean).join(': '), 'announced');
  draft.put('vms', name, { ...vm, announce: (vm.announce ?? 0) + 1 });
  record(draft, { at: now, severity: 'info', about: { kind: 'Vm', name }, host: placement.host, reason: 'Announced', message: `${placement.host} is to announce the addresses of ${name} anew` });
}

/** Gone at once when no host has it; else when its agent has ended it and said so. */
export function remove(draft: Draft, name: string, now: number): void {
  const vm = known(draft, name);
  const migration = livingMigration(draft, name);
  if (migration) throw vmMoving(name, migration.name);
  const { placement } = vm.status;
  if (!placement || !draft.get('hosts', placement.host)) forget(draft, name, now);
  else {
    const { startWanted: _, ...rest } = vm;
    draft.put('vms', name, { ...rest, deleting: true });
  }
}

function forget(draft: Draft, name: string, now: number): void {
  draft.delete('vms', name);
  record(draft, { at: now, severity: 'info', about: { kind: 'Vm', name }, reason: 'Deleted', message: `${name} is deleted` });
}

/**
 * All that this host says of VMs. What it says under an older placement than ours is from the past, and is not heard; and that it does
 * not speak of one says nothing of that one. Gives the VMs that run there and nobody declared.
 */
export function hearVms(draft: Draft, host: string, reports: readonly VmReport[], live: Liveness, now: number): ReadonlySet<string> {
  const undeclared = new Set<string>();
  for (const report of reports) {
    const vm = draft.get('vms', report.name);
    if (vm) {
      hearVm(draft, host, report, vm, now);
      continue;
    }
    if (report.state !== 'running') continue;
    undeclared.add(report.name);
    if (!live.knowsUndeclared(host, report.name)) {
      record(draft, {
        at: now, severity: 'alarm', about: { kind: 'Vm', name: report.name }, host, reason: 'Undeclared',
        message: `${host} runs ${report.name}, which the server does not know: declare it, and it is taken over as it runs. Was the server's store lost, or put back from a copy?`,
      });
    }
  }
  return undeclared;
}

function hearVm(draft: Draft, host: string, report: VmReport, vm: VmRecord, now: number): void {
  if (report.state === 'incoming') return;
  const ours = vm.status.placement;
  if (report.state === 'gone') {
    if (vm.deleting && report.move === undefined && ours?.host === host && ours.epoch === report.placement.epoch) forget(draft, report.name, now);
    return;
  }
  const heard: Observed = observedOf(report.state, report.reason);
  if (ours && ours.host === host && ours.epoch === report.placement.epoch) {
    // That an earlier start of it ended says nothing of this one.
    if (report.placement.start < ours.start && heard.state === 'ended') return;
    const learned = report.placement.start > ours.start;
    // One that began to end before its start was ordered anew.
    if (vm.startWanted && !learned) return;
    keep(draft, report.name, learned ? learn(draft, vm, report, host, now) : vm, heard);
  } else if (report.placement.epoch > (ours?.epoch ?? 0) && !livingMigration(draft, report.name)) {
    keep(draft, report.name, learn(draft, vm, report, host, now), heard);
  }
}

/** A placement newer than ours was stored once by a server, and is forgotten here: our store is an old one, put back. */
function learn(draft: Draft, vm: VmRecord, report: VmReport, host: string, now: number): VmRecord {
  const placement: Placement = { ...report.placement, host };
  record(draft, {
    at: now, severity: 'warning', about: { kind: 'Vm', name: report.name }, host, reason: 'PlacementLearned',
    message: `${host} has ${report.name} under a newer placement than the server knew: taken over from there. Was the server's store put back from a copy?`,
  });
  const { startWanted: _, ...rest } = vm;
  return { ...rest, status: { ...vm.status, placement } };
}

function keep(draft: Draft, name: string, vm: VmRecord, heard: Observed): void {
  // An agent that only says `paused` does not take back why.
  const reason = heard.reason ?? (vm.observed?.state === heard.state ? vm.observed.reason : undefined);
  draft.put('vms', name, { ...vm, observed: { state: heard.state, ...(reason === undefined ? {} : { reason }) } });
}

function observedOf(state: Exclude<VmReport['state'], 'incoming' | 'gone'>, reason: string | undefined): Observed {
  return { state: state === 'stopped' ? 'ended' : state, ...(reason === undefined ? {} : { reason }) };
}

/** Where it runs from the commit on. */
export function handOver(draft: Draft, name: string, to: string, from: { readonly epoch: number; readonly start: number }): void {
  const vm = draft.get('vms', name);
  if (!vm || vm.status.placement?.epoch !== from.epoch) return;
  draft.put('vms', name, {
    ...vm, observed: { state: 'running' }, status: { ...vm.status, placement: { host: to, epoch: from.epoch + 1, start: from.start } },
  });
}

function known(draft: Draft, name: string): VmRecord {
  const vm = draft.get('vms', name);
  if (!vm) throw notFound('Vm', name, draft.rows('vms').map((row) => row.name));
  return vm;
}

