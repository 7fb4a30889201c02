/** The words for kinds, as hands type them: singular, plural, short. */
import { nearest } from '../api/nearest.ts';
import { type Kind, kinds } from '../model/resource.ts';
import { usageError } from './cli-error.ts';

interface Words {
  readonly singular: string;
  readonly plural: string;
  /** `no`, `node`: kubectl's words for a host. */
  readonly short: readonly string[];
}

export const kindWords: Readonly<Record<Kind, Words>> = {
  Host: { singular: 'host', plural: 'hosts', short: ['ho', 'no', 'node', 'nodes'] },
  Network: { singular: 'network', plural: 'networks', short: ['net', 'nets'] },
  Vm: { singular: 'vm', plural: 'vms', short: [] },
  VirtualRouter: { singular: 'router', plural: 'routers', short: ['vr', 'virtualrouter', 'virtualrouters'] },
  BfdSession: { singular: 'bfdsession', plural: 'bfdsessions', short: ['bfd'] },
  Path: { singular: 'path', plural: 'paths', short: [] },
  Address: { singular: 'address', plural: 'addresses', short: ['addr', 'addrs'] },
  Migration: { singular: 'migration', plural: 'migrations', short: ['mig', 'migs'] },
  Event: { singular: 'event', plural: 'events', short: ['ev'] },
  Policy: { singular: 'policy', plural: 'policies', short: ['pol'] },
};

const byWord = new Map<string, Kind>(kinds.flatMap((kind) => {
  const { singular, plural, short } = kindWords[kind];
  return [singular, plural, ...short].map((word): [string, Kind] => [word, kind]);
}));

/** `hosts, networks, …` */
export const allKinds = kinds.map((kind) => kindWords[kind].plural).join(', ');

/** Throws CLI_USAGE. */
export function parseKind(word: string): Kind {
  const kind = byWord.get(word.toLowerCase());
  if (kind) return kind;
  const meant = nearest(word, byWord.keys());
  const instead = meant === undefined ? `name one of ${allKinds}` : `did you mean ${meant}?`;
  throw usageError(`There is no kind ${JSON.stringify(word)}: ${instead}`);
}

export interface Target<K extends Kind = Kind> {
  readonly kind: K;
  readonly name?: string;
}

/** For a command that needs a name. Throws CLI_USAGE. */
export function nameOf({ kind, name }: Target, verb: string): string {
  if (name !== undefined) return name;
  const { singular, plural } = kindWords[kind];
  throw usageError(`Which ${singular} to ${verb}? Name one; godwit get ${plural} lists them`);
}

/** `vm web-1` and `vm/web-1` are the same. Throws CLI_USAGE. */
export function parseTarget(word: string, name?: string): Target {
  const slash = word.indexOf('/');
  if (slash < 0) return { kind: parseKind(word), ...(name === undefined ? {} : { name }) };
  const [kind, inner] = [parseKind(word.slice(0, slash)), word.slice(slash + 1)];
  if (name !== undefined) throw usageError(`Name it once: ${word} or ${word.slice(0, slash)} ${name}`);
  if (inner === '') throw usageError(`The name is missing after ${word}`);
  return { kind, name: inner };
}

/** `vm/web-1` */
export const reference = (kind: Kind, name: string): string => `${kindWords[kind].singular}/${name}`;
