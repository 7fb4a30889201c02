/** Why a virtual router changed its state. */
import type { RouterTransition } from '../model/virtual-router.ts';
import { formatExactTime } from './age.ts';
import { heardAdverts, isRouterTransition } from './router-transitions.ts';
import { formatFine, formatMs } from './text.ts';
import { type Story, type Surroundings, apart, around } from './why-story.ts';

/** A takeover and what it follows from lie closer together. ms. */
const NEAR = 10_000;

export function routerStory(t: RouterTransition, all: Surroundings): Story {
  const host = all.event.spec.host ?? 'a host';
  const others = around(all, NEAR).flatMap(({ spec: { evidence, host: there = '?' } }) => (
    evidence && isRouterTransition(evidence) && evidence.router === t.router && there !== host
      ? [`${there} went from ${evidence.from} to ${evidence.to} ${apart(evidence.at, t.at)}, by its own clock: ${evidence.rule}`] : []
  ));
  return {
    happened: [`Virtual router ${t.router} on ${host} went from ${t.from} to ${t.to} at ${formatExactTime(t.at)}, by that host's clock.`,
      `By this rule: ${t.rule}.`],
    known: [
      `It had priority ${t.priority}; the link of its interface was ${t.link}.`, `Heard before: ${heardAdverts(t.adverts)}.`,
      `It decided ${formatFine(t.lateness.now)} late, and was late by ${formatFine(t.lateness.worst)} at worst in the minute before.`,
      ...(t.down.length > 0 ? [`Down of what it tracks: ${t.down.join(', ')}.`] : []),
    ],
    otherwise: others.length > 0 ? others : ['No other host told of a transition of this router within 10 s.'],
    changed: whatElse(t), concerns: [t.router, host],
  };
}

function whatElse({ from, to, adverts, priority, down, link, lateness }: RouterTransition): string[] {
  const [newest] = adverts;
  if (to === 'fault') {
    const lacking = [...(link === 'down' ? ['the link up'] : []), ...down.map((what) => `${what} up`)];
    return [lacking.length > 0 ? `With ${lacking.join(' and ')} it would have stayed ${from}.` : 'The rule names what it lacks.'];
  }
  if (to === 'active' && newest) {
    const late = lateness.now > newest.interval
      ? [`Its own lateness of ${formatFine(lateness.now)} is more than an interval: look for what keeps this host busy.`] : [];
    return [`An advert of ${newest.from} in time: one was due every ${formatMs(newest.interval)}, and the last had come `
      + `${formatMs(newest.ago)} before. It waits for three of them, and a little by its priority.`, ...late];
  }
  if (to === 'active') return ['An advert of anybody, or a higher priority elsewhere: it had heard none at all.'];
  if (to === 'backup' && from === 'active' && newest) {
    return [newest.priority > priority
      ? `A priority of ${newest.priority} or more here: ${newest.from} has ${newest.priority}, this host ${priority}.`
      : `${newest.from} has the same say or less (${newest.priority} against ${priority}): the rule says why it yielded.`];
  }
  return ['Nothing: it is how a router begins, or ends in good order.'];
}
