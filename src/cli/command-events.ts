/** `godwit events`: what happened, all of it or some. */
import type { AnyResource, Api } from '../api/api.ts';
import { nearest } from '../api/nearest.ts';
import type { EventResource } from '../model/event.ts';
import { printResources } from './command-get.ts';
import { isAbout } from './event-about.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, say } from './io.ts';
import { type Target, reference } from './kinds.ts';
import { type OutputFormat, listJson } from './output-format.ts';
import { sorted } from './resource-table.ts';
import { watchResources } from './watch-resources.ts';

export interface EventsOptions {
  readonly format: OutputFormat;
  readonly watch: boolean;
  /** ms since the epoch; undefined: the last hundred. */
  readonly since: number | undefined;
  readonly host: string | undefined;
  readonly about: Target | undefined;
  readonly reason: string | undefined;
}

const LAST = 100;

export async function events(api: Api, io: Io, options: EventsOptions): Promise<ExitCode> {
  const { format, watch, since } = options;
  const chosen = (event: AnyResource): boolean => event.kind === 'Event' && fits(event, options);
  const most = since === undefined ? { last: LAST } : {};
  if (watch) return await watchResources(api, io, 'Event', { format, labels: {}, only: chosen, ...most });
  // The newest hundred of those that fit, not those that fit of the newest hundred.
  const picky = options.host !== undefined || options.about !== undefined || options.reason !== undefined;
  const all = await api.list('Event', since !== undefined ? { since } : picky ? {} : most);
  const found = sorted(all.filter(chosen)).slice(-(most.last ?? Infinity));
  if (found.length === 0 && format !== 'json') {
    say(io, nothing(all, options));
    return exitCodes.fine;
  }
  await printResources(io, 'Event', found, format, listJson(found));
  return exitCodes.fine;
}

function fits(event: EventResource, { since, host, about, reason }: EventsOptions): boolean {
  const { spec } = event;
  const ofHost = host === undefined || spec.host === host || (spec.about.kind === 'Host' && spec.about.name === host);
  const ofThing = about === undefined || isAbout(event, about.kind, about.name);
  return spec.at >= (since ?? 0) && ofHost && ofThing && (reason === undefined || spec.reason.toLowerCase() === reason.toLowerCase());
}

function nothing(all: readonly EventResource[], { reason, about, host, since }: EventsOptions): string {
  const known = [...new Set(all.map(({ spec }) => spec.reason))];
  const meant = reason === undefined || known.some((word) => word.toLowerCase() === reason.toLowerCase()) ? undefined
    : nearest(reason, known);
  const of = [
    ...(reason === undefined ? [] : [`with reason ${reason}`]),
    ...(about === undefined ? [] : [`about ${about.name === undefined ? about.kind : reference(about.kind, about.name)}`]),
    ...(host === undefined ? [] : [`of host ${host}`]),
    ...(since === undefined ? [] : [`since ${new Date(since).toISOString().slice(0, 19)}Z`]),
  ].join(' ');
  return `There are no events${of === '' ? '' : ` ${of}`}${meant === undefined ? '.' : `: did you mean ${meant}?`}`;
}
