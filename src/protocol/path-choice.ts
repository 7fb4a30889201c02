/**
 * Which of the paths between two hosts are in use: all that live and are fit, and never none. When none is fit, the least sick of those
 * that live stays, until another is clearly better; when none lives, nothing changes: it is not for a choice to cut what might come back.
 */
import type { QualityStatus } from './path-quality.ts';

export interface PathFacts {
  readonly path: string;
  /** Something came through it lately. */
  readonly alive: boolean;
  readonly quality: Pick<QualityStatus, 'fitness' | 'slowLoss' | 'latency' | 'because'>;
}

export interface PathChoice {
  readonly use: readonly string[];
  /** By path, in words: why it is not in use, or is although it is sick. */
  readonly because: ReadonlyMap<string, string>;
}

/** How much less loss, or latency at the same loss, another sick path must have to replace the one in use. */
const CLEARLY = 0.5;

/** @param before what was in use until now */
export function choosePaths(paths: readonly PathFacts[], before: readonly string[]): PathChoice {
  const because = new Map<string, string>();
  const alive = paths.filter((path) => path.alive);
  const fit = alive.filter(({ quality }) => quality.fitness === 'fit');
  if (alive.length === 0) {
    const known = before.filter((name) => paths.some(({ path }) => path === name));
    const use = known.length > 0 ? known : paths.map(({ path }) => path);
    for (const path of use) because.set(path, 'nothing comes through any path: it stays in use');
    return { use, because };
  }
  const kept = fit.length > 0 ? fit : leastSick(alive, before);
  for (const { path, alive, quality } of paths) {
    const used = kept.some((other) => other.path === path);
    if (!alive) because.set(path, 'nothing comes through it');
    else if (quality.fitness === 'unfit') {
      because.set(path, `${used ? 'the last path, in use although: ' : ''}${quality.because ?? 'unfit'}`);
    }
  }
  return { use: kept.map(({ path }) => path), because };
}

function leastSick(alive: readonly PathFacts[], before: readonly string[]): PathFacts[] {
  const sorted = [...alive].sort((a, b) => sickness(a, b) || (a.path < b.path ? -1 : 1));
  const [best] = sorted;
  const current = sorted.find(({ path }) => before.includes(path));
  if (best === undefined) return [];
  if (current === undefined || current === best) return [best];
  const [was, is] = [current.quality, best.quality];
  const better = was.slowLoss === is.slowLoss
    ? (is.latency ?? Infinity) < (was.latency ?? Infinity) * CLEARLY
    : is.slowLoss < was.slowLoss * CLEARLY;
  return [better ? best : current];
}

const sickness = (a: PathFacts, b: PathFacts): number =>
  a.quality.slowLoss - b.quality.slowLoss || (a.quality.latency ?? Infinity) - (b.quality.latency ?? Infinity) || 0;
