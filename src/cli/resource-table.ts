/** The columns of `get`, per kind; `-o wide` has more of them. */
import type { ResourceOf } from '../api/api.ts';
import { movePolicy, silentAfter } from '../model/cluster-policy.ts';
import { bfdDefaults } from '../model/bfd-session.ts';
import { kindOfNetwork } from '../model/network.ts';
import type { ClassFigures } from '../model/path.ts';
import type { Kind } from '../model/resource.ts';
import { routerDefaults } from '../model/virtual-router.ts';
import { formatAge } from './age.ts';
import { bfdDetection, bfdHosts, bfdState, bfdTerms } from './bfd-state.ts';
import { votes } from './host-description.ts';
import { reference } from './kinds.ts';
import { jitterCell, lossCell, mtuCell, pathRank, pathRanks, pathState, pathTrouble, pathTroubles, rttCell } from './path-words.ts';
import { effectiveIntervals, routerInterval, routerPriorities, routerState } from './router-state.ts';
import { type Column, left, right } from './table.ts';
import { formatBytes, formatMs, formatRate, oneLine } from './text.ts';

export interface ResourceColumn<R> {
  readonly column: Column;
  readonly wide: boolean;
  /** `now`: ms since the epoch. */
  readonly cell: (resource: R, now: number) => string | number | undefined;
}

type Cell<R> = ResourceColumn<R>['cell'];
const col = <R>(title: string, cell: Cell<R>): ResourceColumn<R> => ({ column: left(title), wide: false, cell });
const num = <R>(title: string, cell: Cell<R>): ResourceColumn<R> => ({ column: right(title), wide: false, cell });
const wide = <R>(title: string, cell: Cell<R>): ResourceColumn<R> => ({ column: left(title), wide: true, cell });

const since = (at: number | undefined, now: number): string | undefined => (at === undefined ? undefined : formatAge(now - at));
const size = (bytes: number | undefined): string | undefined => (bytes === undefined ? undefined : formatBytes(bytes));
const joined = (words: readonly string[] = []): string | undefined => (words.length === 0 ? undefined : words.join(','));

/** What a migration is doing, or how it ended. */
export const migrationState = ({ status }: ResourceOf['Migration']): string => status?.end?.kind ?? status?.phase ?? 'queued';

function migrationPercent({ status }: ResourceOf['Migration']): string | undefined {
  if (status?.end) return status.end.kind === 'moved' ? '100%' : undefined;
  return status?.progress === undefined ? undefined : `${Math.floor(status.progress.fraction * 100)}%`;
}

/** The end's own reason before the one it waited for. */
export function migrationReason({ status }: ResourceOf['Migration']): string | undefined {
  const end = status?.end;
  if (end && 'reason' in end) return end.reason;
  if (end && 'reasons' in end) return end.reasons.join('; ');
  return end ? undefined : status?.reason ?? status?.progress?.slow;
}

/** As declared: a routed network has several, with their prefix lengths. */
export const networkGateways = ({ spec }: ResourceOf['Network']): readonly string[] =>
  spec.routed?.gateways ?? (spec.gateway === undefined ? [] : [spec.gateway]);

const holdersOf = ({ status }: ResourceOf['Address']) => status?.holders ?? [];
function lastSeen(address: ResourceOf['Address']): number | undefined {
  const seen = holdersOf(address).flatMap(({ last }) => last ?? []);
  return seen.length === 0 ? undefined : Math.max(...seen);
}

const ofWindow = (cell: (figures: ClassFigures) => string | undefined) => ({ status }: ResourceOf['Path']): string | undefined => status
  && cell(status.report.window);

