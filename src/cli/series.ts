/** Names of what a monitor keeps, and how their figures are written. */
import { nearest } from '../api/nearest.ts';
import { usageError } from './cli-error.ts';
import { formatFine, formatRate, formatShare } from './text.ts';

const NAME = '[^/\\s]+';
const ENDS: Readonly<Record<string, readonly string[]>> = {
  path: ['rtt', 'loss', 'loss-forward', 'loss-backward'], link: ['rx', 'tx'], nic: ['rx', 'tx'], host: ['softirq', 'lateness'],
};
const FORMS: Readonly<Record<string, string>> = { path: 'path/PEER/PATH/', link: 'link/NAME/', nic: 'nic/VM/N/', host: 'host/' };
const PATTERNS: Readonly<Record<string, RegExp>> = {
  path: new RegExp(`^path/${NAME}/${NAME}/(${NAME})$`), link: new RegExp(`^link/${NAME}/(${NAME})$`),
    nic: new RegExp(`^nic/${NAME}/\\d+/(${NAME})$`), host: new RegExp(`^host/(${NAME})$`),
};

/** All forms, for help. */
export const seriesForms = Object.entries(FORMS).map(([of, form]) => `${form}${(ENDS[of] ?? []).join('|')}`).join(', ');

/** Whether there can be such a series; whether there is one knows only the host. Throws CLI_USAGE. */
export function checkSeries(series: string): string {
  const of = series.split('/')[0] ?? '';
  const [ends, form, pattern] = [ENDS[of], FORMS[of], PATTERNS[of]];
  if (!ends || form === undefined || !pattern) {
    const meant = nearest(of, Object.keys(ENDS));
    throw usageError(`There is no series ${JSON.stringify(series)}: `
      + (meant === undefined ? `write one of ${seriesForms}` : `did you mean ${FORMS[meant] ?? ''}${(ENDS[meant] ?? []).join('|')}?`));
  }
  const end = pattern.exec(series)?.[1];
  if (end === undefined) throw usageError(`${JSON.stringify(series)} is no series: write it ${form}${ends.join('|')}`);
  if (ends.includes(end)) return series;
  const meant = nearest(end, ends);
  throw usageError(`There is no ${JSON.stringify(end)} of a ${of}: `
    + (meant === undefined ? `name one of ${ends.join(', ')}` : `did you mean ${meant}?`));
}

/** Of a series that `checkSeries` let through. */
export function seriesFormat(series: string): (value: number) => string {
  const end = series.split('/').at(-1) ?? '';
  if (end === 'rx' || end === 'tx') return formatRate;
  return end === 'rtt' || end === 'lateness' ? formatFine : formatShare;
}
