/** The facts that policy/acting.ts decides on, from the store and from what was heard last. */
import { type Milliseconds, seconds } from '../base/units.ts';
import { hostDefaults } from '../model/host.ts';
import { type NetworkSpec, isMadeByGodwit } from '../model/network.ts';
import { MAIN_PATH } from '../model/path.ts';
import { type ActingFacts, type HostFacts, type MoveFacts, type PairFacts, type Standing, type VmFacts, actPolicy, wellAgainAt } from '../policy/acting-facts.ts';
import { type PathSide, pathFact } from '../policy/acting-paths.ts';
import { type Sickness, sicknessOf } from '../policy/acting-sickness.ts';
import { pairOf } from '../policy/path-use.ts';
import type { ActingMemory } from './acting-memory.ts';
import { candidatesOf, wishOf } from './candidates.ts';
import type { View } from './draft.ts';
import type { Liveness } from './liveness.ts';
import { livingMigration, moves, policyOf } from './lookup.ts';
import { bandwidthOfMove, capOfMove } from './move-bandwidth.ts';
import { capacityOf, pathsOfHost } from './path-use.ts';

/** What was said longer ago says nothing of now. */
const OUTDATED = seconds(5);
const NOBODY: readonly PathSide[] = [];

export interface Gathered {
  readonly facts: ActingFacts;
  readonly sickness: Sickness;
}

export function gather(view: View, live: Liveness, memory: ActingMemory, at: Milliseconds): Gathered {
  const policy = actPolicy(policyOf(view));
  const pairs = pairsOf(view, live, at);
  const sickness = sicknessOf(pairs);
  memory.noteSickness(sickness, at);
  const anybody = [...sickness.values()].some((hosts) => hosts.size > 0);
  return {
    sickness,
    facts: {
      at, policy, pairs, deeds: memory.deeds, standings: standingsOf(view),
      hosts: hostsOf(view, live), moves: movesOf(view, live, pairs, memory, at),
      // Nobody is evacuated where nobody is sick.
      vms: anybody && policy.modes.evacuate !== 'off' ? vmsOf(view) : [],
      sickFor: (host, path) => memory.sickFor(host, path, at),
    },
  };
}

function standingsOf(view: View): ReadonlyMap<string, Standing> {
  return new Map(view.rows('standings').map(({ name, record }) => {
    const { since: _, ...standing } = record;
    return [name, standing];
  }));
}

function pairsOf(view: View, live: Liveness, at: Milliseconds): PairFacts[] {
  const sides = sidesOf(live, at);
  const traffic = trafficOf(view, live);
  const well = wellAgainAt(policyOf(view));
  const hosts = view.rows('hosts').map(({ name, record }) => ({ name, paths: Object.keys(pathsOfHost(record.spec)).sort() })).sort((x, y) => (x.name < y.name ? -1 : 1));
  const capacities = new Map<string, number>();
  const capacity = (path: string): number => {
    const known = capacities.get(path) ?? capacityOf(view, path);
    capacities.set(path, known);
    return known;
  };
  return hosts.flatMap((one, n) => hosts.slice(n + 1).map(({ name: b, paths }): PairFacts => ({
    a: one.name, b, traffic: traffic.get(`${one.name} ${b}`) ?? 0,
    paths: one.paths.filter((path) => paths.includes(path)).map((path) => pathFact(path, sides.get(`${one.name} ${b} ${path}`) ?? NOBODY, capacity(path), well)),
  })));
}

/** By pair and path. */
function sidesOf(live: Liveness, at: Milliseconds): ReadonlyMap<string, readonly PathSide[]> {
  const sides = new Map<string, PathSide[]>();
  const add = (from: string, peer: string, path: string, said: Omit<PathSide, 'from'>): void => {
    const key = from < peer ? `${from} ${peer} ${path}` : `${peer} ${from} ${path}`;
    const known = sides.get(key);
    if (!known) sides.set(key, [{ from, ...said }]);
    else if (known.at(-1)?.from === from) known.push({ ...known.pop(), from, ...said });
    else known.push({ from, ...said });
  };
  for (const { host: from, report: { monitor, opinions = [] }, age } of live.reports(at)) {
    if (age > OUTDATED) continue;
    for (const { peer, path, quality } of monitor?.paths ?? []) add(from, peer, path, { judgement: quality });
    // Who doubts itself says nothing of others.
    for (const { peer, paths, health } of opinions) if (!health.unwell) for (const { path, state } of paths) add(from, peer, path, { heard: state });
  }
  return sides;
}

