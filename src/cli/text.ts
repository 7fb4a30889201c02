/** Numbers, sizes and sentences for people. */
import { stripVTControlCharacters } from 'node:util';

/** The most columns that a report uses. */
export const PAGE = 100;
/** Of what is read on a terminal of any size. */
export const NARROW = 80;

/** Columns on a terminal: code points, without control sequences. */
export const visibleWidth = (text: string): number => [...stripVTControlCharacters(text)].length;

/** Text from elsewhere (a log, a name) on one line: no control sequences, nothing that moves a cursor. */
export const oneLine = (text: string): string => stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();

/** No more than `width` columns of `oneLine(text)`; what is cut ends in `~`. */
export function clip(text: string, width: number): string {
  const points = [...oneLine(text)];
  return points.length <= width ? points.join('') : `${points.slice(0, Math.max(0, width - 1)).join('')}~`;
}

/** Lines of at most `page` columns, the first after `first`, the others indented as far. A word longer than a line is broken. */
export function wrap(text: string, first = '', page: number = PAGE): string[] {
  const indent = ' '.repeat(visibleWidth(first));
  const room = page - indent.length;
  const lines: string[] = [];
  let line: string[] = [];
  for (const word of oneLine(text).split(' ')) {
    let rest = [...word];
    if (line.length > 0 && line.length + 1 + rest.length > room) {
      lines.push(line.join(''));
      line = [];
    }
    for (; rest.length > room; rest = rest.slice(room)) lines.push(rest.slice(0, room).join(''));
    line = line.length > 0 ? [...line, ' ', ...rest] : rest;
  }
  return [...lines, line.join('')].map((l, i) => (i === 0 ? first : indent) + l);
}

/** `1 frame`, `2 frames`. */
export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

/** `13.1 ms`, `1.84 s`, `2 min 5 s`; `-` for undefined. */
export function formatMs(ms: number | undefined): string {
  if (ms === undefined) return '-';
  if (ms < 999.95) return `${ms.toFixed(1)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `512 B`, `1.2 MiB`; `?` for what QEMU has not counted yet. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '?';
  let unit = 0;
  let n = bytes;
  for (; n >= 1023.95 && unit < UNITS.length - 1; unit++) n /= 1024;
  return `${unit === 0 ? n : n.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** `812 MB/s`, `0.4 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  const rate = bytesPerSecond / 1e6;
  return `${rate.toFixed(rate < 9.95 ? 1 : 0)} MB/s`;
}

/** What matters is below a millisecond: `0.08 ms`. */
export const formatFine = (ms: number): string => (ms < 9.995 ? `${ms.toFixed(2)} ms` : formatMs(ms));

/** A share 0..1 in percent without its sign: `0`, `<0.1`, `3.1`, `42`, `>99`: nothing is rounded to none or to all. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  if (percent <= 0) return '0';
  if (percent < 0.05) return '<0.1';
  if (percent < 9.95) return percent.toFixed(1);
  return percent < 100 && percent >= 99.5 ? '>99' : percent.toFixed(0);
}
export const formatShare = (share: number): string => `${formatPercent(share)} %`;
