/**
 * VMs are moved live off a host whose VM network is sick: one that has been sick for its hold, on the path whose health is the network's,
 * while most other pairs on that path are well (acting-sickness.ts). One VM at a time, to a host that is well on that path and has room.
 * Never more than half of the hosts are evacuated. VMs are not moved back; and where the path is well again by its quick averages, and only
 * kept out for its hold, none is moved any more. Who is gone himself is not evacuated.
 */
import { type ActingFacts, type Evacuation, type HostFacts, type Standing, type Subject, type VmFacts, limitKey, subjectKey } from './acting-facts.ts';
import type { Limits } from './acting-limit.ts';
import type { Sickness } from './acting-sickness.ts';
import { type Candidate, place } from './placement.ts';

export interface Evacuating {
  readonly standings: readonly Standing[];
  readonly evacuations: readonly Evacuation[];
  /** Why one that has begun does not go on. */
  readonly stuck: readonly { readonly standing: Standing; readonly why: string }[];
}

export function evacuationStandings(facts: ActingFacts, sickness: Sickness, limits: Limits): Evacuating {
  const { policy, hosts, standings } = facts;
  const mode = policy.modes.evacuate;
  const made: { standings: Standing[]; evacuations: Evacuation[]; stuck: { standing: Standing; why: string }[] } = { standings: [], evacuations: [], stuck: [] };
  if (mode === 'off') return made;
  const begun = (host: string): Standing | undefined => {
    const known = standings.get(subjectKey({ action: 'evacuate', host }));
    return known?.mode === mode && known.heldBack === undefined ? known : undefined;
  };
  // Those that are being evacuated come before others that would begin.
  const order = hosts.toSorted((x, y) => Number(begun(y.candidate.name) !== undefined) - Number(begun(x.candidate.name) !== undefined));
  let under = 0;
  for (const host of order) {
    const { name } = host.candidate;
    const before = begun(name);
    if (!before && host.candidate.unready !== undefined) continue;
    const found = ofHost(name, facts, sickness, before);
    if (!found) {
      if (!before || isKnown(name, facts)) continue;
      made.standings.push(before);
      under++;
      continue;
    }
    const subject: Subject = { action: 'evacuate', host: name };
    const { because, vms } = found;
    const what = `VMs are moved off ${name}, where their network is sick: ${vms.map((vm) => vm.name).join(', ')}`;
    const standing: Standing = { action: 'evacuate', mode, subject, what, because };
    if (!before) {
      const heldBack = (under + 1) * 2 > hosts.length ? `${under} of ${hosts.length} hosts are evacuated already: never more than half` : limits.full(beginKey(name));
      if (heldBack !== undefined) {
        made.standings.push({ ...standing, heldBack });
        continue;
      }
      limits.take(beginKey(name));
    }
    under++;
    made.standings.push(standing);
    if (mode !== 'act') continue;
    const next = nextMove(host, vms, facts, sickness, limits);
    if ('move' in next) {
      made.evacuations.push(next.move);
      limits.take(limitKey(subject));
      limits.take(triedKey(next.move.vm));
    } else if ('stuck' in next) made.stuck.push({ standing, why: next.stuck });
  }
  return made;
}

/** One whose move did not go is not tried again and again. */
const triedKey = (vm: string): string => `evacuate.vm.${vm}`;
const beginKey = (host: string): string => `evacuate.begun.${host}`;

/** What makes this host one to be evacuated; undefined: nothing does. */
function ofHost(host: string, facts: ActingFacts, sickness: Sickness, before: Standing | undefined) {
  const sick = (path: string): boolean => sickness.get(path)?.has(host) === true && (before !== undefined || presses(host, path, facts));
  const touched = facts.vms.filter((vm) => vm.host === host && vm.networks.some(({ path }) => sick(path)));
  const paths = [...new Set(touched.flatMap(({ networks }) => networks.map(({ path }) => path)).filter(sick))];
  if (touched.length === 0) return undefined;
  return { vms: touched, because: paths.map((path) => sickness.get(path)?.get(host) ?? path) };
}

/** It has been sick there for the hold, and is so now between it and any other: not only for what was. */
const presses = (host: string, path: string, { policy, pairs, sickFor }: ActingFacts): boolean =>
  sickFor(host, path) >= policy.hold && pairs.some(({ a, b, paths }) => (a === host || b === host) && paths.some((fact) =>
    fact.path === path && (fact.state === 'down' || (fact.state === 'unfit' && fact.recovers !== true))));

/** Something is known of each of its paths. */
function isKnown(host: string, { pairs }: ActingFacts): boolean {
  const own = pairs.flatMap(({ a, b, paths }) => (a === host || b === host ? paths : []));
  const known = new Set(own.flatMap(({ path, state }) => (state === 'unknown' ? [] : [path])));
  return own.every(({ path }) => known.has(path));
}

type Next = { readonly move: Evacuation } | { readonly waits: true } | { readonly stuck: string };

function nextMove(host: HostFacts, vms: readonly VmFacts[], facts: ActingFacts, sickness: Sickness, limits: Limits): Next {
  const from = host.candidate.name;
  if (host.candidate.unready !== undefined) return { stuck: `${from} ${host.candidate.unready}` };
  if (facts.vms.some((vm) => vm.host === from && vm.moving) || host.moves >= host.mostMoves) return { waits: true };
  const pressing = new Set([...sickness].flatMap(([path, sick]) => (sick.has(from) && presses(from, path, facts) ? [path] : [])));
  const troubled = vms.filter(({ networks }) => networks.some(({ path }) => pressing.has(path)));
  if (troubled.length === 0) return { waits: true };
  const staying = troubled.map((vm) => vm.stays ?? (limits.lately(triedKey(vm.name)) > 0 ? 'was to be moved already, and is still there' : undefined));
  const movable = troubled.filter((_, n) => staying[n] === undefined);
  if (movable.length === 0) return { stuck: `${troubled[0]?.name ?? 'it'} ${staying[0] ?? 'cannot be moved'}` };
  const full = limits.full(limitKey({ action: 'evacuate', host: from }));
  if (full !== undefined) return { stuck: full };
  const reasons: string[] = [];
  for (const vm of movable) {
    const candidates = facts.hosts.filter((other) => other !== host).map((other) => suited(other, vm, sickness));
    const { host: _, ...wish } = vm.wish;
    const placed = place(wish, candidates);
    if ('host' in placed) return { move: { vm: vm.name, from, to: placed.host } };
    reasons.push(placed.reason);
  }
  return { stuck: reasons[0] ?? 'no host can take any of them' };
}

/** A target must be well on every path whose health is the VM's, and have room for one more move. */
function suited({ candidate, moves, mostMoves }: HostFacts, { networks }: VmFacts, sickness: Sickness): Candidate {
  if (candidate.unready !== undefined) return candidate;
  const sick = networks.find(({ path }) => sickness.get(path)?.has(candidate.name));
  if (sick) return { ...candidate, unready: `is sick on path ${sick.path} itself` };
  return moves < mostMoves ? candidate : { ...candidate, unready: 'has all the moves that it takes at a time' };
}
