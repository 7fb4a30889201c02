/** A declared BFD session over all its hosts, in a word and in a sentence. */
import type { ResourceOf } from '../api/api.ts';
import { bfdDefaults } from '../model/bfd-session.ts';
import { parseDuration } from '../model/quantity.ts';
import { count, formatMs } from './text.ts';

type Session = ResourceOf['BfdSession'];
export type ShownBfdStatus = NonNullable<Session['status']>['hosts'][string];

export interface BfdSummary {
  /** `degraded`: up on some hosts. */
  readonly word: 'up' | 'degraded' | 'down' | 'admin-down' | 'unknown' | 'untold';
  readonly text: string;
  /** ms since the epoch. */
  readonly since?: number;
}

export function bfdState({ spec, status }: Session): BfdSummary {
  const told = Object.entries(status?.hosts ?? {});
  const untold = Object.keys(spec.hosts).filter((host) => !told.some(([name]) => name === host));
  const ill = told.filter(([, { state }]) => state !== 'up');
  const up = told.length - ill.length;
  const since = told.length === 0 ? {} : { since: Math.max(...told.map(([, s]) => s.since)) };
  const trouble = [...ill.map(([name, s]) => `${name}: ${s.state}${s.reason === undefined ? '' : `, ${s.reason}`}`),
    ...untold.map((name) => `${name}: has not told of it`)].join('; ');
  if (spec.disabled !== undefined) return { word: 'admin-down', text: `Switched off: ${spec.disabled}`, ...since };
  if (told.length === 0) return { word: 'untold', text: `None of ${count(untold.length, 'host')} has told of it yet` };
  if (trouble === '') return { word: 'up', text: `Up on ${count(up, 'host')}`, ...since };
  if (up > 0) return { word: 'degraded', text: `Up on ${up} of ${up + ill.length + untold.length}; ${trouble}`, ...since };
  return { word: ill.every(([, { state }]) => state === 'unknown') ? 'unknown' : 'down', text: trouble, ...since };
}

/** `host-a:up` of each. */
export const bfdHosts = ({ spec, status }: Session): string[] =>
  Object.keys({ ...spec.hosts, ...status?.hosts }).map((host) => `${host}:${status?.hosts[host]?.state ?? 'untold'}`);

/** The longest detection time that a host agreed on: `900.0 ms`. */
export function bfdDetection({ status }: Session): string | undefined {
  const times = Object.values(status?.hosts ?? {}).map(({ detectionTime }) => detectionTime).filter((time) => time > 0);
  return times.length === 0 ? undefined : formatMs(Math.max(...times));
}

/** Declared: `every 300.0 ms x 3`. */
export const bfdTerms = ({ spec }: Session): string =>
  `${formatMs(parseDuration(spec.interval ?? bfdDefaults.interval))} x ${spec.multiplier ?? bfdDefaults.multiplier}`;
