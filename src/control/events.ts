/** The event log for people: written with what it tells of, in the same transaction, and cut to the newest. */
import type { EventSpec } from '../model/event.ts';
import type { Cluster } from './cluster.ts';
import type { Draft } from './draft.ts';
import type { LeftOut } from './event-limit.ts';

export const EVENTS_KEPT = 10_000;
const DIGITS = 16;
/** Names of one transaction; a name is `revision, number within it`. */
const PER_REVISION = 100_000;

/** Later ones have greater names, since what is decided later is decided on a later revision. */
export function record(draft: Draft, event: EventSpec): void {
  const number = (draft.revision + 1) * PER_REVISION + draft.number();
  draft.put('events', String(number).padStart(DIGITS, '0'), { spec: event });
}

/** What flapped, and how much of that was not written. */
export function tellLeftOut(draft: Draft, all: readonly LeftOut[], now: number): void {
  for (const { about, host, count } of all) {
    const what = `${about.name}${host === undefined ? '' : ` on ${host}`}`;
    record(draft, {
      at: now, severity: 'warning', about, ...(host === undefined ? {} : { host }), reason: 'EventsLeftOut',
      message: `${what}: ${count} more of its changes within a minute were left out: it goes up and down, or too much else does`,
    });
  }
}

/** Forgets the oldest beyond `EVENTS_KEPT`. */
export async function cutEvents(cluster: Cluster): Promise<void> {
  if (cluster.count('events') <= EVENTS_KEPT) return;
  await cluster.change((draft) => {
    const rows = draft.rows('events');
    for (const { name } of rows.slice(0, rows.length - EVENTS_KEPT)) draft.delete('events', name);
  });
}
