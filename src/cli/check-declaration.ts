/** What is wrong with a document by its schema alone, in words. What it refers to is the server's to check. */
import { Settings } from 'typebox/system';
import { Errors } from 'typebox/value';
import { HostDeclaration } from '../model/host.ts';
import { NetworkDeclaration } from '../model/network.ts';
import { PolicyDeclaration } from '../model/cluster-policy.ts';
import { Duration, Rate, Size } from '../model/quantity.ts';
import { type Kind, declarable, kinds } from '../model/resource.ts';
import { VmDeclaration } from '../model/vm-spec.ts';
import { nearest } from './suggest.ts';
import { pointerStep } from './yaml-document.ts';

export interface SchemaFault {
  /** JSON pointer. */
  readonly pointer: string;
  /** It is the key that is wrong, not its value. */
  readonly key: boolean;
  readonly message: string;
}

/** Where a quantity is used, its description says what for; what it has to look like is said here. */
const quantities = new Map([Size, Rate, Duration].map((schema) =>
  ['pattern' in schema ? schema.pattern : undefined, 'description' in schema ? String(schema.description) : 'a quantity']));

const schemas = { Host: HostDeclaration, Network: NetworkDeclaration, Vm: VmDeclaration, Policy: PolicyDeclaration } as const;
type Declarable = (typeof declarable)[number];

const isDeclarable = (kind: unknown): kind is Declarable => declarable.some((k) => k === kind);
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const fault = (pointer: string, message: string): SchemaFault => ({ pointer, key: false, message });
const keyFault = (pointer: string, message: string): SchemaFault => ({ pointer, key: true, message });

/** Empty when the document may be sent. */
export function checkDeclaration(value: unknown): readonly SchemaFault[] {
  if (!isRecord(value)) return [fault('', `a document is a mapping with kind, name and spec, not ${nameOf(value)}`)];
  const { kind } = value;
  if (!isDeclarable(kind)) return [kindFault(kind)];
  // The library stops after 8 faults unless told otherwise, and a person wants to see all of them.
  Settings.Set({ maxErrors: 1000 });
  const schema = schemas[kind];
  const faults: SchemaFault[] = [];
  const choices = new Map<string, unknown[]>();
  for (const { keyword, instancePath: pointer, schemaPath, params } of Errors(schema, value)) {
    const own = at(schema, schemaPath);
    if (keyword === 'boolean') continue; // the same as additionalProperties, said of each key
    if (keyword === 'additionalProperties') {
      for (const key of strings(params, 'additionalProperties')) faults.push(keyFault(pointer + pointerStep(key), unknownKey(key, own)));
    } else if (keyword === 'required') {
      for (const key of strings(params, 'requiredProperties')) {
        faults.push(keyFault(pointer, `${key} is missing; add ${key}: ${wanted(at(own, `#/properties${pointerStep(key)}`))}`));
      }
    } else if (keyword === 'const' && 'allowedValue' in params) {
      choices.set(pointer, [...(choices.get(pointer) ?? []), params.allowedValue]);
    } else if (keyword !== 'anyOf' && keyword !== 'enum') {
      faults.push(fault(pointer, `${JSON.stringify(valueAt(value, pointer))} is not ${wanted(own)}`));
    }
  }
  for (const [pointer, allowed] of choices) {
    const given = valueAt(value, pointer);
    const meant = typeof given === 'string' ? nearest(given, allowed.filter((a) => typeof a === 'string')) : undefined;
    const choice = `${allowed.length === 1 ? '' : 'one of '}${allowed.join(', ')}`;
    faults.push(fault(pointer, `${JSON.stringify(given)} is not ${choice}${meant === undefined ? '' : `; did you mean ${meant}?`}`));
  }
  // One fault per place and message: a number where a pattern is wanted breaks two rules and is one mistake.
  return faults.filter((a, i) => faults.findIndex((b) => b.pointer === a.pointer && b.message === a.message) === i);
}

function kindFault(kind: unknown): SchemaFault {
  const names = declarable.join(', ');
  if (kind === undefined) return fault('', `kind is missing; add kind: one of ${names}`);
  const other = kinds.find((k: Kind) => k === kind);
  if (other) return fault('/kind', `${other} cannot be declared; take it out, or name one of ${names}`);
  const meant = typeof kind === 'string' ? nearest(kind, declarable) : undefined;
  const instead = meant === undefined ? `name one of ${names}` : `did you mean ${meant}?`;
  return fault('/kind', `there is no kind ${JSON.stringify(kind)}; ${instead}`);
}

function unknownKey(key: string, schema: unknown): string {
  const known = isRecord(schema) && isRecord(schema['properties']) ? Object.keys(schema['properties']) : [];
  const meant = nearest(key, known);
  const others = known.length > 0 ? `, or use one of ${known.join(', ')}` : '';
  return `unknown key ${JSON.stringify(key)}; ${meant === undefined ? `take it out${others}` : `did you mean ${meant}?`}`;
}

/** The schema's own words, or what its rules come to. */
function wanted(schema: unknown): string {
  if (!isRecord(schema)) return 'something else';
  const { type, description, minimum, maximum, maxLength, maxItems } = schema;
  const range = typeof minimum === 'number' && typeof maximum === 'number' ? ` from ${minimum} to ${maximum}` : '';
  switch (type) {
    case 'integer': return `a whole number${range}`;
    case 'number': return `a number${range}`;
    case 'boolean': return 'true or false';
    case 'array': return typeof maxItems === 'number' ? `a list of at most ${maxItems}` : 'a list';
    case 'object': return 'a mapping';
    case 'string':
      if (typeof description === 'string' && 'pattern' in schema) return quantities.get(schema['pattern']) ?? description;
      return typeof maxLength === 'number' ? `a text of at most ${maxLength} characters` : 'a text';
    default: return 'what belongs there';
  }
}

const strings = (params: object, key: string): readonly string[] => {
  const value: unknown = isRecord(params) ? params[key] : undefined;
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
};

const nameOf = (value: unknown): string => (Array.isArray(value) ? 'a list' : `the ${typeof value} ${JSON.stringify(value)}`);

/** `#/properties/spec`: into the schema. Undefined where there is nothing. */
const at = (schema: unknown, path: string): unknown => valueAt(schema, path.replace(/^#/, ''));

function valueAt(value: unknown, pointer: string): unknown {
  let inner = value;
  for (const step of pointer.split('/').slice(1).map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'))) {
    if (Array.isArray(inner)) inner = inner[Number(step)];
    else if (isRecord(inner) && Object.hasOwn(inner, step)) inner = inner[step];
    else return undefined;
  }
  return inner;
}
