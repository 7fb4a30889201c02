/** `godwit history`: what a host's monitor has kept of one series. */
import type { Api } from '../api/api.ts';
import type { History } from '../model/history.ts';
import { formatAge, formatTime } from './age.ts';
import { labelledChart } from './chart.ts';
import { columnsOf, summaryOf } from './chart-of-history.ts';
import { usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say, styleOfOut } from './io.ts';
import { checkSeries, seriesFormat } from './series.ts';
import { parseSince } from './since.ts';
import type { Style } from './style.ts';
import { formatTable, left, right } from './table.ts';

export interface HistoryOptions {
  readonly since: string;
  readonly points: string | undefined;
  readonly json: boolean;
}

const POINTS = 20;
const MOST_POINTS = 2000;
/** Of the chart: with its scale within 80. */
const COLUMNS = 64;

/** Throws CLI_USAGE before anybody is asked. */
export function parseHistory(series: string, { since, points }: HistoryOptions,
  now: number): { readonly series: string; readonly from: number; readonly points: number } {
  const n = points === undefined ? POINTS : /^\d{1,4}$/.test(points) ? Number(points) : 0;
  if (n < 1 || n > MOST_POINTS) throw usageError(`--points ${points ?? ''}: 1 to ${MOST_POINTS}`);
  return { series: checkSeries(series), from: parseSince(since, now), points: n };
}

export async function history(api: Api, io: Io, host: string, words: string, options: HistoryOptions): Promise<ExitCode> {
  const now = io.clock.now();
  const { series, from, points } = parseHistory(words, options, now);
  if (options.json) {
    print(io, JSON.stringify(await api.history({ host, series, from, to: now, points }), undefined, 2));
    return exitCodes.fine;
  }
  const [table, chart] = await Promise.all([
    api.history({ host, series, from, to: now, points }), api.history({ host, series, from, to: now, points: COLUMNS }),
  ]);
  const summary = summaryOf(table);
  if (!summary) say(io, `Nothing was measured of ${series} on ${host} since ${formatTime(from)}.`);
  else print(io, historyLines(table, chart, styleOfOut(io)).join('\n'));
  return exitCodes.fine;
}

/** A chart, and a line for each point. */
function historyLines(table: History, chart: History, { unicode }: Style): string[] {
  const format = seriesFormat(table.series);
  const summary = summaryOf(chart) ?? { mean: 0, min: 0, max: 0, count: 0, empty: 0 };
  const values = columnsOf(chart, COLUMNS);
  const top = Math.max(...values.map((value) => value ?? 0));
  const drawn = top === 0 ? []
    : [...labelledChart(values, { rows: 5, top, unicode, format, span: `${formatAge(chart.to - chart.from)} ago` }), ''];
  const of = (value: number | null): string => (value === null ? '-' : format(value));
  return [
    `${table.host} ${table.series}: mean ${format(summary.mean)}, ${format(summary.min)} to ${format(summary.max)}, of ${summary.count} `
      + `values`, '',
    ...drawn,
    ...formatTable([left('FROM'), right('SPAN'), right('MEAN'), right('MIN'), right('MAX'), right('VALUES')], table.data.map(
      ({ at, span, value, min, max, count }) => [formatTime(at), formatAge(span), of(value), of(min), of(max), count],
    )),
  ];
}
