/** A path in few words, for tables: its loss by direction, what is wrong with it, and how much that matters. */
import type { ResourceOf } from '../api/api.ts';
import type { ClassFigures, PathMtu } from '../model/path.ts';
import { formatPercent, formatShare } from './text.ts';

type Path = ResourceOf['Path'];

/** In the order in which one wants to see them. */
export const pathRanks = ['bad', 'odd', 'unknown', 'fine'] as const;
export type PathRank = (typeof pathRanks)[number];

/** Shares of what was sent, 0..1; undefined: nothing was sent. */
export function lossOf({ sent, lost }: ClassFigures): Record<'forward' | 'backward' | 'unknown' | 'total', number> | undefined {
  if (sent === 0) return undefined;
  const [forward, backward, unknown] = [lost.forward / sent, lost.backward / sent, lost.unknown / sent];
  return { forward, backward, unknown, total: forward + backward + unknown };
}

/** `3.1/0 %`: forward and back; `2.0 %?`: no answer has told which way. */
export function lossCell(figures: ClassFigures): string | undefined {
  const loss = lossOf(figures);
  if (!loss) return undefined;
  const { forward, backward, unknown } = loss;
  if (unknown === 0) return `${formatPercent(forward)}/${formatPercent(backward)} %`;
  return forward + backward === 0 ? `${formatShare(unknown)}?`
    : `${formatPercent(forward)}/${formatPercent(backward)}+${formatPercent(unknown)}? %`;
}

/** A time in ms for a table, without its unit: three digits that matter. */
export const brief = (ms: number): string => (ms < 9.995 ? ms.toFixed(2) : ms < 99.95 ? ms.toFixed(1) : ms.toFixed(0));

/** `0.42/1.90 ms`: median and 99th percentile. */
export const rttCell = ({ rtt }: ClassFigures): string | undefined => (rtt && `${brief(rtt.p50)}/${brief(rtt.p99)} ms`);
export const jitterCell = ({ rtt }: ClassFigures): string | undefined => (rtt && `${brief(rtt.jitter)} ms`);

/** `1500`; `1400/1500`: so many of those wanted. */
export const mtuCell = ({ wanted, passes }: PathMtu): string => (passes !== undefined && passes >= wanted ? String(wanted)
  : `${passes ?? '?'}/${wanted}`);

/** `heard`, `silent`: what its detector says; the judgement's word where it has none. */
export const pathState = ({ status }: Path): string => {
  if (!status) return 'unknown';
  return status.heard === 'silent' && status.report.quality.state !== 'down' ? 'silent' : status.report.quality.state;
};

/** Classes whose DSCP is another one at the other end or on the way back: `DSCP 46 arrives as 0`. */
export const rewritten = (classes: readonly ClassFigures[]): string[] => classes.flatMap(({ dscp, marking }) => {
  if (!marking) return [];
  if (marking.atReflector !== dscp) return [`DSCP ${dscp} arrives as ${marking.atReflector}`];
  return marking.returned === dscp ? [] : [`DSCP ${dscp} comes back as ${marking.returned}`];
});

/** What is wrong with it, the worst first, and with `use` that it is not in use; empty: nothing. */
export function pathTroubles({ status }: Path, use = true): string[] {
  if (!status) return [];
  const { report: { quality, mtu, classes }, heard, inUse, because } = status;
  const judged = quality.state === 'unfit' || quality.state === 'down' ? [quality.because ?? quality.state] : [];
  const untold = quality.state === 'unknown' && quality.because !== undefined ? [quality.because] : [];
  const suspicious = quality.state === 'fit' && quality.suspicious ? [`loss ${formatShare(quality.loss)}, suspicious`] : [];
  const hole = mtu.blackHole ? [`MTU black hole: more than ${mtu.passes ?? 0} of ${mtu.wanted} bytes vanishes`] : [];
  const unused = inUse || !use ? [] : [`not in use${because === undefined ? '' : `: ${because}`}`];
  return [...(heard === 'silent' ? ['nothing is heard'] : []), ...untold, ...judged, ...hole, ...rewritten(classes), ...suspicious, ...unused];
}

/** The worst of it in a few words, and how many more there are: `loss 3.1 % (+2)`. */
export function pathTrouble(path: Path): string | undefined {
  const [worst, ...more] = pathTroubles(path);
  return worst && `${worst.split(/, | of \d| \(|: /)[0] ?? worst}${more.length > 0 ? ` (+${more.length})` : ''}`;
}

export function pathRank(path: Path): PathRank {
  const state = pathState(path);
  if (state !== 'fit' && state !== 'unknown') return 'bad';
  if (state === 'unknown') return 'unknown';
  return pathTroubles(path).length > 0 ? 'odd' : 'fine';
}
