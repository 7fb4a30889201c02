/** The last hour of a path as charts, for `describe`. */
import { type Api, ApiError, type ResourceOf } from '../api/api.ts';
import { formatError } from '../base/error.ts';
import type { History } from '../model/history.ts';
import { labelledChart } from './chart.ts';
import { columnsOf, summaryOf } from './chart-of-history.ts';
import type { Section } from './section.ts';
import type { Style } from './style.ts';
import { formatFine, formatShare, wrap } from './text.ts';

const HOUR = 3_600_000;
/** One for each minute. */
const COLUMNS = 60;

/** What cannot be had is said instead: a description does not fail for its chart. */
export async function lastHour(api: Api, { spec: { from, to, path } }: ResourceOf['Path'], now: number, style: Style): Promise<Section[]> {
  const ask = async (series: 'rtt' | 'loss'): Promise<readonly string[]> => {
    try {
      const history = await api.history({ host: from, series: `path/${to}/${path}/${series}`, from: now - HOUR, to: now, points: COLUMNS });
      return series === 'rtt' ? chartLines('RTT', history, formatFine, style) : chartLines('Loss, both ways', history, formatShare, style);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return wrap(`${series === 'rtt' ? 'RTT' : 'Loss'}: not to be had: ${formatError(error)}`);
    }
  };
  const [rtt, loss] = await Promise.all([ask('rtt'), ask('loss')]);
  return [{ title: 'Last hour', lines: [...rtt, '', ...loss] }];
}

function chartLines(title: string, history: History, format: (value: number) => string, { unicode }: Style): string[] {
  const summary = summaryOf(history);
  if (!summary) return [`${title}: nothing was measured`];
  const values = columnsOf(history, COLUMNS);
  const top = Math.max(...values.map((value) => value ?? 0));
  const what = `${title}: mean ${format(summary.mean)}, worst ${format(summary.max)}, of ${summary.count} values`;
  if (top === 0) return [what];
  return [what, ...labelledChart(values, { rows: 3, top, unicode, format, span: '1 h ago' })];
}
