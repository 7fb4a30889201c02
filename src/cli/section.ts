/** What `describe` is made of: fields and tables under titles. */
import type { AnyResource } from '../api/api.ts';
import { formatAge, formatTime } from './age.ts';
import { type Column, formatTable } from './table.ts';
import { PAGE, wrap } from './text.ts';

export interface Section {
  /** None for the first. */
  readonly title?: string;
  readonly lines: readonly string[];
}

/** Sections with an empty line between them, titles above indented lines. */
export const formatSections = (sections: readonly Section[]): string[] =>
  sections.filter(({ lines }) => lines.length > 0).flatMap(({ title, lines }, i) => [
    ...(i > 0 ? [''] : []), ...(title === undefined ? lines : [`${title}:`, ...lines.map((line) => (line === '' ? '' : `  ${line}`))]),
  ]);

export type Field = readonly [label: string, value: string | number | undefined];

/** Undefined values are left out; long ones are wrapped below themselves. */
export function fields(all: readonly Field[], page: number = PAGE): string[] {
  const known = all.filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(0, ...known.map(([label]) => label.length + 3));
  return known.flatMap(([label, value]) => wrap(String(value), `${label}:`.padEnd(width), page));
}

export const ago = (at: number | undefined, now: number): string | undefined =>
  (at === undefined ? undefined : `${formatTime(at)} (${formatAge(now - at)} ago)`);
export const labels = ({ labels }: AnyResource): string => Object.entries(labels ?? {}).map(([k, v]) => `${k}=${v}`).join(' ');
export const commas = (words: readonly string[]): string => (words.length === 0 ? 'none' : words.join(', '));

export const tableOrNone = (columns: readonly Column[], rows: readonly (readonly (string | number)[])[]): readonly string[] =>
  (rows.length === 0 ? ['none'] : formatTable(columns, rows));
