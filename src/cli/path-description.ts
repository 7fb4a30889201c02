/** A path as fields and sections, for `describe`: what was measured, of how many, and how it is judged. */
import type { ResourceOf } from '../api/api.ts';
import { detectionDefaults } from '../model/detection-policy.ts';
import type { PolicySpec } from '../model/cluster-policy.ts';
import type { ClassFigures, PathStatus } from '../model/path.ts';
import { parseDuration } from '../model/quantity.ts';
import { formatAge } from './age.ts';
import { lossCell, pathState, pathTroubles, rewritten, rttCell, jitterCell } from './path-words.ts';
import { type QualityTerms, qualityTerms } from './quality-terms.ts';
import { type Section, ago, fields, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { formatFine, formatMs, formatShare } from './text.ts';

type Path = ResourceOf['Path'];

export function pathSections(path: Path, now: number): Section[] {
  const { spec, status } = path;
  const head = fields([
    ['Name', path.name], ['From', `${spec.from} (${spec.source})`], ['To', `${spec.to} (${spec.destination})`], ['Path', spec.path],
    ['State', status ? `${pathState(path)}, since ${ago(status.report.quality.since, now) ?? '?'}`
      : `unknown: ${spec.from} has not told of it`],
    ['Wrong', pathTroubles(path, false).join('; ')],
    ['In use', status
      && (status.inUse ? `yes${status.because === undefined ? '' : `, although: ${status.because}`}`
      : `no${status.because === undefined ? '' : `: ${status.because}`}`)],
    ['Told', status && `${formatAge(now - status.report.at)} ago, by ${spec.from}`],
  ]);
  if (!status) return [{ lines: head }];
  const { report } = status;
  return [
    { lines: head },
    { title: `Last minute${report.window.dscp === 0 ? '' : `, DSCP ${report.window.dscp}`}`,
      lines: windowLines(report.window, report.rate) },
    { title: 'Last second, by class', lines: classTable(report.classes) },
    { title: 'MTU', lines: mtuLines(status) },
  ];
}

/** Loss is told with what it is a share of. */
function windowLines(window: ClassFigures, rate: number): string[] {
  const { sent, answered, lost, late, duplicates, reordered, rtt, oneWay } = window;
  const share = (n: number): string => (sent === 0 ? `${n}` : `${n} of ${sent} (${formatShare(n / sent)})`);
  return fields([
    ['Probes', rate === 0 ? `${sent} sent; none now, it is not its turn`
      : `${sent} sent, ${answered} answered; ${rate} a second and class now`],
    ['Lost forward', share(lost.forward)], ['Lost back', share(lost.backward)],
    ['Lost, either', lost.unknown === 0 ? undefined : `${share(lost.unknown)}: no answer told which way`],
    ['Late', late === 0 ? undefined : `${late}: answered, but too late to count`],
    ['Doubled', duplicates === 0 ? undefined : duplicates],
    ['Reordered', reordered.forward + reordered.backward === 0 ? undefined : `${reordered.forward} forward, ${reordered.backward} back`],
    ['RTT', rtt ? rttLine(rtt) : 'none came back'],
    ['Jitter', rtt && formatFine(rtt.jitter)],
    ['One way', oneWay
      && `${formatFine(oneWay.forward)} forward, ${formatFine(oneWay.backward)} `
        + `back${oneWay.error === undefined ? '' : `, off by ${formatFine(oneWay.error)} at most`}`],
  ]);
}

const rttLine = ({ min, p50, mean, p90, p99, max }: NonNullable<ClassFigures['rtt']>): string =>
  `min ${formatFine(min)}, median ${formatFine(p50)}, mean ${formatFine(mean)}, p90 ${formatFine(p90)}, p99 ${formatFine(p99)}, max `
    + formatFine(max);

function classTable(classes: readonly ClassFigures[]): readonly string[] {
  const marking = (c: ClassFigures): string => (c.marking ? rewritten([c])[0] ?? 'kept' : 'not told');
  return tableOrNone(
    [right('DSCP'), right('SENT'), right('ANSWERED'), right('LOSS'), right('LATE'), right('RTT'), right('JITTER'), left('MARKING')],
    classes.map((c) => [c.dscp, c.sent, c.answered, lossCell(c) ?? '-', c.late, rttCell(c) ?? '-', jitterCell(c) ?? '-', marking(c)]),
  );
}

function mtuLines({ report: { mtu } }: PathStatus): string[] {
  const passes = mtu.passes === undefined ? 'nothing of any size came back lately' : `${mtu.passes} bytes came back`;
  return fields([
    ['Wanted', `${mtu.wanted} bytes, IP packets`], ['Passes', passes],
    ['Black hole', mtu.blackHole ? 'yes: larger ones vanish without a word; raise the MTU on the way, or say what passes in policy.paths'
      : undefined],
  ]);
}

/** How it is judged, with the policy's thresholds beside the figures. */
export function judgementSection({ spec, status }: Path, policy: PolicySpec | undefined, now: number): Section[] {
  if (!status) return [];
  const { quality } = status.report;
  const terms = qualityTerms(policy);
  const held = quality.heldUntil !== undefined && quality.heldUntil > now
    ? `out for another ${formatAge(quality.heldUntil - now)} at least` : undefined;
  return [{
    title: 'Judgement', lines: fields([
      ['Because', quality.because],
      ['Loss', `${formatShare(quality.loss)} quick, ${formatShare(quality.slowLoss)} slow average; ${limits(terms.loss, formatShare)}`],
      ['Latency', latency(quality.latency, terms)], ['Suspicious', quality.suspicious ? 'yes: it is probed more often' : undefined],
      ['Held', held], ['Kept out', keptOut(quality, terms)],
      ['Hold time',
      `${formatMs(terms.hold)}, doubled if it falls again within ${formatMs(terms.relapse)}, up to ${formatMs(terms.holdMost)}`],
    ]),
  }, { title: 'Detector', lines: detectorLines(status, policy, spec.to) }];
}

/** It is well, and not yet taken to be. */
const keptOut = ({ state, loss, slowLoss }: PathStatus['report']['quality'], { loss: { falling } }: QualityTerms): string | undefined =>
  (state === 'unfit' && loss <= falling && slowLoss > falling
    ? `well now, out until the slow average is at ${formatShare(falling)} too: it remembers twenty times as many probes` : undefined);

const limits = ({ rising, falling }: QualityTerms['loss'], format: (n: number) => string): string =>
  `out at ${format(rising)}, back at ${format(falling)}`;

const latency = (measured: number | undefined, { latency }: QualityTerms): string | undefined => {
  if (measured === undefined) return latency && `not measured; ${limits(latency, formatMs)}`;
  return `${formatFine(measured)}; ${latency ? limits(latency, formatMs) : 'not judged'}`;
};

function detectorLines({ heard, phi, timeout, falseAlarmsPerDay }: PathStatus, policy: PolicySpec | undefined, peer: string): string[] {
  if (heard === undefined) return ['no BFD session watches it'];
  const set = { ...detectionDefaults.detect, ...policy?.detect };
  const [floor, ceiling] = [parseDuration(set.floor), parseDuration(set.ceiling)];
  const bound = timeout === undefined ? '' : timeout <= floor ? ', the floor' : timeout >= ceiling ? ', the ceiling or more' : '';
  return fields([
    ['Hears', heard === 'heard' ? peer : heard === 'silent' ? `nothing of ${peer}` : 'not known yet'],
    ['Silent after', timeout === undefined ? undefined : `${formatMs(timeout)}${bound}, by its measured jitter`],
    ['Phi', phi === undefined ? undefined
      : `${Number.isFinite(phi) ? phi.toFixed(1) : 'beyond measure'}: the silence now has a chance of 1 in 10^phi`],
    ['False alarms', falseAlarmsPerDay === undefined ? 'not measured yet'
      : `${perDay(falseAlarmsPerDay)} a day by that time-out, ${perDay(set.falseAlarmsPerDay)} wanted at most`],
  ]);
}

export const perDay = (n: number): string => (n === 0 ? '0' : n >= 0.01 ? n.toFixed(2) : n.toExponential(1));
