/** Hosts: how they come in, whose report counts, who is silent. */
import { isDeepStrictEqual } from 'node:util';
import type { AgentReport } from '../api/agent-protocol.ts';
import type { Milliseconds } from '../base/units.ts';
import { silentAfter } from '../model/cluster-policy.ts';
import type { HostSpec, HostStatus } from '../model/host.ts';
import { checkHostPaths } from '../policy/path-check.ts';
import { secretMatches } from '../trust/join-token.ts';
import type { Draft } from './draft.ts';
import { hostExists, hostUnknown, inUse, invalid, notFound } from './errors.ts';
import { record } from './events.ts';
import type { Liveness } from './liveness.ts';
import { hostOf, policyOf } from './lookup.ts';
import { LIVES } from './verdicts.ts';

/** Instances of an agent that are remembered as replaced. */
const REPLACED_KEPT = 8;

/** Refusals of one that came too early until it is no restart any more. */
const NO_RESTART = 12;

/** `early`: another agent under this name lives. `duplicate`: it has been replaced by a later one. */
export type Verdict = 'new' | 'old' | 'early' | 'duplicate';

/**
 * Spends the token and makes the host; or changes nothing and gives what is wrong with the token, in words for the log. `now`: ms since
 * the epoch. Throws ApiError CONTROL_HOST_EXISTS, CONTROL_INVALID (its paths).
 */
export function admitHost(draft: Draft, name: string, spec: HostSpec, token: { readonly id: string; readonly secret: string }, now: number): string | undefined {
  const known = draft.get('tokens', token.id);
  // Used and expired ones are not kept.
  if (!known) return 'there is none of this id: used, expired, or never made here';
  if (known.expiresAt <= now) return 'it has expired';
  if (!secretMatches(token.secret, known.hash)) return 'its secret is wrong';
  if (draft.get('hosts', name)) throw hostExists(name);
  const others = new Map(draft.rows('hosts').map((row) => [row.name, row.record.spec]));
  const faults = checkHostPaths(name, spec, others).filter(({ severity, path }) => severity === 'error' && path.startsWith('/spec/paths/'));
  if (faults.length > 0) throw invalid(faults.map(({ path, message }) => ({ document: 0, path, message })));
  draft.delete('tokens', token.id);
  draft.put('hosts', name, { spec });
  tell(draft, name, now, 'info', 'HostJoined', `${name} has joined`);
  return undefined;
}

export function removeHost(draft: Draft, name: string, now: number): void {
  if (!draft.get('hosts', name)) throw notFound('Host', name, draft.rows('hosts').map((row) => row.name));
  for (const { name: vm, record: { spec, status } } of draft.rows('vms')) {
    if (spec.host === name) throw inUse('Host', name, `${vm} names it as its host: take that out of its declaration first`);
    if (status.placement?.host === name && status.state !== 'stopped' && status.state !== 'failed') {
      throw inUse('Host', name, `${vm} is there (${status.state}): move or stop it first`);
    }
  }
  for (const { name: router, record: { spec } } of draft.rows('routers')) {
    if (Object.hasOwn(spec.hosts, name)) throw inUse('Host', name, `router ${router} names it: take that out of its declaration first`);
  }
  for (const { name: session, record: { spec } } of draft.rows('bfdsessions')) {
    if (Object.hasOwn(spec.hosts, name)) throw inUse('Host', name, `BfdSession ${session} names it: take that out of its declaration first`);
  }
  for (const { name: migration, record: m } of draft.rows('migrations')) {
    if (!m.status.end && [m.status.from, m.spec.to].includes(name)) throw inUse('Host', name, `${migration} has not ended: wait for it, or cancel it`);
  }
  draft.delete('hosts', name);
  // Nobody is left to say that they are gone.
  for (const { name: vm, record: { deleting, status } } of draft.rows('vms')) if (deleting && status.placement?.host === name) draft.delete('vms', vm);
  for (const { name: migration, record: move } of draft.rows('moves')) {
    const m = draft.get('migrations', migration);
    const open = m && (['source', 'destination'] as const).some((role) => !move.told[role] && draft.get('hosts', hostOf(m, role)));
    if (!open) draft.delete('moves', migration);
  }
  tell(draft, name, now, 'info', 'Deleted', `Host ${name} is deleted`);
}

