/** `-o`: the forms in which resources are printed. */
import { nearest } from '../api/nearest.ts';
import type { AnyResource } from '../api/api.ts';
import { usageError } from './cli-error.ts';

export const outputFormats = ['table', 'wide', 'json', 'yaml'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** Of what is no list of resources: `table` or `json`. Throws CLI_USAGE. */
export function parsePlainFormat(word: string): 'table' | 'json' {
  if (word === 'table' || word === 'json') return word;
  throw usageError(`There is no output format ${JSON.stringify(word)} here: name table or json`);
}

const isFormat = (word: string): word is OutputFormat => outputFormats.some((format) => format === word);

/** Throws CLI_USAGE. */
export function parseFormat(word: string): OutputFormat {
  if (isFormat(word)) return word;
  const meant = nearest(word, outputFormats);
  const instead = meant === undefined ? `name one of ${outputFormats.join(', ')}` : `did you mean ${meant}?`;
  throw usageError(`There is no output format ${JSON.stringify(word)}: ${instead}`);
}

/** `k=v`, also several with commas. Throws CLI_USAGE. */
export function parseSelector(selectors: readonly string[]): Record<string, string> {
  const pairs = selectors.flatMap((text) => text.split(',')).map((pair) => {
    const [, key, value] = /^([^=]+)==?([^=]*)$/.exec(pair.trim()) ?? [];
    if (key === undefined || value === undefined) throw usageError(`${JSON.stringify(pair)} selects nothing: write -l KEY=VALUE`);
    return [key, value];
  });
  return Object.fromEntries(pairs);
}

/** One JSON object for a list, without a newline at its end. */
export const listJson = (resources: readonly AnyResource[]): string => JSON.stringify({ kind: 'List', items: resources }, undefined, 2);

/** Documents that `apply` takes again, each with a newline at its end. */
export async function toYaml(resources: readonly AnyResource[]): Promise<string> {
  const { stringify } = await import('yaml');
  // Aliases would be right, too, but nobody wants to read them.
  return resources.map((resource) => stringify(resource, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
}
