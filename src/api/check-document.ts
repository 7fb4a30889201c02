/**
 * What is wrong with a document in itself, by the schema of its kind, in words: for who reads the file, and for the server, which is
 * sent documents by others too. What a document refers to is the server's to check.
 */
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { BfdSessionDeclaration } from '../model/bfd-session.ts';
import { PolicyDeclaration } from '../model/cluster-policy.ts';
import { HostDeclaration } from '../model/host.ts';
import { NetworkDeclaration } from '../model/network.ts';
import { Duration, Rate, Size } from '../model/quantity.ts';
import { declarable, kinds } from '../model/resource.ts';
import { VirtualRouterDeclaration } from '../model/virtual-router.ts';
import { VmDeclaration } from '../model/vm-spec.ts';
import { nearest } from './nearest.ts';

/** A fault of one document. */
export interface DocumentFault {
  /** JSON pointer (RFC 6901) into it. */
  readonly path: string;
  /** It is the key that is wrong, not its value. */
  readonly key: boolean;
  readonly message: string;
}

export type Declared =
  | { readonly kind: 'Host'; readonly declared: Static<typeof HostDeclaration> }
  | { readonly kind: 'Network'; readonly declared: Static<typeof NetworkDeclaration> }
  | { readonly kind: 'Vm'; readonly declared: Static<typeof VmDeclaration> }
  | { readonly kind: 'VirtualRouter'; readonly declared: Static<typeof VirtualRouterDeclaration> }
  | { readonly kind: 'BfdSession'; readonly declared: Static<typeof BfdSessionDeclaration> }
  | { readonly kind: 'Policy'; readonly declared: Static<typeof PolicyDeclaration> };

// The library stops after 8 faults unless told otherwise, for the whole process; who made the mistakes wants to see all of them.
Settings.Set({ maxErrors: 1000 });

const checks = {
  Host: Compile(HostDeclaration), Network: Compile(NetworkDeclaration), Vm: Compile(VmDeclaration), VirtualRouter: Compile(VirtualRouterDeclaration),
  BfdSession: Compile(BfdSessionDeclaration), Policy: Compile(PolicyDeclaration),
};

/** Where a quantity is used, its description says what for; what it has to look like is said here. */
const quantities = new Map([Size, Rate, Duration].map((schema) =>
  ['pattern' in schema ? schema.pattern : undefined, 'description' in schema ? String(schema.description) : 'a quantity']));