/** Whose report this is, and what it says of the host itself. Throws ApiError CONTROL_HOST_UNKNOWN. */
export function hearHost(draft: Draft, name: string, report: AgentReport, live: Liveness, clock: { readonly at: Milliseconds; readonly time: number }): Verdict {
  const host = draft.get('hosts', name);
  if (!host) throw hostUnknown(name);
  const current = host.status?.agent.instance;
  if (host.replaced?.includes(report.instance)) {
    // One report of the former may have been under way when the next began; a second one is no straggler.
    if (live.refuse(report.instance) === 2) {
      tell(draft, name, clock.time, 'alarm', 'AgentDuplicate', `Two agents report as ${name}: the one that began later (${current ?? 'unknown'}) is heard, the other (${report.instance}) is refused`);
    }
    return 'duplicate';
  }
  if (current !== undefined && current !== report.instance && host.status?.state !== 'silent' && live.silence(name, clock.at) < LIVES) {
    // It may be the same host's, just started anew; then nothing more will be heard of the former.
    if (live.refuse(report.instance) === NO_RESTART) {
      tell(draft, name, clock.time, 'alarm', 'AgentDuplicate', `Two agents report as ${name}: the one that was there (${current}) is heard, the other (${report.instance}) is refused. Two machines must not share one identity`);
    }
    return 'early';
  }
  if (!live.hear(name, report, clock.at, clock.time)) return 'old';
  const status: HostStatus = { state: 'ready', lastReport: clock.time, ...report.host };
  const replaced = current === undefined || current === report.instance ? host.replaced : [...(host.replaced ?? []), current].slice(-REPLACED_KEPT);
  if (replaced === host.replaced && host.status && isDeepStrictEqual(lasting(host.status), lasting(status))) return 'new';
  draft.put('hosts', name, { ...host, status, ...(replaced ? { replaced } : {}) });
  if (!host.status) tell(draft, name, clock.time, 'info', 'HostReady', `${name} has reported and is ready`);
  else if (host.status.state === 'silent') tell(draft, name, clock.time, 'info', 'AgentBack', `The agent on ${name} reports again`);
  else if (current !== report.instance) tell(draft, name, clock.time, 'info', 'AgentRestarted', `The agent on ${name} was started anew`);
  return 'new';
}

/** Without what changes all the time. */
function lasting(status: HostStatus): unknown {
  const { lastReport: _, freeMemory: __, agent, ...rest } = status;
  return { ...rest, agent: { ...agent, cpuTime: 0, residentMemory: 0 } };
}

/** Says of each host that is silent that it is. `at`: monotonic. */
export function noticeSilence(draft: Draft, live: Liveness, at: Milliseconds, time: number): void {
  const allowed = silentAfter(policyOf(draft));
  for (const { name, record: host } of draft.rows('hosts')) {
    if (host.status?.state !== 'ready' || live.silence(name, at) <= allowed) continue;
    draft.put('hosts', name, { ...host, status: { ...live.fresh(name, host.status), state: 'silent' } });
    tell(draft, name, time, 'alarm', 'AgentSilent', `The agent on ${name} has not reported for ${allowed / 1000} s: what runs there is not known`);
  }
}

/** Writes what is only in memory so far. */
export function refreshHosts(draft: Draft, live: Liveness): void {
  for (const { name, record: host } of draft.rows('hosts')) {
    if (host.status) draft.put('hosts', name, { ...host, status: live.fresh(name, host.status) });
  }
}

export function dropTokens(draft: Draft, now: number): void {
  for (const { name, record: token } of draft.rows('tokens')) if (token.expiresAt <= now) draft.delete('tokens', name);
}

function tell(draft: Draft, host: string, at: number, severity: 'info' | 'alarm', reason: string, message: string): void {
  record(draft, { at, severity, about: { kind: 'Host', name: host }, host, reason, message });
}
