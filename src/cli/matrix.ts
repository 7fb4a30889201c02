/** Source x destination: one figure of every pair on one path. */
import type { ResourceOf } from '../api/api.ts';
import { type PathRank, brief, lossOf, mtuCell, pathRank, pathState, pathTroubles } from './path-words.ts';
import { type Colour, type Style, arrow, paint } from './style.ts';
import { formatTable, left, right } from './table.ts';
import { clip, count, formatPercent, visibleWidth, wrap } from './text.ts';

type Path = ResourceOf['Path'];

export const matrixMetrics = ['rtt', 'loss', 'jitter', 'mtu', 'state'] as const;
export type MatrixMetric = (typeof matrixMetrics)[number];

const COLOURS: Readonly<Record<PathRank, Colour>> = { bad: 'red', odd: 'yellow', unknown: 'dim', fine: 'green' };
const MEANING: Readonly<Record<MatrixMetric, string>> = {
  rtt: 'RTT in ms, median of the last minute', loss: 'Loss in %, both ways, of the last minute', jitter: 'Jitter in ms, of the last minute',
  mtu: 'MTU: bytes that pass, of those wanted where fewer do', state: 'State',
};
const WORST_SHOWN = 20;

export interface MatrixCell {
  readonly from: string;
  readonly to: string;
  /** rtt, jitter in ms; loss as a share; mtu in bytes; state a word. null: not known. */
  readonly value: number | string | null;
  readonly state: string;
  readonly inUse: boolean;
  readonly trouble: readonly string[];
}

export interface MatrixOf {
  readonly path: string;
  readonly metric: MatrixMetric;
  readonly hosts: readonly string[];
  readonly cells: readonly MatrixCell[];
}

/** As data; `paths`: those of one name. */
export const matrixOf = (path: string, metric: MatrixMetric, paths: readonly Path[]): MatrixOf => ({
  path, metric, hosts: hostsOf(paths),
  cells: paths.map((p) => ({ from: p.spec.from, to: p.spec.to, value: figure(p, metric), state: pathState(p),
    inUse: p.status?.inUse ?? false, trouble: pathTroubles(p) })),
});

const hostsOf = (paths: readonly Path[]): string[] =>
  [...new Set(paths.flatMap(({ spec: { from, to } }) => [from, to]))].sort(new Intl.Collator('en', { numeric: true }).compare);

function figure(path: Path, metric: MatrixMetric): number | string | null {
  const report = path.status?.report;
  const state = pathState(path);
  // What came back before it fell silent, within the same minute, says nothing of now.
  const rtt = state === 'fit' || state === 'unfit' ? report?.window.rtt : undefined;
  switch (metric) {
    case 'rtt': return rtt?.p50 ?? null;
    case 'jitter': return rtt?.jitter ?? null;
    case 'loss': return report && state !== 'unknown' ? lossOf(report.window)?.total ?? null : null;
    case 'mtu': return report?.mtu.passes ?? null;
    case 'state': return state;
  }
}

function cellText(path: Path, metric: MatrixMetric): string {
  const value = figure(path, metric);
  if (metric === 'mtu') return path.status ? mtuCell(path.status.report.mtu) : '?';
  const state = pathState(path);
  if (value === null) return state === 'down' || state === 'silent' ? state.toUpperCase() : '?';
  if (typeof value === 'string') return value === 'fit' ? value : value.toUpperCase();
  return metric === 'loss' ? formatPercent(value) : brief(value);
}

/** How bad, for the worst: more is worse. A path of which nothing comes back is worse than any figure. */
function badness(path: Path, metric: MatrixMetric): number {
  const value = figure(path, metric);
  if (pathRank(path) === 'bad' && (value === null || metric === 'state')) return Infinity;
  if (typeof value !== 'number') return 0;
  return metric === 'mtu' ? (path.status?.report.mtu.wanted ?? 0) - value : value;
}

/**
 * Titled by names, or by numbers where names are too wide; where neither fits in `columns`, a list of the worst. The worst is marked `*`;
 * what is not in use is in brackets.
 */
export function matrixLines(path: string, metric: MatrixMetric, paths: readonly Path[], others: readonly string[], columns: number,
  style: Style): string[] {
  const hosts = hostsOf(paths);
  const sick = paths.filter((p) => pathRank(p) === 'bad').length;
  const title = wrap(`${MEANING[metric]}; path ${path}${others.length === 0 ? '' : ` (others: ${others.join(', ')})`}`, '', columns);
  const ways = `${count(paths.length, 'way')}, ${sick === 0 ? 'none' : sick} sick`;
  const worst = Math.max(...paths.map((p) => badness(p, metric)));
  const marked = (p: Path): boolean => worst > 0 && badness(p, metric) === worst;
  const cell = (from: string, to: string): string => {
    if (from === to) return '-';
    const p = paths.find(({ spec }) => spec.from === from && spec.to === to);
    if (!p) return '';
    const text = cellText(p, metric);
    const shown = p.status && !p.status.inUse ? `(${text})` : text;
    return paint(style, COLOURS[pathRank(p)], `${shown}${marked(p) ? '*' : ''}`);
  };
  const rows = hosts.map((from) => hosts.map((to) => cell(from, to)));
  const fits = (lines: readonly string[]): boolean => lines.every((line) => visibleWidth(line) <= columns);
  const legend = ['', ...wrap('* the worst; (in brackets) not in use; ? not measured. Why: godwit get paths', '', columns)];
  const above = [...title, `${ways}. Rows are where from, columns where to.`, ''];

  const named = formatTable([left(''), ...hosts.map(right)], rows.map((row, i) => [hosts[i] ?? '', ...row]));
  if (fits(named)) return [...above, ...named, ...legend];
  const numbered = formatTable([right(''), left(''), ...hosts.map((_, i) => right(String(i + 1)))],
    rows.map((row, i) => [i + 1, clip(hosts[i] ?? '', 16), ...row]));
  if (fits(numbered)) return [...above, ...numbered, ...legend];
  return [...title, ...wrap(`${ways}. ${hosts.length} hosts do not fit in ${columns} columns; these are the worst:`, '', columns), '',
    ...worstLines(paths, metric, columns, style)];
}

function worstLines(paths: readonly Path[], metric: MatrixMetric, columns: number, style: Style): string[] {
  const shown = paths.toSorted((a, b) => badness(b, metric) - badness(a, metric)).slice(0, WORST_SHOWN);
  const rows = shown.map((p) => [`${p.spec.from} ${arrow(style)} ${p.spec.to}`, cellText(p, metric), pathState(p)]);
  const widths = formatTable([left('WAY'), right(metric.toUpperCase()), left('STATE')], rows).map(visibleWidth);
  const room = Math.max(10, columns - Math.max(...widths) - 2);
  return formatTable(
    [left('WAY'), right(metric.toUpperCase()), left('STATE'), left('TROUBLE')],
    shown.map((p, i) =>
      [...(rows[i] ?? []).map((text, n) => (n === 0 ? text : paint(style, COLOURS[pathRank(p)], text))),
      clip(pathTroubles(p).join('; ') || '-', room)]),
  );
}
