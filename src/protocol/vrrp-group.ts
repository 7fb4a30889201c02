/**
 * Sync groups: the routers of one host that are Active together or not at all. What of one member's business depends on the others.
 *
 * - **One priority for all**: the least that is configured for any member, and the weights of all of them, each thing tracked once, kept
 *   in 1..254. Did two hosts rank differently in two members, the group would go to and fro between them for ever: each would win one
 *   duel, lose the other, step back from both, and begin anew. An owner, 255, has no weights; with a member that is none it owns nothing.
 * - **Nobody takes over what it could not keep**: a member whose timer fires waits while another one hears an Active that it may not
 *   preempt and that lives. To take over would be to lose the other member's duel, step back, and begin anew, for ever. If this member
 *   heard nothing at all, that Active must have been heard since this one was due: then that host lives and has lost only this network.
 *   If a weaker one is heard here, or one that leaves (whoever leaves a group leaves all of it), that it lives is enough.
 */
import type { Milliseconds } from '../base/units.ts';
import type { Member, Tracks } from './vrrp-member.ts';
import { preempts } from './vrrp-roles.ts';
import { activeDownInterval } from './vrrp-timers.ts';

/** With it, all that are with it or nobody. */
export function groupOf(member: Member, all: Iterable<Member>): Member[] {
  const { group } = member.plan;
  if (group === undefined || member.removed) return [member];
  return [...all].filter((other) => other.plan.group === group && !other.removed);
}

/** 1..255, of each of the group. */
export function groupPriority(group: readonly Member[], tracks: Tracks): number {
  const priority = Math.min(...group.map(({ plan }) => plan.settings.priority));
  if (priority === 255) return priority;
  const weights = new Map<string, number>();
  for (const { plan } of group) {
    for (const { key, weight } of plan.track) if (weight !== undefined && !weights.has(key)) weights.set(key, weight);
  }
  let sum = priority;
  for (const [key, weight] of weights) if ((tracks.get(key) ?? true) === weight > 0) sum += weight;
  return Math.min(254, Math.max(1, sum));
}

/** Why a member whose timer fires must not take over all the same; undefined: it may. */
export function heldBackBy(member: Member, group: readonly Member[], now: Milliseconds): string | undefined {
  if (member.state.phase !== 'backup') return undefined;
  const [own] = member.heard;
  const { activeInterval } = member.state;
  const due = (own?.at ?? -Infinity) + 1.5 * activeInterval;
  const silent = !own || (own.priority > 0 && now > due);
  for (const other of group) {
    const { state, heard: [last] } = other;
    if (other === member || state.phase !== 'backup' || !last || last.priority === 0) continue;
    const superior = last.priority >= state.settings.priority || !preempts(state.settings);
    const living = now < last.at + activeDownInterval(state.settings, state.activeInterval);
    if (!superior || !living || (silent && last.at <= due)) continue;
    return `${other.plan.name} hears ${last.from}, which lives and is not to be preempted`;
  }
  return undefined;
}