const columns: { readonly [K in Kind]: readonly ResourceColumn<ResourceOf[K]>[] } = {
  Host: [
    col('NAME', (h) => h.name), col('STATE', (h) => h.status?.state), col('ADDRESS', (h) => h.spec.address),
    num('CPUS', (h) => h.status?.cpus), num('MEMORY', (h) => size(h.status?.memory)), num('FREE', (h) => size(h.status?.freeMemory)),
    col('REPORTED', (h, now) => since(h.status?.lastReport, now)),
    col('VERDICT', ({ status }) => (status?.verdict && `${status.verdict.verdict} (${votes(status.verdict)})`)),
    wide('ACCELERATORS', (h) => joined(h.status?.accelerators)), wide('QEMU', (h) => h.status?.qemu),
    wide('KERNEL', (h) => h.status?.kernel), wide('AGENT', (h) => h.status?.agent.version),
    wide('BRIDGES', (h) => joined(Object.keys(h.status?.bridges ?? {}))), wide('CPU', (h) => h.status?.cpu),
  ],
  Network: [
    col('NAME', (n) => n.name), col('KIND', (n) => kindOfNetwork(n.name, n.spec).kind), col('BRIDGE', (n) => n.spec.bridge),
    num('MTU', (n) => n.spec.mtu ?? 1500), col('GATEWAY', (n) => joined(networkGateways(n))),
  ],
  Vm: [
    col('NAME', (v) => v.name), col('STATE', (v) => v.status?.state), col('HOST', (v) => v.status?.placement?.host),
    num('CPUS', (v) => v.spec.cpus), num('MEMORY', (v) => v.spec.memory), col('SINCE', (v, now) => since(v.status?.since, now)),
    wide('ADDRESSES', (v) => joined(v.spec.nics?.flatMap((nic) => nic.addresses ?? []))),
    wide('NETWORKS', (v) => joined(v.spec.nics?.map((nic) => nic.network))),
    wide('MIGRATION', (v) => v.status?.migration), wide('REASON', (v) => v.status?.reason),
  ],
  VirtualRouter: [
    col('NAME', (r) => r.name), num('VRID', (r) => r.spec.vrid), col('ADDRESSES', (r) => joined(r.spec.addresses)),
    col('ACTIVE-ON', (r) => joined(r.status?.active)), col('STATE', (r) => routerState(r).word),
    num('INTERVAL', (r) => formatMs(routerInterval(r))), col('AGE', (r, now) => since(routerState(r).since, now)),
    wide('EFFECTIVE', (r) => joined(effectiveIntervals(r))), wide('PRIORITIES', (r) => joined(routerPriorities(r))),
    wide('VERSION', (r) => r.spec.version ?? routerDefaults.version), wide('REASON', (r) => routerState(r).text),
  ],
  BfdSession: [
    col('NAME', (b) => b.name), col('PEER', (b) => b.spec.peer), col('STATE', (b) => bfdState(b).word),
    col('HOSTS', (b) => joined(bfdHosts(b))),
    num('DOWN-AFTER', bfdDetection), col('AGE', (b, now) => since(bfdState(b).since, now)),
    wide('DECLARED', bfdTerms), wide('HOPS', (b) => b.spec.hops ?? bfdDefaults.hops), wide('SIGNED', (b) => b.spec.authentication?.type),
    wide('REASON', (b) => bfdState(b).text),
  ],
  Path: [
    col('FROM', (p) => p.spec.from), col('TO', (p) => p.spec.to), col('PATH', (p) => p.spec.path), col('STATE', pathState),
    col('USE', ({ status }) => (status && (status.inUse ? 'yes' : 'NO'))), num('LOSS', ofWindow(lossCell)), num('RTT', ofWindow(rttCell)),
    num('JITTER', ofWindow(jitterCell)),
    num('MTU', ({ status }) => (status && mtuCell(status.report.mtu))),
    wide('AGE', ({ status }, now) => since(status?.report.quality.since, now)), wide('PROBES/S', ({ status }) => status?.report.rate),
    wide('SOURCE', (p) => p.spec.source), wide('DESTINATION', (p) => p.spec.destination), wide('HEARD', ({ status }) => status?.heard),
    col('TROUBLE', pathTrouble), wide('ALL', (p) => pathTroubles(p).join('; ')),
  ],
  Address: [
    col('ADDRESS', (a) => a.spec.address), col('NETWORK', (a) => a.spec.network),
    col('MAC', (a) => joined(holdersOf(a).map(({ mac }) => mac ?? '-'))),
    col('VM/ROUTER', (a) => joined(holdersOf(a).map(({ vm, router }) => vm ?? router ?? '-'))),
    col('HOST', (a) => joined(holdersOf(a).map(({ host }) => host ?? '-'))),
    col('SEEN-BY', (a) => joined([...new Set(holdersOf(a).flatMap(({ seenBy }) => seenBy))].sort())),
    col('LAST-SEEN', (a, now) => since(lastSeen(a), now)),
    col('CONFLICT', (a) => ((a.status?.conflicts.length ?? 0) > 0 ? 'CONFLICT' : undefined)),
    wide('EVIDENCE', (a) => joined(holdersOf(a).map(({ evidence }) => evidence))),
  ],
  Migration: [
    col('NAME', (m) => m.name), col('VM', (m) => m.spec.vm), col('FROM', (m) => m.status?.from), col('TO', (m) => m.spec.to),
    col('STATE', migrationState), num('COPIED', migrationPercent), col('AGE', (m, now) => since(m.status?.createdAt, now)),
    wide('RATE', ({ status }) => (status?.end || !status?.progress ? undefined : formatRate(status.progress.throughput))),
    wide('DIRTY', ({ status }) => (status?.end || !status?.progress ? undefined : formatRate(status.progress.dirtyRate))),
    wide('PAUSE', ({ status }) => (status?.receipt ? formatMs(status.receipt.times.stopToResume) : undefined)),
    wide('REASON', migrationReason),
  ],
  Event: [
    col('AGE', (e, now) => since(e.spec.at, now)), col('SEVERITY', (e) => e.spec.severity), col('REASON', (e) => e.spec.reason),
    col('OBJECT', (e) => reference(e.spec.about.kind, e.spec.about.name)),
    wide('HOST', (e) => e.spec.host), wide('NAME', (e) => e.name), col('MESSAGE', (e) => e.spec.message),
  ],
  Policy: [
    col('NAME', (p) => p.name), col('LAST-PASS', (p) => formatMs(movePolicy(p.spec).lastPass)),
    col('MAX-PAUSE', (p) => formatMs(movePolicy(p.spec).maxPause)), col('MAX-COPY', (p) => formatMs(movePolicy(p.spec).maxCopy)),
    num('MOVES-PER-VM', (p) => movePolicy(p.spec).movesPerVm), col('SILENT-AFTER', (p) => formatMs(silentAfter(p.spec))),
    wide('PATIENCE', (p) => formatMs(movePolicy(p.spec).patience)),
    wide('LAST-PASS-LATE', (p) => formatMs(movePolicy(p.spec).lastPassLate)),
    wide('MAX-DRAIN', (p) => formatMs(movePolicy(p.spec).maxDrain)),
  ],
};

