/**
 * An event with its evidence, told in plain words: what happened, what was known, who saw it otherwise, what was done about it, what would
 * have changed it.
 */
import { unreachable } from '../base/error.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import type { EventEvidence, EventResource } from '../model/event.ts';
import { formatAge, formatTime } from './age.ts';
import { reference } from './kinds.ts';
import { isRouterTransition } from './router-transitions.ts';
import { type Section, fields } from './section.ts';
import { NARROW, count, formatMs, wrap } from './text.ts';
import { actionStory, verdictStory } from './why-verdict.ts';
import { alertStory, pathStory } from './why-path.ts';
import { routerStory } from './why-router.ts';
import { sessionStory } from './why-session.ts';
import { type Story, type Surroundings, apart } from './why-story.ts';

/** What is done about something is done within this. ms. */
const DONE_WITHIN = 120_000;
const FOLLOWED_WITHIN = 600_000;
const SHOWN = 5;
/** Titles stand to the left of their lines. */
const PAGE = NARROW - 2;

/** `now`: ms since the epoch. */
export function whySections(all: Surroundings, now: number): Section[] {
  const { event } = all;
  const { spec } = event;
  const head: Section = {
    lines: fields([
      ['Event', event.name], ['At', `${formatTime(spec.at)} (${formatAge(now - spec.at)} ago), by the server's clock`],
      ['Severity', spec.severity],
      ['About', reference(spec.about.kind, spec.about.name)], ['Host', spec.host], ['Reason', spec.reason], ['Said', spec.message],
    ], NARROW),
  };
  if (!spec.evidence) {
    return [head,
      { title: 'Evidence',
      lines: wrap('This event carries none: all that was known is in its words. Sessions, paths, verdicts, alerts, actions and virtual '
        + 'routers have some.', '', PAGE) }, ...followed(all, [])];
  }
  const story = storyOf(spec.evidence, all);
  const acted = actions(all, story);
  return [
    head, paragraphs('What happened', story.happened), paragraphs('What was known', story.known),
      paragraphs('Who saw it otherwise', story.otherwise),
    ...(isAction(spec.evidence) ? []
      : [paragraphs('What was done about it', acted.length > 0 ? acted.map((done) => sentence(done, event))
      : [nothingDone(spec.evidence, all, now - spec.at)])]),
    paragraphs('What would have changed it', story.changed), ...followed(all, acted),
  ];
}

function storyOf(evidence: EventEvidence, all: Surroundings): Story {
  if (isRouterTransition(evidence)) return routerStory(evidence, all);
  switch (evidence.kind) {
    case 'session': return sessionStory(evidence.transition, all);
    case 'path': return pathStory(evidence.turn, all);
    case 'alert': return alertStory(evidence.alert, all);
    case 'verdict': return verdictStory(evidence.verdict, all);
    case 'action': return actionStory(evidence.action, all);
    default: return unreachable(evidence);
  }
}

const isAction = (evidence: EventEvidence | undefined): boolean => evidence !== undefined && 'kind' in evidence
  && evidence.kind === 'action';

/** Actions soon after it, or while it was held, about what it concerns. */
function actions({ event, events }: Surroundings, { concerns, heldFor = 0 }: Story): EventResource[] {
  return events.filter(({ name, spec }) => (
    isAction(spec.evidence) && (name > event.name ? spec.at - event.spec.at <= DONE_WITHIN
      : heldFor > 0 && event.spec.at - spec.at <= heldFor)
    && (concerns.includes(spec.about.name) || (spec.host !== undefined && concerns.includes(spec.host)))
  )).slice(0, SHOWN);
}

function nothingDone(evidence: EventEvidence, { policy }: Surroundings, age: number): string {
  const nothing = age < DONE_WITHIN ? 'Godwit has done nothing so far.' : `Godwit did nothing within ${formatMs(DONE_WITHIN)}.`;
  if (isRouterTransition(evidence)) return `${nothing} Hosts settle among themselves who is Active.`;
  const { path } = { ...detectionDefaults.act, ...policy?.act };
  return evidence.kind === 'path' && path !== 'act' ? `${nothing} policy.act.path is ${path}.` : nothing;
}

/** What happened to the same thing after it, but for `told`. */
function followed({ event, events }: Surroundings, told: readonly EventResource[]): Section[] {
  const { about, at } = event.spec;
  const after = events.filter((other) => (
    other.name > event.name && other.spec.at - at <= FOLLOWED_WITHIN && other.spec.about.kind === about.kind
      && other.spec.about.name === about.name && !told.includes(other)
  ));
  if (after.length === 0) return [];
  const more = after.length - SHOWN;
  return [paragraphs('What followed',
    [...after.slice(0, SHOWN).map((other) => sentence(other, event)),
    ...(more > 0 ? [`and ${count(more, 'more event')}: godwit events --about ${reference(about.kind, about.name)}`] : [])])];
}

const sentence = ({ name, spec }: EventResource, { spec: { at } }: EventResource): string =>
  `${spec.at < at ? apart(spec.at, at) : `${formatMs(spec.at - at)} later`}: ${spec.reason}: ${spec.message} (godwit why ${name.replace(/^0+(?=\d)/, '')})`;

const paragraphs = (title: string,
  all: readonly string[]): Section => ({ title, lines: all.flatMap((text) => wrap(text, all.length > 1 ? '- ' : '', PAGE)) });
