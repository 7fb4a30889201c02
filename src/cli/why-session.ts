/** Why a BFD session changed its state. */
import type { BfdTransition } from '../model/bfd-session.ts';
import type { EventEvidence } from '../model/event.ts';
import { formatExactTime } from './age.ts';
import { diagnosticText } from './bfd-description.ts';
import { count, formatFine, formatMs } from './text.ts';
import { type Story, type Surroundings, apart, around } from './why-story.ts';

/** Both ends of a link notice within their detection times. ms. */
const NEAR = 10_000;

export function sessionStory(t: BfdTransition, all: Surroundings): Story {
  const host = all.event.spec.host ?? 'a host';
  // Those between hosts are named by the other end and the path.
  const [peer, path] = t.session.includes('/') ? t.session.split('/') : [];
  const otherEnd = (there: string, e: Extract<EventEvidence, { kind: 'session' }>): boolean =>
    there !== host && (e.transition.session === t.session || (there === peer && e.transition.session === `${host}/${path ?? ''}`));
  const others = around(all, NEAR).flatMap(({ spec: { evidence, host: there = '?' } }) => {
    if (!evidence || !('kind' in evidence) || evidence.kind !== 'session' || !otherEnd(there, evidence)) return [];
    const { from, to, at, rule } = evidence.transition;
    return [`${there} went from ${from} to ${to} ${apart(at, t.at)}, by its own clock: ${rule}.`];
  });
  const what = peer === undefined ? `BFD session ${t.session}` : `The BFD session to ${peer} on path ${path ?? '?'}`;
  return {
    happened: [
      `${what} went from ${t.from} to ${t.to} on ${host} at ${formatExactTime(t.at)}, by that host's clock.`,
      `By this rule: ${t.rule}. Diagnostic: ${diagnosticText(t.diagnostic)}.`,
    ],
    known: [...downKnown(t),
      `It decided ${formatFine(t.lateness.now)} late, and was late by ${formatFine(t.lateness.worst)} at worst before.`],
    otherwise: others.length > 0 ? others
      : [`No other host told of this session${peer === undefined ? '' : `, or ${peer} of its own end,`} within 10 s.`],
    changed: whatElse(t),
    concerns: peer === undefined ? [t.session, host]
      : [t.session, host, peer, `${host}/${peer}/${path ?? ''}`, `${peer}/${host}/${path ?? ''}`],
  };
}

function downKnown({ down }: BfdTransition): string[] {
  if (!down) return [];
  const { silence, detectionTime, missed, ownLateness } = down;
  const allowed = detectionTime === undefined ? '' : `; the detection time was ${formatMs(detectionTime)}`;
  const gone = missed === undefined ? '' : `, and ${count(missed, 'packet')} should have come`;
  return [
    ...(silence === undefined ? [] : [`Nothing came for ${formatMs(silence)}${allowed}${gone}.`]),
    ...(ownLateness === undefined ? [] : [`Meanwhile this host came to its own deadlines ${formatFine(ownLateness)} late at worst.`]),
  ];
}

function whatElse({ to, diagnostic, down }: BfdTransition): string[] {
  if (to === 'up' || to === 'init') return ['Nothing: the two have found each other.'];
  const { silence, detectionTime, missed, ownLateness } = down ?? {};
  switch (diagnostic) {
    case 'admin-down': return ['Only whoever switched it off.'];
    case 'neighbor-down': return ['Nothing on this host: the other end said that it is down. Look at what it says there.'];
    case 'detection-expired':
    case 'echo-failed': {
      if (silence === undefined || detectionTime === undefined) return ['A packet in time.'];
      const own = ownLateness ?? 0;
      return [
        `One packet within ${formatMs(detectionTime)} of the last one.`,
        ...(missed !== undefined && missed > 0
          ? [`A multiplier of ${missed + 1} instead of ${missed}, or a longer interval, if what came next came within `
            + `${formatMs(detectionTime * (missed + 1) / missed)}.`] : []),
        own * 2 > detectionTime
          ? `Its own lateness of ${formatFine(own)} is more than half of the detection time: this host may have been the one that was slow.`
          : `Not a quicker host here: it was late by ${formatFine(own)} at worst, of ${formatMs(detectionTime)}.`,
      ];
    }
    default: return ['The diagnostic says what was missing.'];
  }
}