export interface ResourceTable<R> {
  readonly columns: readonly Column[];
  /** `-` for what is not known. */
  row(resource: R, now: number): string[];
}

export function resourceTable<K extends Kind>(kind: K, isWide: boolean): ResourceTable<ResourceOf[K]> {
  const all: readonly ResourceColumn<ResourceOf[K]>[] = columns[kind];
  const shown = all.filter(({ wide }) => isWide || !wide);
  return {
    columns: shown.map(({ column }) => column),
    row: (resource, now) => shown.map(({ cell }) => oneLine(String(cell(resource, now) ?? '-')) || '-'),
  };
}

const inOrder = new Intl.Collator('en', { numeric: true });

/** Migrations in the order they were asked for, sick paths first, everything else by name, `web-2` before `web-10`. */
export function sorted<R extends ResourceOf[Kind]>(resources: readonly R[]): R[] {
  const createdAt = (r: ResourceOf[Kind]): number => (r.kind === 'Migration' ? r.status?.createdAt ?? 0 : 0);
  const rank = (r: ResourceOf[Kind]): number => (r.kind === 'Path' ? pathRanks.indexOf(pathRank(r)) : 0);
  return resources.toSorted((a, b) => createdAt(a) - createdAt(b) || rank(a) - rank(b) || inOrder.compare(a.name, b.name));
}
