/** From what is declared and what is known to what is next: where VMs are started, which moves begin, how all of it is shown. */
import { type Milliseconds, bytes } from '../base/units.ts';
import { movePolicy } from '../model/cluster-policy.ts';
import { hostDefaults } from '../model/host.ts';
import type { VmStatus } from '../model/vm-spec.ts';
import { admit, movedTooOften } from '../policy/admission.ts';
import { type Acting } from './acting.ts';
import { candidatesOf, wishOf } from './candidates.ts';
import type { Draft } from './draft.ts';
import { record } from './events.ts';
import type { Liveness } from './liveness.ts';
import { hostOf, moves, policyOf, unready } from './lookup.ts';
import { type Random, begin, finishQueued, store } from './migrations.ts';
import type { MoveHistory } from './move-history.ts';
import type { MigrationRecord, Row, VmRecord } from './records.ts';
import { doubtOf, endWithoutSource } from './saga.ts';
import { showSessions } from './bfd-sessions.ts';
import { showRouters } from './routers.ts';
import { isWantedRunning, vmState } from './vm-state.ts';

export interface Surroundings {
  readonly live: Liveness;
  readonly random: Random;
  /** ms since the epoch: for records. */
  readonly time: number;
  readonly history: MoveHistory;
  readonly acting: Acting;
  /** Monotonic. */
  readonly at: Milliseconds;
}

export function reconcile(draft: Draft, around: Surroundings): void {
  settle(draft, around);
  around.history.note(draft, around.time, around.at);
  placeVms(draft, around);
  // What a VM's state is now decides on what may begin, and what began on what is shown.
  showVms(draft, around.time);
  if (admitMoves(draft, around)) showVms(draft, around.time);
  showRouters(draft, around);
  showSessions(draft, around.time);
}

/** Ends that only the destination can tell: the source is silent, or its agent knows nothing of the move. */
function settle(draft: Draft, { live, time }: Surroundings): void {
  for (const { name, record: move } of draft.rows('moves')) {
    const migration = draft.get('migrations', name);
    if (!migration || migration.status.end || !move.destinationEnd || move.told.source) continue;
    const source = migration.status.from;
    // An earlier report may be from before the move began there.
    const report = live.reportSince(name, source);
    const ignorant = report !== undefined && !report.moves.some((m) => m.migration === name);
    if (!ignorant && draft.get('hosts', source)?.status?.state !== 'silent') continue;
    store(draft, name, migration, move, endWithoutSource({ status: migration.status, move }, time), time);
  }
}

function placeVms(draft: Draft, { live, time, acting }: Surroundings): void {
  const waiting = draft.rows('vms').filter(({ record: vm }) => vm.startWanted && isWantedRunning(vm));
  if (waiting.length === 0) return;
  const candidates = new Map(candidatesOf(draft, live).map((c) => [c.name, c]));
  for (const { name, record: vm } of waiting) {
    const wish = wishOf(draft, vm);
    const last = vm.status.placement;
    // Declared anew after a store was lost or put back: what runs is taken over with that host's next report, not started again.
    const there = last === undefined ? live.hostOf(name) : undefined;
    if (there !== undefined) {
      draft.put('vms', name, { ...vm, startWanted: { waits: `${there} has it already: it is taken over as it is there` } });
      continue;
    }
    const placed = acting.place(draft, { vm: name, wish, candidates: [...candidates.values()], ...(last ? { last: last.host } : {}) }, time);
    if ('reason' in placed) {
      draft.put('vms', name, { ...vm, startWanted: { waits: placed.reason } });
      continue;
    }
    const host = candidates.get(placed.host);
    if (host) candidates.set(host.name, { ...host, freeMemory: bytes(host.freeMemory - wish.memory) });
    const { startWanted: _, observed: __, ...rest } = vm;
    // The first epoch is beyond all that a deleted VM of this name can have had: an epoch takes a revision.
    const epoch = last ? last.epoch + (last.host === placed.host ? 0 : 1) : draft.revision + 1;
    const placement = { host: placed.host, epoch, start: (last?.start ?? 0) + 1 };
    draft.put('vms', name, { ...rest, status: { ...vm.status, placement } });
    record(draft, { at: time, severity: 'info', about: { kind: 'Vm', name }, host: placed.host, reason: 'Placed', message: `${name} is to start on ${placed.host}` });
  }
}

