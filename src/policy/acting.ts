/**
 * What Godwit does of itself about sick paths, hosts and moves: from facts to what is to stand from now on, and what of it is news. Each
 * action is `off`, `advise` or `act` by the policy's `act`; in `advise` all is decided and told as in `act`, and nothing is done.
 *
 * Pure: the same facts give the same decision, and a decision that was stored gives itself again: nothing is told or counted twice.
 */
import { bandwidthStandings } from './acting-bandwidth.ts';
import { evacuationStandings } from './acting-evacuate.ts';
import {
  type ActingFacts, type ActionReason, type ActionTold, type Decision, type Evacuation, type Standing, type Subject, subjectKey,
} from './acting-facts.ts';
import { Limits } from './acting-limit.ts';
import { pathStandings } from './acting-paths.ts';
import { priorityStandings } from './acting-priority.ts';
import { type Sickness, sicknessOf } from './acting-sickness.ts';
import { together, undone, wellAgain } from './acting-words.ts';

const began: Readonly<Record<Subject['action'], ActionReason>> = {
  path: 'PathTakenOut', bandwidth: 'MoveSlowed', evacuate: 'EvacuationBegun', priority: 'PriorityLowered',
};
const ended: Readonly<Record<Subject['action'], ActionReason>> = {
  path: 'PathBroughtBack', bandwidth: 'MoveSpeedRestored', evacuate: 'EvacuationEnded', priority: 'PriorityRestored',
};

export function decide(facts: ActingFacts, sickness: Sickness = sicknessOf(facts.pairs)): Decision {
  const limits = new Limits(facts.policy, facts.deeds, facts.at);
  const { standings: evacuating, evacuations, stuck } = evacuationStandings(facts, sickness, limits);
  const now = [...pathStandings(facts, limits), ...bandwidthStandings(facts, limits), ...priorityStandings(facts, sickness, limits), ...evacuating];
  const standings = new Map<string, Standing>();
  for (const standing of now) {
    const key = subjectKey(standing.subject);
    const before = facts.standings.get(key);
    // Its numbers are those that it began with.
    standings.set(key, before && isSame(before, standing) ? before : standing);
  }
  const told = [
    ...[...standings].flatMap(([key, standing]) => changeOf(facts.standings.get(key), standing, facts, limits)),
    ...[...facts.standings].flatMap(([key, before]) => (standings.has(key) ? [] : endOf(before, facts))),
    ...evacuations.map((evacuation) => tellMove(evacuation, standings)),
    ...stuck.flatMap(({ standing, why }) => tellHeld({ ...standing, heldBack: why }, limits)),
  ];
  return { standings, evacuations, told: together(told), done: limits.done };
}

const isSame = (a: Standing, b: Standing): boolean => a.mode === b.mode && (a.heldBack === undefined) === (b.heldBack === undefined) && a.share === b.share;

/** Of one that stands now. */
function changeOf(before: Standing | undefined, now: Standing, facts: ActingFacts, limits: Limits): ActionTold[] {
  if (before && isSame(before, now)) return [];
  const { subject } = now;
  const wasDone = before !== undefined && before.heldBack === undefined;
  const changedMode = wasDone && before.mode !== now.mode ? endOf(before, facts) : [];
  if (now.heldBack === undefined) {
    return [...changedMode, { subject, severity: 'warning', reason: now.mode === 'act' ? began[subject.action] : 'Advised', report: reportOf(now) }];
  }
  if (wasDone && before.mode === now.mode) {
    return [{ subject, severity: 'warning', reason: now.mode === 'act' ? ended[subject.action] : 'Advised', report: { ...reportOf(now), what: undone(subject) } }];
  }
  return [...changedMode, ...tellHeld(now, limits)];
}

/** Once, and not again before the time of the limit is over. */
function tellHeld(standing: Standing, limits: Limits): ActionTold[] {
  const key = `held.${subjectKey(standing.subject)}`;
  if (limits.lately(key) > 0) return [];
  limits.take(key);
  return [{ subject: standing.subject, severity: 'warning', reason: 'HeldBack', report: reportOf(standing) }];
}

function endOf(before: Standing, { policy, moves, pairs, hosts }: ActingFacts): ActionTold[] {
  const { subject, mode } = before;
  const off = policy.modes[subject.action] !== mode ? `act.${subject.action} is ${policy.modes[subject.action]} now` : undefined;
  // What is gone needs no word.
  if (subject.action === 'bandwidth' && !moves.some(({ migration }) => migration === subject.migration)) return [];
  if (subject.action === 'path' && off === undefined && !pairs.some(({ a, b, paths }) => a === subject.a && b === subject.b && paths.some(({ path }) => path === subject.path))) return [];
  if (before.heldBack !== undefined) return [];
  if ((subject.action === 'evacuate' || subject.action === 'priority') && !hosts.some(({ candidate }) => candidate.name === subject.host)) return [];
  const report = { action: subject.action, mode, what: undone(subject), because: [off ?? wellAgain(subject)] };
  return [{ subject, severity: 'info', reason: mode === 'act' ? ended[subject.action] : 'Advised', report }];
}

function tellMove({ vm, from, to }: Evacuation, standings: ReadonlyMap<string, Standing>): ActionTold {
  const subject: Subject = { action: 'evacuate', host: from };
  const because = standings.get(subjectKey(subject))?.because ?? [];
  return { subject, severity: 'info', reason: 'EvacuationMove', report: { action: 'evacuate', mode: 'act', what: `${vm} is moved from ${from} to ${to}`, because } };
}

function reportOf({ action, mode, what, because, heldBack }: Standing): ActionTold['report'] {
  return { action, mode, what, because, ...(heldBack === undefined ? {} : { heldBack }) };
}
