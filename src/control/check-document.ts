/** What is wrong with a document in itself, by the schema of its kind. What it refers to is checked in apply.ts. */
import { type Static, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Settings } from 'typebox/system';
import type { Declaration } from '../api/api.ts';
import { PolicyDeclaration } from '../model/cluster-policy.ts';
import { HostDeclaration } from '../model/host.ts';
import { NetworkDeclaration } from '../model/network.ts';
import { declarable, kinds } from '../model/resource.ts';
import { VmDeclaration } from '../model/vm-spec.ts';
import { nearest } from './suggest.ts';

/** A fault of one document. `path`: JSON pointer into it; of the key itself where a key is wrong. */
export interface SchemaFault {
  readonly path: string;
  readonly message: string;
}

export type Declared =
  | { readonly kind: 'Host'; readonly declared: Static<typeof HostDeclaration> }
  | { readonly kind: 'Network'; readonly declared: Static<typeof NetworkDeclaration> }
  | { readonly kind: 'Vm'; readonly declared: Static<typeof VmDeclaration> }
  | { readonly kind: 'Policy'; readonly declared: Static<typeof PolicyDeclaration> };

const checks = { Host: Compile(HostDeclaration), Network: Compile(NetworkDeclaration), Vm: Compile(VmDeclaration), Policy: Compile(PolicyDeclaration) };

/** The document as what it declares, or everything that its schema has against it. */
export function checkDocument(document: Declaration): Declared | readonly SchemaFault[] {
  switch (document.kind) {
    case 'Host': return checks.Host.Check(document) ? { kind: 'Host', declared: document } : faultsOf(checks.Host, document);
    case 'Network': return checks.Network.Check(document) ? { kind: 'Network', declared: document } : faultsOf(checks.Network, document);
    case 'Vm': return checks.Vm.Check(document) ? { kind: 'Vm', declared: document } : faultsOf(checks.Vm, document);
    case 'Policy': return checks.Policy.Check(document) ? { kind: 'Policy', declared: document } : faultsOf(checks.Policy, document);
    default: return [{ path: '/kind', message: kindFault(document.kind) }];
  }
}

function kindFault(kind: string): string {
  const names = declarable.join(', ');
  if (kinds.some((k) => k === kind)) return `a ${kind} cannot be declared: name one of ${names}`;
  const meant = nearest(kind, declarable);
  return `there is no kind ${JSON.stringify(kind)}: ${meant === undefined ? `name one of ${names}` : `did you mean ${meant}?`}`;
}

function faultsOf(check: Pick<Validator, 'Type' | 'Errors'>, document: Declaration): readonly SchemaFault[] {
  // The library stops after 8 otherwise; whoever made the mistakes wants to see all of them.
  Settings.Set({ maxErrors: 1000 });
  const schema: unknown = check.Type();
  const faults: SchemaFault[] = [];
  const choices = new Map<string, unknown[]>();
  for (const { keyword, instancePath: path, schemaPath, params } of check.Errors(document)) {
    const rule = at(schema, schemaPath.slice(1));
    if (keyword === 'additionalProperties') {
      for (const key of strings(params, 'additionalProperties')) faults.push({ path: `${path}/${escape(key)}`, message: unknownKey(key, rule) });
    } else if (keyword === 'required') {
      for (const key of strings(params, 'requiredProperties')) {
        faults.push({ path, message: `${key} is missing: ${wanted(at(rule, `/properties/${escape(key)}`))}` });
      }
    } else if (keyword === 'const' && 'allowedValue' in params) {
      choices.set(path, [...(choices.get(path) ?? []), params.allowedValue]);
    } else if (keyword !== 'boolean' && keyword !== 'anyOf') {
      faults.push({ path, message: `${JSON.stringify(at(document, path))} is not ${wanted(rule)}` });
    }
  }
  for (const [path, allowed] of choices) {
    const given = at(document, path);
    const meant = typeof given === 'string' ? nearest(given, allowed.filter((a) => typeof a === 'string')) : undefined;
    faults.push({ path, message: `${JSON.stringify(given)} is not ${allowed.join(' or ')}${meant === undefined ? '' : `: did you mean ${meant}?`}` });
  }
  return faults;
}

function unknownKey(key: string, rule: unknown): string {
  const properties = at(rule, '/properties');
  const known = isRecord(properties) ? Object.keys(properties) : [];
  const meant = nearest(key, known);
  return `unknown key ${JSON.stringify(key)}: ${meant === undefined ? `take it out, or use one of ${known.join(', ')}` : `did you mean ${meant}?`}`;
}

function wanted(rule: unknown): string {
  if (!isRecord(rule)) return 'what belongs there';
  const { type, description, minimum, maximum } = rule;
  if (typeof description === 'string' && type === 'string') return description;
  const range = [typeof minimum === 'number' ? ` from ${minimum}` : '', typeof maximum === 'number' ? ` to ${maximum}` : ''].join('');
  switch (type) {
    case 'integer': return `a whole number${range}`;
    case 'number': return `a number${range}`;
    case 'boolean': return 'true or false';
    case 'array': return 'a list';
    case 'object': return 'a mapping';
    case 'string': return 'a text';
    default: return 'what belongs there';
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
const escape = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

function strings(params: object, key: string): readonly string[] {
  const value: unknown = isRecord(params) ? params[key] : undefined;
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
}

/** What a JSON pointer points at; undefined where there is nothing. */
function at(value: unknown, pointer: string): unknown {
  let inner = value;
  for (const step of pointer.split('/').slice(1).map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'))) {
    if (Array.isArray(inner)) inner = inner[Number(step)];
    else if (isRecord(inner) && Object.hasOwn(inner, step)) inner = inner[step];
    else return undefined;
  }
  return inner;
}
