/** What a pulse tells of a router, from what its machine, its driver and its clock know. */
import type { PulseTiming, RouterPlan, RouterStatus } from '../model/virtual-router.ts';
import { type HostRouterStatus, describeTrack, trackKey } from '../protocol/vrrp-host.ts';
import type { RouterDriver } from './router-driver.ts';

/** `since`: ms since the epoch. */
export function routerStatus(driver: RouterDriver, machine: HostRouterStatus, since: number, timing: PulseTiming): RouterStatus {
  const { plan } = driver.read;
  const { state, reason, priority, effectivePriority, interval, effectiveInterval, active, duels } = machine;
  const dialect = driver.lastDialect;
  const checksum = active && dialect?.from.equals(active.from) === true ? dialect.checksum : plan.version === 2 ? 'version-2' : plan.checksum;
  const tracked = new Map(plan.track.map((track) => [trackKey(track), describeTrack(track)]));
  return {
    state, since, ...(reason !== undefined && { reason }), priority, effectivePriority, interval, effectiveInterval,
    ...(active && { active: { address: active.from.toString(), priority: active.priority, interval: active.interval, checksum } }),
    differences: [...machine.differences, ...dialectDifference(driver)],
    tracks: machine.tracks.map(({ what, up, weight }) => ({ what: tracked.get(what) ?? what, up, ...(weight !== undefined && { weight }) })),
    counters: driver.counters,
    duels: { count: duels.count, ...(duels.lastHealed !== undefined && { lastHealed: duels.lastHealed }) },
    timing,
  };
}

/** As much of a plan as could be read. */
export type ImpossiblePlan = Pick<RouterPlan, 'name'> & Partial<Pick<RouterPlan, 'priority' | 'interval'>>;

export function impossibleStatus({ priority = 0, interval = 0 }: ImpossiblePlan, reason: string, since: number, timing: PulseTiming): RouterStatus {
  return {
    state: 'fault', since, reason, priority, effectivePriority: priority, interval, effectiveInterval: interval, differences: [], tracks: [],
    counters: { sent: 0, received: 0, dropped: {}, transitions: 0 }, duels: { count: 0 }, timing,
  };
}

function dialectDifference({ read: { plan: { version, family, checksum } }, lastDialect }: RouterDriver): string[] {
  if (!lastDialect || version === 2 || family === 6 || lastDialect.checksum === checksum) return [];
  return [`${lastDialect.from} sums its adverts by ${lastDialect.checksum}, configured here: ${checksum}`];
}
