/** Migrations: asked for, cancelled, and what the agents say of them. */
import type { MoveReport } from '../api/agent-protocol.ts';
import type { MigrationEnd, MigrationRequest, MigrationSpec } from '../model/migration.ts';
import type { Severity } from '../model/event.ts';
import type { Receipt } from '../model/move.ts';
import type { Draft, View } from './draft.ts';
import { hostSilent, migrationEnded, notFound, sameHost, vmMoving, vmNotRunning } from './errors.ts';
import { record } from './events.ts';
import type { Liveness } from './liveness.ts';
import { hostOf, livingMigration, unready } from './lookup.ts';
import type { MigrationRecord, MoveRecord, Row, VmRecord } from './records.ts';
import { type Heard, type MoveState, atSource, hear } from './saga.ts';
import { wayBetween } from './path-use.ts';
import { handOver } from './vms.ts';

/** 20 bits of a move's id are its own; the last digit is the NIC's (agent/ends.ts). */
const ID_BYTES = 3;
/** Of a resource's name. */
const NAME_LENGTH = 40;

/** Cryptographic: that many bytes. */
export type Random = (length: number) => Uint8Array;

/**
 * Queued; refuses at once what could not begin anyway. Returns its name.
 * @param choose the host to move it to from this one, where none is named
 */
export function migrate(draft: Draft, request: MigrationRequest, now: number, random: Random, choose?: (from: string) => string): string {
  const { vm: named, to, dryRun } = request;
  const vm = draft.get('vms', named);
  if (!vm) throw notFound('Vm', named, draft.rows('vms').map((row) => row.name));
  if (to !== undefined && !draft.get('hosts', to)) throw notFound('Host', to, draft.rows('hosts').map((row) => row.name));
  const living = livingMigration(draft, named);
  if (living) throw vmMoving(named, living.name);
  const from = vm.status.placement?.host;
  const silent = from === undefined ? undefined : unready(draft, from);
  if (from !== undefined && silent !== undefined && vm.status.state === 'unknown') throw hostSilent(from, silent);
  if (from === undefined || vm.status.state !== 'running' || vm.spec.running === false || vm.deleting) {
    throw vmNotRunning(named, [vm.status.state, vm.status.reason].filter(Boolean).join(': '));
  }
  const spec: MigrationSpec = { vm: named, to: to ?? choose?.(from) ?? from, ...(dryRun === undefined ? {} : { dryRun }) };
  if (from === spec.to) throw sameHost(named, from);
  for (const host of [from, spec.to]) {
    const why = unready(draft, host);
    if (why !== undefined) throw hostSilent(host, why);
  }
  const name = freshName(draft, spec.vm);
  draft.put('migrations', name, { spec, status: { phase: 'queued', from, createdAt: now, move: freshId(draft, random) } });
  return name;
}

export function cancel(draft: Draft, name: string, now: number): void {
  const migration = draft.get('migrations', name);
  if (!migration) throw notFound('Migration', name, draft.rows('migrations').map((row) => row.name));
  const { status } = migration;
  if (status.end) throw migrationEnded(name, status.end.kind);
  if (status.phase === 'queued') finishQueued(draft, name, migration, { kind: 'cancelled' }, now);
  else draft.put('migrations', name, { ...migration, status: { ...status, cancel: true } });
}

/** One that never began. */
export function finishQueued(draft: Draft, name: string, migration: MigrationRecord, end: MigrationEnd, now: number): void {
  const { reason: _, ...status } = migration.status;
  draft.put('migrations', name, { ...migration, status: { ...status, end, endedAt: now } });
  tellEnd(draft, name, migration, end, undefined, now);
}

/** From here on it is wanted of both agents. */
export function begin(draft: Draft, { name, record: migration }: Row<MigrationRecord>, vm: VmRecord, now: number, random: Random): void {
  const placement = vm.status.placement;
  if (!placement) return;
  const { reason: _, ...status } = migration.status;
  const token = Buffer.from(random(32)).toString('base64url');
  draft.put('migrations', name, { ...migration, status: { ...status, phase: 'plan', startedAt: now } });
  const way = wayBetween(draft, status.from, migration.spec.to);
  draft.put('moves', name, { epoch: placement.epoch, start: placement.start, token, ...(way ? { way } : {}), told: {} });
  if (migration.spec.dryRun) return;
  say(draft, name, now, 'info', 'MoveStarted', `${migration.spec.vm} begins to move from ${status.from} to ${migration.spec.to}`);
}

/** All that this host says of moves. */
export function hearMoves(draft: Draft, host: string, reports: readonly MoveReport[], now: number): void {
  for (const report of reports) {
    const migration = draft.get('migrations', report.migration);
    const move = draft.get('moves', report.migration);
    if (!migration || !move || migration.status.move !== report.move || hostOf(migration, report.role) !== host) continue;
    store(draft, report.migration, migration, move, hear({ status: migration.status, move }, report, now), now);
  }
}

/** Those of the ends told that need not be told again: stored, or of a migration that nobody knows any more. */
export const acknowledged = (view: View, reports: readonly MoveReport[]): string[] =>
  reports.filter((r) => r.end && (view.get('moves', r.migration)?.told[r.role] ?? true)).map((r) => r.migration);

