/** Why a host was called what it was called, and why Godwit acted. */
import { detectionDefaults } from '../model/detection-policy.ts';
import type { ActionReport, VerdictReport } from '../model/event.ts';
import { formatExactTime } from './age.ts';
import { count, formatFine } from './text.ts';
import { type Story, type Surroundings, apart, around } from './why-story.ts';

const NEAR = 60_000;
/** What was seen was acted on while the verdict waited to be told. ms. */
const HELD = 5000;

/** Names of its paths that it is about. */
const pathsOf = ({ host, paths }: VerdictReport, { events }: Surroundings): string[] => events.flatMap(({ spec: { about } }) => {
  const [from, to, path = ''] = about.name.split('/');
  return about.kind === 'Path' && (from === host || to === host) && paths.includes(path) ? [about.name] : [];
});

export function verdictStory(v: VerdictReport, all: Surroundings): Story {
  const others = around(all, NEAR).flatMap(({ spec: { evidence, at } }) => (
    evidence && 'kind' in evidence && evidence.kind === 'verdict' && evidence.verdict.host !== v.host
      ? [`${evidence.verdict.host} was called ${evidence.verdict.verdict} ${apart(at, all.event.spec.at)}: ${evidence.verdict.because}.`]
        : []
  ));
  return {
    happened: [`${v.host} was called ${v.verdict} at ${formatExactTime(all.event.spec.at)}: ${v.because}.`],
    known: [
      `${v.voters} of ${count(v.observers, 'host')} that were asked had a vote. From all of them ${count(v.probes, 'packet')} went to `
        + `${v.host} and ${v.arrivals} came from it${v.paths.length > 0 ? `; it is about path ${v.paths.join(', ')}` : ''}.`,
      `Those who had a vote were late themselves by ${formatFine(v.worstLateness)} at worst.`,
    ],
    otherwise: [
      v.disagreed.length === 0 ? 'Nobody who had a vote saw it otherwise.' : `Saw it otherwise: ${v.disagreed.join(', ')}.`,
      ...Object.entries(v.abstained).map(([host, why]) => `${host} had no vote: ${why}.`), ...others,
    ],
    changed: verdictChanged(v, all), concerns: [v.host, ...pathsOf(v, all)], heldFor: HELD,
  };
}

function verdictChanged({ verdict, host, voters, paths }: VerdictReport, { policy }: Surroundings): string[] {
  const least = Math.max(2, policy?.detect?.observers ?? detectionDefaults.detect.observers);
  const on = paths.length > 0 ? ` on ${paths.join(', ')}` : '';
  switch (verdict) {
    case 'dead': return [
      `A single one of the ${voters} voters that hears it on any path, or a report of its agent to the server.`,
      `Fewer than ${least} with a vote (policy.detect.observers): then it is path-down, whatever they say.`,
    ];
    case 'path-down': return [
      `Packets of ${host} heard again${on}: then it is fine.`,
      `To be called dead, all voters would have to miss it on every path, ${least} of them at least, and its agent would have to be `
        + `silent.`,
    ];
    case 'one-way': return [`Both ends hearing each other${on}, or neither.`];
    case 'gray': return [`Loss and latency within the policy's limits (policy.quality)${on}; it is heard, so it is not dead.`];
    case 'self': return [`${host} hearing the others again, as they hear each other, or being awake when they spoke: what it says of `
      + `others does not count until then.`];
    case 'unknown': return ['The opinion of any host that is awake, hears others and has listened for long enough.'];
    case 'fine': return ['Silence on a path, or more loss or latency than the policy allows.'];
  }
}

const DID: Readonly<Record<ActionReport['action'], string>> = {
  path: 'a path between hosts', bandwidth: 'the bandwidth of a move', target: 'where VMs go', evacuate: 'VMs of a sick host',
    priority: 'the priority of a virtual router',
};

export function actionStory(a: ActionReport, all: Surroundings): Story {
  const set = { ...detectionDefaults.act, ...all.policy?.act };
  const { about, host } = all.event.spec;
  const done = a.mode === 'act' && a.heldBack === undefined;
  return {
    happened: [
      `Godwit ${done ? 'did this' : a.mode === 'act' ? 'wanted to do this and held back' : 'would have done this'}: ${a.what}.`,
      `It is about ${DID[a.action]}.`,
    ],
    known: a.because.length === 0 ? ['No reason was written down.'] : a.because.map((reason) => `${reason}.`),
    otherwise: [a.heldBack === undefined ? 'Nothing spoke against it.' : `Against it: ${a.heldBack}.`],
    changed: [
      `policy.act.${a.action} is ${set[a.action]} now: off says and does nothing, advise says what act would do.`,
      `At most ${set.limit} ${a.action === 'path' ? 'on one path between two hosts' : 'of a kind on one host'} are done in ${set.within} (policy.act.limit, within).`,
      ...(done ? [] : a.mode === 'advise' ? [`With policy.act.${a.action}: act it would have been done.`]
        : ['Without what held it back it would have been done.']),
    ],
    concerns: [about.name, ...(host === undefined ? [] : [host])],
  };
}