/** The document as what it declares, or everything that its schema has against it. Any value may be given. */
export function checkDocument(document: unknown): Declared | readonly DocumentFault[] {
  if (!isRecord(document)) return [valueFault('', `a document is a mapping with kind, name and spec, not ${nameOf(document)}`)];
  switch (document['kind']) {
    case 'Host': return checks.Host.Check(document) ? { kind: 'Host', declared: document } : faultsOf(checks.Host, document);
    case 'Network': return checks.Network.Check(document) ? { kind: 'Network', declared: document } : faultsOf(checks.Network, document);
    case 'Vm': return checks.Vm.Check(document) ? { kind: 'Vm', declared: document } : faultsOf(checks.Vm, document);
    case 'VirtualRouter':
      return checks.VirtualRouter.Check(document) ? { kind: 'VirtualRouter', declared: document } : faultsOf(checks.VirtualRouter, document);
    case 'BfdSession':
      return checks.BfdSession.Check(document) ? { kind: 'BfdSession', declared: document } : faultsOf(checks.BfdSession, document);
    case 'Policy': return checks.Policy.Check(document) ? { kind: 'Policy', declared: document } : faultsOf(checks.Policy, document);
    default: return [kindFault(document['kind'])];
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
const valueFault = (path: string, message: string): DocumentFault => ({ path, key: false, message });
const keyFault = (path: string, message: string): DocumentFault => ({ path, key: true, message });

function kindFault(kind: unknown): DocumentFault {
  const names = declarable.join(', ');
  if (kind === undefined) return valueFault('', `kind is missing; add kind: one of ${names}`);
  const other = kinds.find((k) => k === kind);
  if (other) return valueFault('/kind', `${other} cannot be declared; take it out, or name one of ${names}`);
  const meant = typeof kind === 'string' ? nearest(kind, declarable) : undefined;
  const instead = meant === undefined ? `name one of ${names}` : `did you mean ${meant}?`;
  return valueFault('/kind', `there is no kind ${JSON.stringify(kind)}; ${instead}`);
}

function faultsOf(check: (typeof checks)[keyof typeof checks], document: unknown): readonly DocumentFault[] {
  const schema: unknown = check.Type();
  const faults: DocumentFault[] = [];
  const choices = new Map<string, unknown[]>();
  const errors = check.Errors(document).map((error) => ({ ...error, schemaPath: error.schemaPath.replace(/^#/, '') }));
  for (const { keyword, instancePath: path, schemaPath, params } of errors) {
    const union = unionOf(schemaPath, path, errors, schema, document);
    if (union && union.alternative !== union.meant) {
      if (union.meant === undefined) faults.push(union.fault);
      continue;
    }
    const rule = at(schema, schemaPath);
    if (keyword === 'boolean') continue; // the same as additionalProperties, said of each key
    if (keyword === 'additionalProperties') {
      for (const key of strings(params, 'additionalProperties')) faults.push(keyFault(path + pointerStep(key), unknownKey(key, rule)));
    } else if (keyword === 'required') {
      for (const key of strings(params, 'requiredProperties')) {
        faults.push(keyFault(path, `${key} is missing; add ${key}: ${wanted(at(rule, `/properties${pointerStep(key)}`))}`));
      }
    } else if (keyword === 'const' && 'allowedValue' in params) {
      choices.set(path, [...(choices.get(path) ?? []), params.allowedValue]);
    } else if (keyword !== 'anyOf' && keyword !== 'enum') {
      faults.push(valueFault(path, `${shown(at(document, path))} is not ${wanted(rule)}`));
    }
  }
  for (const [path, allowed] of choices) {
    const given = at(document, path);
    const meant = typeof given === 'string' ? nearest(given, allowed.filter((a) => typeof a === 'string')) : undefined;
    const choice = `${allowed.length === 1 ? '' : 'one of '}${allowed.join(', ')}`;
    faults.push(valueFault(path, `${shown(given)} is not ${choice}${meant === undefined ? '' : `; did you mean ${meant}?`}`));
  }
  // One fault per place and message: a number where a pattern is wanted breaks two rules and is one mistake.
  return faults.filter((a, i) => faults.findIndex((b) => b.path === a.path && b.message === a.message) === i);
}

interface Place {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
}

/**
 * For an error within one alternative of a union of mappings: which alternative that is, and which one was meant, told by the key that it
 * requires; what is wrong when none was. Undefined for all other errors.
 */
function unionOf(
  schemaPath: string, path: string, errors: readonly Place[], schema: unknown, document: unknown,
): { readonly alternative: number; readonly meant: number | undefined; readonly fault: DocumentFault } | undefined {
  const [, within, alternative] = /^(.*)\/anyOf\/(\d+)(?:\/.*)?$/.exec(schemaPath) ?? [];
  if (within === undefined) return undefined;
  const union = errors.find((e) => e.keyword === 'anyOf' && e.schemaPath === within && `${path}/`.startsWith(`${e.instancePath}/`));
  const value = union && at(document, union.instancePath);
  const alternatives = at(schema, `${within}/anyOf`);
  if (!union || !isRecord(value) || !Array.isArray(alternatives)) return undefined;
  const keys = alternatives.map((one: unknown) => (isRecord(one) ? strings(one, 'required')[0] : undefined)).filter((key) => key !== undefined);
  if (keys.length < alternatives.length) return undefined;
  const meant = keys.findIndex((key) => Object.hasOwn(value, key));
  const slip = Object.keys(value).map((key) => ({ key, near: nearest(key, keys) })).find(({ near }) => near !== undefined);
  const fault = slip
    ? keyFault(union.instancePath + pointerStep(slip.key), `unknown key ${shown(slip.key)}; did you mean ${slip.near ?? ''}?`)
    : valueFault(union.instancePath, `${shown(value)} does not say which; add one of ${keys.join(', ')}`);
  return { alternative: Number(alternative), meant: meant < 0 ? undefined : meant, fault };
}

function unknownKey(key: string, rule: unknown): string {
  const properties = at(rule, '/properties');
  const known = isRecord(properties) ? Object.keys(properties) : [];
  const meant = nearest(key, known);
  const others = known.length > 0 ? `, or use one of ${known.join(', ')}` : '';
  return `unknown key ${shown(key)}; ${meant === undefined ? `take it out${others}` : `did you mean ${meant}?`}`;
}

/** The schema's own words, or what its rules come to. */
function wanted(rule: unknown): string {
  if (!isRecord(rule)) return 'something else';
  const { type, description, minimum, maximum, maxLength, minItems, maxItems, minProperties } = rule;
  const range = typeof minimum === 'number' && typeof maximum === 'number' ? ` from ${minimum} to ${maximum}` : '';
  switch (type) {
    case 'integer': return `a whole number${range}`;
    case 'number': return `a number${range}`;
    case 'boolean': return 'true or false';
    case 'array': return typeof maxItems === 'number' ? `a list of ${typeof minItems === 'number' ? `${minItems} to` : 'at most'} ${maxItems}` : 'a list';
    case 'object': return typeof minProperties === 'number' ? 'a mapping with something in it' : 'a mapping';
    case 'string':
      if (typeof description === 'string' && 'pattern' in rule) return quantities.get(rule['pattern']) ?? description;
      return typeof maxLength === 'number' ? `a text of at most ${maxLength} characters` : 'a text';
    default: return 'what belongs there';
  }
}

/** A value as it stands, cut where it is long: a complaint is one line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

const nameOf = (value: unknown): string => (Array.isArray(value) ? 'a list' : value === null ? 'nothing' : `the ${typeof value} ${shown(value)}`);

function strings(params: object, key: string): readonly string[] {
  const value: unknown = isRecord(params) ? params[key] : undefined;
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
}

/** One step of a JSON pointer (RFC 6901). */
export const pointerStep = (key: string): string => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** What a JSON pointer points at; undefined where there is nothing. */
function at(value: unknown, pointer: string): unknown {
  let inner = value;
  for (const name of pointer.split('/').slice(1).map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'))) {
    if (Array.isArray(inner)) inner = inner[Number(name)];
    else if (isRecord(inner) && Object.hasOwn(inner, name)) inner = inner[name];
    else return undefined;
  }
  return inner;
}
