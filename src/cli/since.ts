/** `--since`: how far back, or from when. */
import { usageError } from './cli-error.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * `10m`, `1h30m`, `2d` before `now`, or a time as ISO 8601 writes it: without a zone it is UTC, as all that is printed. ms since the
 * epoch. Throws CLI_USAGE.
 */
export function parseSince(text: string, now: number): number {
  const span = parseSpan(text);
  if (span !== undefined) return now - span;
  const [, date, time,
    zone] = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?(Z|[+-]\d\d:?\d\d)?$/.exec(text.replace(/ UTC$/, 'Z')) ?? [];
  const at = date === undefined ? NaN : Date.parse(`${date}T${time ?? '00:00'}${zone ?? 'Z'}`);
  if (Number.isNaN(at)) throw usageError(`--since ${JSON.stringify(text)} is neither a span like 10m, 1h30m or 2d, nor a time like `
    + `2026-11-22T10:00 (UTC)`);
  if (at > now) throw usageError(`--since ${JSON.stringify(text)} is still to come: it is ${new Date(now).toISOString().slice(0, 19)}Z `
    + `now`);
  return at;
}

function parseSpan(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|min|m|h|d))+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|min|m|h|d)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * (UNITS[unit ?? ''] ?? 0), 0);
}
