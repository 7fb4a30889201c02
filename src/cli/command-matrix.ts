/** `godwit matrix`. */
import type { Api } from '../api/api.ts';
import { nearest } from '../api/nearest.ts';
import { MAIN_PATH } from '../model/path.ts';
import { usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say, styleOfOut } from './io.ts';
import { type MatrixMetric, matrixLines, matrixMetrics, matrixOf } from './matrix.ts';
import { NARROW } from './text.ts';

export interface MatrixOptions {
  /** undefined: `main`, or the first there is. */
  readonly path: string | undefined;
  readonly metric: MatrixMetric;
  readonly json: boolean;
}

/** Throws CLI_USAGE. */
export function parseMetric(word: string): MatrixMetric {
  const found = matrixMetrics.find((metric) => metric === word.toLowerCase());
  if (found) return found;
  const meant = nearest(word, matrixMetrics);
  throw usageError(`There is no metric ${JSON.stringify(word)}: `
    + (meant === undefined ? `name one of ${matrixMetrics.join(', ')}` : `did you mean ${meant}?`));
}

export async function matrix(api: Api, io: Io, { path, metric, json }: MatrixOptions): Promise<ExitCode> {
  const all = await api.list('Path');
  const names = [...new Set(all.map(({ spec }) => spec.path))].sort();
  if (path !== undefined && all.length > 0 && !names.includes(path)) {
    const meant = nearest(path, names);
    throw usageError(`There is no path ${JSON.stringify(path)} between hosts: `
      + (meant === undefined ? `name one of ${names.join(', ')}` : `did you mean ${meant}?`));
  }
  const shown = path ?? (names.includes(MAIN_PATH) ? MAIN_PATH : names[0] ?? MAIN_PATH);
  const paths = all.filter(({ spec }) => spec.path === shown);
  if (json) print(io, JSON.stringify(matrixOf(shown, metric, paths), undefined, 2));
  else if (paths.length === 0) say(io, 'There are no paths: it takes two hosts whose monitors run and policy.monitor.probes.');
  else print(io,
    matrixLines(shown, metric, paths, names.filter((name) => name !== shown), io.out.columns ?? NARROW, styleOfOut(io)).join('\n'));
  return exitCodes.fine;
}