/** Writes the progress that is only in memory so far. */
export function refreshProgress(draft: Draft, live: Liveness): void {
  for (const { name, record: migration } of draft.rows('migrations')) {
    const progress = live.progress(name);
    if (progress && !migration.status.end) draft.put('migrations', name, { ...migration, status: { ...migration.status, progress } });
  }
}

export function store(draft: Draft, name: string, migration: MigrationRecord, before: MoveRecord, heard: Heard, now: number): void {
  let { move } = heard;
  for (const news of heard.news) {
    if (news.kind === 'committed') {
      if (!migration.spec.dryRun) handOver(draft, migration.spec.vm, migration.spec.to, before);
    } else if (news.kind === 'ended') {
      // Handed over before, it lives where it was handed to, whatever became of the rest.
      const elsewhere = atSource(news.end) && heard.status.decision === 'committed';
      if (!migration.spec.dryRun && !elsewhere) settleVm(draft, migration.spec.vm, news.end);
      tellEnd(draft, name, migration, news.end, heard.status.receipt, now);
    } else if (!move.contradicted) {
      move = { ...move, contradicted: true };
      say(draft, name, now, 'alarm', 'MoveContradiction', `${name}: ${news.what}`);
    }
  }
  draft.put('migrations', name, { ...migration, status: heard.status });
  putMove(draft, name, migration, { status: heard.status, move });
}

/** Forgotten when nobody has anything left to tell. */
function putMove(draft: Draft, name: string, migration: MigrationRecord, { status, move }: MoveState): void {
  const told = (role: 'source' | 'destination'): boolean => move.told[role] ?? !draft.get('hosts', hostOf(migration, role));
  if (status.end && told('source') && told('destination')) draft.delete('moves', name);
  else draft.put('moves', name, move);
}

function settleVm(draft: Draft, name: string, end: MigrationEnd): void {
  const vm = draft.get('vms', name);
  if (!vm) return;
  if (end.kind === 'dead') draft.put('vms', name, { ...vm, observed: { state: 'ended', reason: end.reason } });
  if (end.kind === 'stranded') draft.put('vms', name, { ...vm, observed: { state: 'paused', reason: end.reason } });
}

function tellEnd(draft: Draft, name: string, { spec, status }: MigrationRecord, end: MigrationEnd, receipt: Receipt | undefined, now: number): void {
  const way = `${spec.vm} from ${status.from} to ${spec.to}`;
  switch (end.kind) {
    case 'moved': {
      const pause = receipt?.times.stopToResume;
      const rest = [pause === undefined ? '' : `, stood still for ${Math.round(pause)} ms`, end.undrained === undefined ? '' : `; ${end.undrained}`].join('');
      return say(draft, name, now, end.undrained === undefined ? 'info' : 'warning', 'Moved', `${spec.vm} moved from ${status.from} to ${spec.to}${rest}`);
    }
    case 'rolled-back': return say(draft, name, now, 'warning', 'MoveRolledBack', `The move of ${way} was taken back and ${spec.vm} runs on ${status.from}: ${end.reason}`);
    case 'cancelled': return say(draft, name, now, 'info', 'MoveCancelled', `The move of ${way} was cancelled; ${spec.vm} runs on ${status.from}`);
    case 'refused': return say(draft, name, now, 'warning', 'MoveRefused', `The move of ${way} cannot go: ${end.reasons.join('; ')}`);
    case 'possible': return say(draft, name, now, 'info', 'MovePossible', `A move of ${way} could go${end.warnings.length > 0 ? `, but: ${end.warnings.join('; ')}` : ''}`);
    case 'dead': return say(draft, name, now, 'alarm', 'MoveDead', `${spec.vm} died on ${end.at === 'source' ? status.from : spec.to} in its move from ${status.from} to ${spec.to}: ${end.reason}`);
    case 'stranded': return say(draft, name, now, 'alarm', 'MoveStranded', `${spec.vm} stands still after its move from ${status.from} to ${spec.to}: ${end.reason}`);
  }
}

function say(draft: Draft, name: string, at: number, severity: Severity, reason: string, message: string): void {
  record(draft, { at, severity, about: { kind: 'Migration', name }, reason, message });
}

/** `web-1-3`: the VM's name, cut where it is too long, and the next number. */
function freshName(draft: Draft, vm: string): string {
  const numbers = draft.rows('migrations').filter(({ record: m }) => m.spec.vm === vm).map(({ name }) => Number(name.slice(name.lastIndexOf('-') + 1)));
  for (let n = Math.max(0, ...numbers) + 1; ; n++) {
    const name = `${vm.slice(0, NAME_LENGTH - 1 - String(n).length)}-${n}`;
    if (!draft.get('migrations', name)) return name;
  }
}

function freshId(draft: Draft, random: Random): string {
  const living = new Set(draft.rows('migrations').filter(({ name, record: m }) => !m.status.end || draft.get('moves', name)).map(({ record: m }) => m.status.move));
  for (;;) {
    const id = `${Buffer.from(random(ID_BYTES)).toString('hex').slice(0, 5)}0`;
    if (id !== '000000' && !living.has(id)) return id;
  }
}