function trafficOf(view: View, live: Liveness): ReadonlyMap<string, number> {
  const traffic = new Map<string, number>();
  for (const { name, record } of view.rows('migrations')) {
    if (!moves(record) || record.status.phase !== 'copy') continue;
    const pair = pairOf(record.status.from, record.spec.to).join(' ');
    traffic.set(pair, (traffic.get(pair) ?? 0) + (live.progress(name)?.throughput ?? 0));
  }
  return traffic;
}

function movesOf(view: View, live: Liveness, pairs: readonly PairFacts[], memory: ActingMemory, at: Milliseconds): MoveFacts[] {
  const running = view.rows('migrations').filter(({ record }) => moves(record));
  memory.forgetMoves(new Set(running.map(({ name }) => name)));
  return running.filter(({ record }) => record.status.phase === 'copy').map(({ name: migration, record }) => {
    const { from } = record.status;
    const { vm, to } = record.spec;
    const path = view.get('moves', migration)?.way?.path ?? MAIN_PATH;
    const [a, b] = pairOf(from, to);
    const state = pairs.find((pair) => pair.a === a && pair.b === b)?.paths.find((fact) => fact.path === path)?.state;
    return {
      migration, vm, from, to, path, wasWell: memory.wasWell(migration, state === 'fit'), cap: capOfMove(view, migration, record),
      throughput: memory.fastest(migration, live.progress(migration)?.throughput ?? 0, bandwidthOfMove(view, migration, record), at),
    };
  });
}

function hostsOf(view: View, live: Liveness): HostFacts[] {
  const routers = view.rows('routers');
  const moving = view.rows('migrations').filter(({ record: m }) => !m.status.end && !m.spec.dryRun);
  return candidatesOf(view, live).map((candidate) => ({
    candidate, mostMoves: view.get('hosts', candidate.name)?.spec.moves ?? hostDefaults.moves,
    moves: moving.filter(({ record: m }) => m.status.from === candidate.name || m.spec.to === candidate.name).length,
    routers: routers.flatMap(({ name, record: { spec } }) => {
      const part = Object.hasOwn(spec.hosts, candidate.name) ? spec.hosts[candidate.name] : undefined;
      return part && part.priority !== 255 ? [name] : [];
    }),
  }));
}

/** The path whose health is that of this network; undefined: of no path is it known. */
export const pathOfNetwork = (spec: NetworkSpec): string | undefined => spec.path ?? (isMadeByGodwit(spec) ? MAIN_PATH : undefined);

function vmsOf(view: View): VmFacts[] {
  return view.rows('vms').flatMap(({ name, record: vm }): VmFacts[] => {
    const { placement, state } = vm.status;
    if (!placement) return [];
    const networks = (vm.spec.nics ?? []).flatMap((nic) => {
      const network = view.get('networks', nic.network);
      const path = network && pathOfNetwork(network.spec);
      return path === undefined ? [] : [{ name: nic.network, path }];
    });
    if (networks.length === 0 || state === 'stopped' || state === 'failed') return [];
    const moving = livingMigration(view, name) !== undefined;
    const stays = vm.spec.host === placement.host ? `is declared to be on ${placement.host}`
      : moving || state !== 'running' || vm.deleting || vm.spec.running === false ? `is ${moving ? 'on its way' : state}` : undefined;
    return [{ name, host: placement.host, networks, wish: wishOf(view, vm), moving, ...(stays === undefined ? {} : { stays }) }];
  });
}
