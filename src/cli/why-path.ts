/** Why a path between hosts fell out of its limits or came back, and why an alert went on or off. */
import type { BfdTransition } from '../model/bfd-session.ts';
import type { ClassFigures, PathTurnReport } from '../model/path.ts';
import type { AlertReport } from '../model/watch-plan.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import { formatExactTime } from './age.ts';
import { lossOf } from './path-words.ts';
import { qualityTerms } from './quality-terms.ts';
import { formatFine, formatMs, formatShare } from './text.ts';
import { type Story, type Surroundings, apart, around } from './why-story.ts';

/** The two ends of a path judge by averages of some seconds. ms. */
const NEAR = 60_000;

export function pathStory(t: PathTurnReport, all: Surroundings): Story {
  const from = all.event.spec.host ?? all.event.spec.about.name.split('/')[0] ?? '?';
  const others = around(all, NEAR).flatMap(({ spec: { evidence, host: there } }) => {
    if (evidence && 'kind' in evidence && evidence.kind === 'session') return sessionBeside(evidence.transition, there, from, t);
    if (!evidence || !('kind' in evidence) || evidence.kind !== 'path') return [];
    const { turn } = evidence;
    if (there === t.peer && turn.peer === from
      && turn.path === t.path) return [`${t.peer}, of its way back to ${from}: ${turn.from} to ${turn.to} ${apart(turn.at, t.at)}: `
        + `${turn.because}.`];
    if (there === from && turn.peer === t.peer
      && turn.path !== t.path) return [`${from} itself, of path ${turn.path} to ${t.peer}: ${turn.from} to ${turn.to} `
        + `${apart(turn.at, t.at)}: ${turn.because}.`];
    return there === from && turn.path === t.path && turn.peer !== t.peer
      ? [`${from}, of the same path to ${turn.peer}: ${turn.from} to ${turn.to} ${apart(turn.at, t.at)}.`] : [];
  });
  return {
    happened: [`Path ${t.path} from ${from} to ${t.peer} turned from ${t.from} to ${t.to} at ${formatExactTime(t.at)}, by the clock of `
      + `${from}.`, `Because: ${t.because}.`],
    known: windowKnown(t.window),
    otherwise: others.length > 0 ? others
      : [`Within a minute ${t.peer} said nothing of its way back to ${from}, and ${from} nothing of another path or host: it is this way `
        + `alone, as far as is known.`],
    changed: turnChanged(t, all),
    concerns: [`${from}/${t.peer}/${t.path}`, `${t.peer}/${from}/${t.path}`, from, t.peer],
  };
}

/** The BFD sessions that the two keep with each other on the same path. */
function sessionBeside({ session, at, from: before, to, rule }: BfdTransition, there: string | undefined, from: string,
  t: PathTurnReport): string[] {
  const own = there === from && session === `${t.peer}/${t.path}`;
  if (!own && !(there === t.peer && session === `${from}/${t.path}`)) return [];
  return [`BFD on ${there ?? '?'}, with ${own ? t.peer : from} on this path: ${before} to ${to} ${apart(at, t.at)}: ${rule}.`];
}

function windowKnown(window: ClassFigures): string[] {
  const { sent, answered, lost, rtt, late, duplicates, reordered } = window;
  if (sent === 0) return ['Nothing was sent in the minute before.'];
  const unknown = lost.unknown > 0 ? `, ${lost.unknown} of which no answer told the direction` : '';
  const odd = [
    ...(late > 0 ? [`${late} answered too late`] : []), ...(duplicates > 0 ? [`${duplicates} came twice`] : []),
    ...(reordered.forward + reordered.backward > 0 ? [`${reordered.forward + reordered.backward} came out of order`] : []),
  ];
  return [
    `In the minute before ${sent} probes were sent and ${answered} answered: lost were ${lost.forward} on the way there `
      + `(${formatShare(lost.forward / sent)}), ${lost.backward} on the way back (${formatShare(lost.backward / sent)})${unknown}.`,
    rtt ? `RTT: median ${formatFine(rtt.p50)}, p99 ${formatFine(rtt.p99)}, worst ${formatFine(rtt.max)}, jitter ${formatFine(rtt.jitter)}.`
      : 'None came back, so nothing is known of its RTT.',
    ...(odd.length > 0 ? [`Also: ${odd.join(', ')}.`] : []),
  ];
}

function turnChanged({ to, window }: PathTurnReport, { policy }: Surroundings): string[] {
  const { loss, latency, hold, holdMost, history } = qualityTerms(policy);
  const back = `It comes back when its loss is at ${formatShare(loss.falling)} or below, by the average of ${history} probes and that of `
    + `twenty times as many, and it has been out for ${formatMs(hold)} (up to ${formatMs(holdMost)} when it falls again and again).`;
  const measured = lossOf(window)?.total;
  const minute = measured === undefined ? '' : `; in the whole minute it was ${formatShare(measured)}`;
  const judged = latency ? `, and less than ${formatMs(latency.rising)} of RTT` : '; latency is not judged';
  switch (to) {
    case 'unfit': return [
      `Less than ${formatShare(loss.rising)} of loss by the quick average (policy.quality.loss.rising)${minute}${judged}.`, back,
    ];
    case 'down': return ['Any answer to a probe.', back];
    case 'fit': return [`Loss above ${formatShare(loss.falling)} by either average, or a hold time not over yet.`];
    case 'unknown': return ['Probes: none was its turn, or its monitor was started anew.'];
  }
}

export function alertStory(a: AlertReport, all: Surroundings): Story {
  const host = all.event.spec.host ?? 'a host';
  const spec = all.policy?.alerts?.[a.alert];
  const others = around(all, NEAR).flatMap(({ spec: { evidence, host: there = '?', at } }) => {
    if (!evidence || !('kind' in evidence) || evidence.kind !== 'alert' || evidence.alert.alert !== a.alert) return [];
    return [`${there}, of ${evidence.alert.on}: ${evidence.alert.state} ${apart(at, all.event.spec.at)}: ${evidence.alert.because}.`];
  });
  const hold = spec?.hold ?? detectionDefaults.alert.hold;
  return {
    happened: [`Alert ${a.alert} on ${a.on} of ${host} is ${a.state}, since ${formatExactTime(a.since)} by that host's clock.`,
      `Because: ${a.because}.`],
    known: [`The average that turned it was ${figure(a.value)}, the last second's figure ${figure(a.last)}. Severity: ${a.severity}.`],
    otherwise: others.length > 0 ? others : [`Nothing and nobody else turned ${a.alert} within a minute.`],
    changed: spec
      ? [`${spec.metric} goes on at ${spec.rising} for ${hold} without a break, off at ${spec.falling} for as long `
        + `(policy.alerts.${a.alert}); twice ${spec.rising} needs a third of that.`]
      : [`The policy has no alert ${a.alert} any more.`],
    concerns: [host, a.on, ...(a.on.includes('/') ? [`${host}/${a.on}`] : [])],
  };
}

const figure = (n: number): string => String(Number(n.toPrecision(4)));
