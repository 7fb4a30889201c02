/**
 * Who is probed how often now: policy/probe-budget.ts with this host's plan, and a part of the budget kept for paths that need a closer
 * look, which get up to 100 probes a second out of it. Pure.
 */
import { type Milliseconds, ms } from '../base/units.ts';
import { MAIN_PATH } from '../model/path.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import { type ProbePlan, planProbes } from '../policy/probe-budget.ts';

/**
 * CPU time of the whole process for one packet, sent or taken, ms, all that is done with it included: measured with 62 sessions of 10
 * probes a second, two virtual processors of an EPYC. The same on all hosts, since all must come to the same sample.
 */
export const PACKET_COST = ms(0.018);
/** A probe or an answer on the wire: 52 bytes, UDP, IPv6, Ethernet with its preamble and gap. */
const PACKET_BYTES = 138;
/** All hosts have the same. */
const SEED = 5;
/** Of the shares of core and links: for those that need a closer look; of those of links: for full-size packets. */
const RESERVE = 0.1;
const FULL_SIZE = 0.2;
export const HASTE = 100;
/** Packets of one probe: out, in, and the same of one that is reflected. */
const PACKETS = 4;

/** By the wall's clock. Hosts that have no address on a path are in it, and are left out by who carries it out. */
export function planSessions({ host, peers, paths, probing }: WatchPlan, now: Milliseconds): ProbePlan {
  // The main path first, whatever the order in the plan.
  const names = Object.keys(paths).sort((a, b) => Number(b === MAIN_PATH) - Number(a === MAIN_PATH) || (a < b ? -1 : 1));
  const probed = names.flatMap((path) => {
    const found = paths[path];
    return found ? [{ path, capacity: found.capacity, classes: found.classes }] : [];
  });
  const costs = { packet: PACKET_COST, bytes: PACKET_BYTES };
  return planProbes(host, [host, ...peers.map((peer) => peer.host)], probing.enabled ? probed : [], SEED, costs, {
    rate: { wanted: probing.rate, least: Math.min(probing.leastRate, probing.rate) },
    share: { core: probing.core * (1 - RESERVE), link: probing.link * (1 - RESERVE - FULL_SIZE) }, dwell: ms(probing.dwell),
  }, now);
}

/** Probes a second for each of `sessions` sessions that want more: never fewer than `rate`, which they have. */
export function hastenedRate({ probing }: WatchPlan, sessions: number, capacity: number, rate: number): number {
  if (sessions === 0) return rate;
  const core = probing.core * RESERVE * 1000 / (PACKETS * PACKET_COST);
  const link = probing.link * RESERVE * capacity / (2 * PACKET_BYTES);
  return Math.max(rate, Math.min(HASTE, rate + Math.min(core, link) / sessions));
}

/** Between two full-size probes of one path: as often as their part of the link has room for. */
export function fullSizeInterval({ probing }: WatchPlan, paths: number, mtu: number, capacity: number): Milliseconds {
  const bytes = 2 * paths * mtu;
  return ms(Math.min(4000, Math.max(1000, 1000 * bytes / (probing.link * capacity * FULL_SIZE))));
}
