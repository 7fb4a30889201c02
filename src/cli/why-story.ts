/** What `godwit why` tells of one event, in paragraphs. */
import type { EventResource } from '../model/event.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import { formatMs } from './text.ts';

export interface Story {
  readonly happened: readonly string[];
  readonly known: readonly string[];
  /** Who saw it otherwise, or the same, or could not say. */
  readonly otherwise: readonly string[];
  /** What would have changed it. */
  readonly changed: readonly string[];
  /** What an action for it would be about, or on: names of resources, and of hosts. */
  readonly concerns: readonly string[];
  /** What was done so shortly before it was told was done about it too. ms; undefined: nothing. */
  readonly heldFor?: number;
}

export interface Surroundings {
  readonly event: EventResource;
  /** All that may have to do with it, itself among them, in their order. */
  readonly events: readonly EventResource[];
  readonly policy: PolicySpec | undefined;
}

/** Others within `within` ms before or after it. */
export const around = ({ event, events }: Surroundings, within: number): readonly EventResource[] =>
  events.filter((other) => other.name !== event.name && Math.abs(other.spec.at - event.spec.at) <= within);

/** `0.4 s before`, `12.0 ms after`, of two times in ms. */
export const apart = (at: number, of: number): string => (at === of ? 'at the same time'
  : `${formatMs(Math.abs(at - of))} ${at < of ? 'before' : 'after'}`);
