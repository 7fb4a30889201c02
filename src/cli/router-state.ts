/** A virtual router over all its hosts, in a word and in a sentence. */
import type { ResourceOf } from '../api/api.ts';
import { parseDuration } from '../model/quantity.ts';
import { type ShownRouterStatus, routerDefaults } from '../model/virtual-router.ts';
import { count, formatMs } from './text.ts';

type Router = ResourceOf['VirtualRouter'];

export interface RouterSummary {
  /** `active`: on one host, and all is well; `degraded`: on one, and another cannot take its place. */
  readonly word: 'active' | 'degraded' | 'contested' | 'elsewhere' | 'electing' | 'fault' | 'unknown' | 'untold';
  readonly text: string;
  /** ms since the epoch. */
  readonly since?: number;
}

export function routerState({ spec, status }: Router): RouterSummary {
  const told = Object.entries(status?.hosts ?? {});
  const named = Object.keys(spec.hosts);
  const untold = named.filter((host) => !told.some(([name]) => name === host));
  const of = (state: ShownRouterStatus['state']): [string, ShownRouterStatus][] => told.filter(([, s]) => s.state === state);
  const names = (all: readonly (readonly [string, unknown])[]): string => all.map(([name]) => name).join(', ');
  const latest = (all: readonly (readonly [string, ShownRouterStatus])[]): { since?: number } =>
    (all.length === 0 ? {} : { since: Math.max(...all.map(([, s]) => s.since)) });

  const active = of('active');
  if (active.length > 1) return { word: 'contested', text: `${names(active)} all say they are Active`, ...latest(active) };
  const ill = [...of('fault'), ...of('unknown'), ...of('initialize')];
  const [only] = active;
  if (only) {
    const trouble = [...ill.map(([name, s]) => `${name}: ${s.state}`), ...untold.map((name) => `${name}: not told of it yet`)];
    if (trouble.length === 0) return { word: 'active', text: `Active on ${only[0]}`, since: only[1].since };
    return { word: 'degraded', text: `Active on ${only[0]}; ${trouble.join(', ')}`, since: only[1].since };
  }
  if (told.length === 0) return { word: 'untold', text: `None of ${count(named.length, 'host')} has told of it yet` };
  const hearing = of('backup').find(([, s]) => s.active !== undefined);
  if (hearing) return { word: 'elsewhere', text: `Active is ${hearing[1].active?.address ?? '?'}, as ${hearing[0]} hears it`, ...latest([hearing]) };
  const lost = of('unknown');
  if (lost.length > 0) return { word: 'unknown', text: `Nobody is known to be Active; not known: ${names(lost)}`, ...latest(lost) };
  if (of('backup').length > 0) return { word: 'electing', text: 'Nobody is Active yet', ...latest(of('backup')) };
  const reasons = ill.map(([name, s]) => `${name}: ${s.reason ?? s.state}`).join('; ');
  return { word: 'fault', text: `Nobody can be Active: ${reasons}`, ...latest(ill) };
}

/** As declared, ms. */
export const routerInterval = ({ spec }: Router): number => parseDuration(spec.interval ?? routerDefaults.interval);

/** What hosts send by where it is not what was declared. */
export const effectiveIntervals = (router: Router): string[] =>
  Object.entries(router.status?.hosts ?? {})
    .filter(([, s]) => s.effectiveInterval !== s.interval)
    .map(([host, s]) => `${host}:${formatMs(s.effectiveInterval).replace(' ', '')}`);

/** `h1:150`, and `h2:90/100` where tracking changed it. */
export const routerPriorities = ({ spec, status }: Router): string[] =>
  Object.entries(spec.hosts).map(([host, { priority = routerDefaults.priority }]) => {
    const now = status?.hosts[host]?.effectivePriority ?? priority;
    return `${host}:${now === priority ? '' : `${now}/`}${priority}`;
  });
