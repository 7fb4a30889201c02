/**
 * Carries out what policy/acting.ts decides: every second and on every turn of a path, in the same transaction as what was heard. What is
 * acted on stands in the store (`standings`): what is wanted of each host follows from there, and a server that starts finds it. So do
 * the times of what was done (`deeds`), for the limit. How long something has lasted is only in memory: it is waited for anew.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api/api.ts';
import type { Clock } from '../base/clock.ts';
import { type Milliseconds, ms } from '../base/units.ts';
import type { EventSpec } from '../model/event.ts';
import { pathName } from '../model/path.ts';
import { decide } from '../policy/acting.ts';
import { type ActionTold, type Evacuation, type Subject, actPolicy } from '../policy/acting-facts.ts';
import type { Sickness } from '../policy/acting-sickness.ts';
import type { Placed } from '../policy/placement.ts';
import type { MigrationRequest } from '../model/migration.ts';
import { candidatesOf, wishOf } from './candidates.ts';
import { noTarget } from './errors.ts';
import { type Gathered, gather } from './acting-facts.ts';
import { ActingMemory } from './acting-memory.ts';
import { type Placing, placeSound } from './acting-target.ts';
import { sentence } from './acting-words.ts';
import type { Draft } from './draft.ts';
import { record } from './events.ts';
import type { Liveness } from './liveness.ts';
import { policyOf } from './lookup.ts';
import { type Random, migrate } from './migrations.ts';

export interface Instant {
  /** Monotonic. */
  readonly at: Milliseconds;
  /** ms since the epoch, the same instant. */
  readonly time: number;
}

export class Acting {
  readonly #live: Liveness;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #memory = new ActingMemory();
  #sickness: Sickness = new Map();
  /** Monotonic: when it was looked last, and how long that took. */
  #looked: { readonly at: Milliseconds; readonly cost: number } = { at: ms(-Infinity), cost: 0 };

  constructor(live: Liveness, random: Random, clock: Clock) {
    this.#live = live;
    this.#random = random;
    this.#clock = clock;
  }

  /** A path has turned: at once, unless turns come so fast that deciding would take more than a fifth of the time. */
  turned(draft: Draft, instant: Instant): void {
    if (instant.at - this.#looked.at >= 5 * this.#looked.cost) this.act(draft, instant);
  }

  /** Decides, and writes what follows. */
  act(draft: Draft, { at, time }: Instant): void {
    this.#memory.noteDeeds(draft, at, time);
    const { facts, sickness }: Gathered = gather(draft, this.#live, this.#memory, at);
    this.#sickness = sickness;
    const { standings, told, done, evacuations } = decide(facts, sickness);
    for (const [key, standing] of standings) {
      const before = facts.standings.get(key);
      if (!isDeepStrictEqual(before, standing)) draft.put('standings', key, { ...standing, since: time });
    }
    for (const key of facts.standings.keys()) if (!standings.has(key)) draft.delete('standings', key);
    for (const news of told) tell(draft, news, time);
    this.#writeDeeds(draft, done, { at, time });
    for (const evacuation of evacuations) this.#evacuate(draft, evacuation, time);
    const after = this.#clock.monotonic();
    this.#looked = { at: after, cost: after - at };
  }

  /** Where a VM is to move to from there when nobody said. Throws ApiError CONTROL_NO_TARGET. */
  target(draft: Draft, { vm, dryRun }: Pick<MigrationRequest, 'vm' | 'dryRun'>, from: string, time: number): string {
    const record = draft.get('vms', vm);
    const others = candidatesOf(draft, this.#live).filter(({ name }) => name !== from);
    if (!record || others.length === 0) throw noTarget(vm, 'there is no other host');
    const { host: _, ...wish } = wishOf(draft, record);
    const placed = this.place(draft, { vm, wish, candidates: others, verb: 'move to', silent: dryRun ?? false }, time);
    if ('reason' in placed) throw noTarget(vm, placed.reason);
    return placed.host;
  }

  /** Where a VM is to start: on a host that is sound, by `act.target`. */
  place(draft: Draft, placing: Placing, time: number): Placed {
    return placeSound(draft, this.#sickness, placing, time);
  }

  #writeDeeds(draft: Draft, done: readonly string[], { at, time }: Instant): void {
    const { within } = actPolicy(policyOf(draft));
    for (const { name: key, record: { at: stored } } of draft.rows('deeds')) {
      const fresh = this.#memory.fresh(key, stored, at, within);
      if (fresh.length === 0) draft.delete('deeds', key);
      else if (fresh.length < stored.length) draft.put('deeds', key, { at: fresh });
    }
    for (const key of done) draft.put('deeds', key, { at: [...draft.get('deeds', key)?.at ?? [], time] });
  }

  #evacuate(draft: Draft, { vm, from, to }: Evacuation, time: number): void {
    try {
      migrate(draft, { vm, to }, time, this.#random);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const report = { action: 'evacuate', mode: 'act', what: `${vm} is moved from ${from} to ${to}`, because: [], heldBack: error.message } as const;
      tell(draft, { reason: 'HeldBack', severity: 'warning', subject: { action: 'evacuate', host: from }, report }, time);
    }
  }
}

function tell(draft: Draft, { reason, severity, subject, report }: ActionTold, time: number): void {
  record(draft, {
    at: time, severity, ...aboutOf(subject), reason, message: sentence(report), evidence: { kind: 'action', action: report },
  });
}

function aboutOf(subject: Subject): Pick<EventSpec, 'about' | 'host'> {
  switch (subject.action) {
    case 'path': return { about: { kind: 'Path', name: pathName({ from: subject.a, to: subject.b, path: subject.path }) } };
    case 'bandwidth': return { about: { kind: 'Migration', name: subject.migration }, host: subject.host };
    case 'evacuate':
    case 'priority': return { about: { kind: 'Host', name: subject.host }, host: subject.host };
  }
}
