/** `godwit why`: one event with its evidence, or the newest such of a thing. */
import type { Api } from '../api/api.ts';
import type { EventResource } from '../model/event.ts';
import { usageError } from './cli-error.ts';
import { isAbout } from './event-about.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say } from './io.ts';
import { type Target, nameOf, parseTarget, reference } from './kinds.ts';
import { formatSections } from './section.ts';
import { whySections } from './why.ts';

/** Before and after the event, what may have to do with it. ms. */
const BEFORE = 60_000;
const NAME_DIGITS = 16;

/** An event's name (leading zeros may be left out), or a thing. Throws CLI_USAGE. */
export function parseWhy(word: string, name?: string): Target {
  if (/^\d{1,16}$/.test(word) && name === undefined) return { kind: 'Event', name: word.padStart(NAME_DIGITS, '0') };
  if (/^\d+$/.test(word)) {
    const wrong = name === undefined ? `${word} is no event: their names have 16 digits` : `${word} ${name}: name one event or one thing`;
    throw usageError(`${wrong}; godwit events -o wide lists them`);
  }
  const target = parseTarget(word, name);
  const called = nameOf(target, 'tell why of');
  return target.kind === 'Event' ? { kind: 'Event', name: called.padStart(NAME_DIGITS, '0') } : { kind: target.kind, name: called };
}

export async function why(api: Api, io: Io, target: Target): Promise<ExitCode> {
  const event = await find(api, target);
  if (!event) {
    say(io, `Nothing has happened to ${reference(target.kind, target.name ?? '')} that is still remembered.`);
    return exitCodes.fine;
  }
  const [events, policies] = await Promise.all([api.list('Event', { since: event.spec.at - BEFORE }), api.list('Policy')]);
  const policy = policies.find(({ name }) => name === 'default')?.spec;
  print(io, formatSections(whySections({ event, events: events.toSorted(byName), policy }, io.clock.now())).join('\n'));
  return exitCodes.fine;
}

const byName = (a: EventResource, b: EventResource): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** The newest with evidence, else the newest; undefined: there is none. Fails with ApiError for what does not exist. */
async function find(api: Api, { kind, name = '' }: Target): Promise<EventResource | undefined> {
  if (kind === 'Event') return await api.get('Event', name);
  const about = (await api.list('Event')).filter((event) => isAbout(event, kind, name)).toSorted(byName);
  // What is gone may still be asked about; what never was is told as such.
  if (about.length === 0) await api.get(kind, name);
  return about.findLast(({ spec }) => spec.evidence) ?? about.at(-1);
}