/** True when a move has begun or one that waited has ended. */
function admitMoves(draft: Draft, around: Surroundings): boolean {
  const { time, random } = around;
  const queued = draft.rows('migrations').filter(({ record: m }) => m.status.phase === 'queued' && !m.status.end);
  if (queued.length === 0) return false;
  let changed = false;
  const waiting: { readonly row: Row<MigrationRecord>; readonly vm: VmRecord; readonly blocked?: string }[] = [];
  for (const row of queued) {
    const vm = draft.get('vms', row.record.spec.vm);
    const lost = impossible(row.record, vm);
    if (lost !== undefined || !vm) {
      finishQueued(draft, row.name, row.record, { kind: 'refused', reasons: [lost ?? 'Its VM is not there any more'] }, time);
      changed = true;
    } else {
      const blocked = blockedBy(draft, row.record, vm, around);
      waiting.push({ row, vm, ...(blocked === undefined ? {} : { blocked }) });
    }
  }
  const move = ({ name, record: m }: Row<MigrationRecord>) => ({ name, from: m.status.from, to: m.spec.to });
  const { begin: begins, waits } = admit({
    running: draft.rows('migrations').filter(({ record: m }) => moves(m)).map(move),
    waiting: waiting.filter(({ row }) => !row.record.spec.dryRun).map(({ row, blocked }) => ({ ...move(row), ...(blocked === undefined ? {} : { blocked }) })),
    limit: (host) => draft.get('hosts', host)?.spec.moves ?? hostDefaults.moves,
  });
  for (const { row, vm, blocked } of waiting) {
    // A dry run changes nothing and takes no room.
    const may = row.record.spec.dryRun ? blocked === undefined : begins.includes(row.name);
    if (may) {
      begin(draft, row, vm, time, random);
      changed = true;
    } else draft.put('migrations', row.name, { ...row.record, status: { ...row.record.status, reason: blocked ?? waits.get(row.name) ?? 'It waits for its turn' } });
  }
  return changed;
}

/** Why it will never begin. */
function impossible(migration: MigrationRecord, vm: VmRecord | undefined): string | undefined {
  const name = migration.spec.vm;
  if (!vm) return `${name} is not there any more`;
  if (!isWantedRunning(vm) || vm.status.state === 'stopped' || vm.status.state === 'failed') return `${name} does not run any more`;
  const at = vm.status.placement?.host;
  return at === migration.status.from ? undefined : `${name} is on ${at ?? 'no host'} now, not on ${migration.status.from}`;
}

/** Why it cannot begin yet, whatever room there is. */
function blockedBy(draft: Draft, migration: MigrationRecord, vm: VmRecord, { history, at }: Surroundings): string | undefined {
  const { spec, status } = migration;
  const ends = [status.from, spec.to];
  for (const host of ends) {
    const why = unready(draft, host);
    if (why !== undefined) return `${host} ${why}`;
  }
  if (vm.status.state !== 'running') return `${spec.vm} does not run now (${vm.status.state})`;
  for (const { name, record: move } of draft.rows('moves')) {
    const earlier = draft.get('migrations', name);
    if (earlier?.spec.vm !== spec.vm) continue;
    const late = (['source', 'destination'] as const).filter((role) => !move.told[role]).map((role) => hostOf(earlier, role)).find((host) => ends.includes(host));
    if (late !== undefined) return `${late} has not cleared up after ${name} yet`;
  }
  return spec.dryRun ? undefined : movedTooOften(history.moved(spec.vm), at, movePolicy(policyOf(draft)).movesPerVm);
}

function showVms(draft: Draft, time: number): void {
  const moving = new Map(draft.rows('migrations').filter(({ record: m }) => moves(m)).map((row) => [row.record.spec.vm, row]));
  for (const { name, record: vm } of draft.rows('vms')) {
    const migration = moving.get(name);
    const placement = vm.status.placement;
    const host = placement && draft.get('hosts', placement.host);
    const inDoubt = migration && doubtOf(draft.get('moves', migration.name));
    const shown = vmState(vm, {
      ...(migration ? { moving: { name: migration.name, migration: migration.record, ...(inDoubt === undefined ? {} : { inDoubt }) } } : {}),
      ...(host ? { host } : {}),
    });
    const { state, reason, migration: hand } = vm.status;
    if (shown.state === state && shown.reason === reason && migration?.name === hand) continue;
    const status: VmStatus = {
      ...shown, since: shown.state === vm.status.state ? vm.status.since : time,
      ...(placement ? { placement } : {}), ...(migration ? { migration: migration.name } : {}),
    };
    draft.put('vms', name, { ...vm, status });
    if (status.state !== vm.status.state) tellState(draft, name, vm.status, status, time);
  }
}

function tellState(draft: Draft, name: string, before: VmStatus, { state, reason, placement }: VmStatus, at: number): void {
  const host = placement?.host ?? 'no host';
  const why = reason === undefined ? '' : `: ${reason}`;
  const say = (severity: 'info' | 'warning' | 'alarm', word: string, message: string): void =>
    record(draft, { at, severity, about: { kind: 'Vm', name }, ...(placement ? { host: placement.host } : {}), reason: word, message });
  // What a silence or a move hides, and what comes out from behind it, is told where the silence and the move are.
  if (state === 'running' && (before.state === 'starting' || before.state === 'stopped' || before.state === 'failed')) say('info', 'Started', `${name} runs on ${host}`);
  else if (state === 'paused' && before.state === 'running') say('warning', 'Paused', `${name} stands still on ${host}${why}`);
  else if (state === 'stopped') say('info', 'Stopped', `${name} is stopped${why}`);
  else if (state === 'failed') say('alarm', 'Failed', `${name} does not run any more on ${host}${why}`);
  else if (state === 'in-doubt') say('alarm', 'InDoubt', `${name} stands still, in doubt between two hosts${why}`);
}
