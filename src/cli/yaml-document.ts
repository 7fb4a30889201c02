/** YAML files with positions: every complaint names a line and a column. */
import { type Document, LineCounter, isAlias, isMap, isNode, isScalar, isSeq, parseAllDocuments, visit } from 'yaml';

export interface Position {
  /** Both from 1. */
  readonly line: number;
  readonly col: number;
}

export interface Complaint extends Position {
  readonly file: string;
  /** `spec.nics[0].mac`; empty for the document as a whole. */
  readonly path: string;
  readonly message: string;
}

export interface YamlDocument {
  readonly file: string;
  readonly value: unknown;
  /** Of what a JSON pointer (RFC 6901) names, or of the nearest thing around it that exists. `key`: of the key rather than the value. */
  position(pointer: string, key?: boolean): Position;
}

export interface YamlFile {
  /** Empty ones are left out; those with faults, too. */
  readonly documents: readonly YamlDocument[];
  readonly complaints: readonly Complaint[];
}

const REMEDY: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands twice in one mapping; keep one',
  TAB_AS_INDENT: 'a tab indents this line; use spaces',
  BAD_INDENT: 'the indentation does not fit the lines before; line it up',
};

/** Never throws. */
export function parseYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    // The counter says line 0 for an empty text.
    return { line: Math.max(1, line), col: Math.max(1, col) };
  };
  const documents: YamlDocument[] = [];
  const complaints: Complaint[] = [];
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, stringKeys: true })) {
    const faults = [...document.errors, ...document.warnings];
    for (const { pos, code, message } of faults) {
      const words = REMEDY[code] ?? `${message.replace(/\.?$/, '')}; correct the YAML`;
      complaints.push({ file, ...at(pos[0]), path: '', message: words });
    }
    if (faults.length > 0 || document.contents === null || isEmpty(document)) continue;
    try {
      const value: unknown = document.toJS();
      documents.push({ file, value, position: (pointer, key = false) => at(locate(document, pointer, key)) });
    } catch (error) {
      const message = error instanceof Error ? error.message : 'the aliases cannot be resolved';
      complaints.push({ file, ...at(firstAlias(document)), path: '', message: `${message}; write it out instead` });
    }
  }
  return { documents, complaints };
}

const isEmpty = ({ contents }: Document.Parsed): boolean => isScalar(contents) && contents.value === null;

/** The offset of where to look when `toJS` throws: an alias bomb, or an alias to nothing. */
function firstAlias(document: Document.Parsed): number {
  let offset = 0;
  visit(document, { Alias: (_, node) => { offset = node.range?.[0] ?? 0; return visit.BREAK; } });
  return offset;
}

/** The offset of what the pointer names. A mapping or list is where its key is: that is the line people look for. */
function locate(document: Document.Parsed, pointer: string, key: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  const steps = pointer.split('/').slice(1);
  for (const [i, escaped] of steps.entries()) {
    const step = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === step);
      if (!pair) break;
      const keyOffset = startOf(pair.key) ?? offset;
      const last = i === steps.length - 1;
      offset = (last && key) || !isScalar(pair.value) ? keyOffset : startOf(pair.value) ?? keyOffset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(step)];
      if (item === undefined) break;
      offset = startOf(item) ?? offset;
      node = item;
    } else break;
  }
  return offset;
}

/** A value that is not there has an empty range behind its key: the key's is better then. */
function startOf(node: unknown): number | undefined {
  if (!isNode(node) || !node.range) return undefined;
  return isScalar(node) && node.range[0] === node.range[1] && node.source === '' ? undefined : node.range[0];
}

/** `/spec/nics/0/mac` as `spec.nics[0].mac`. */
export function dotted(pointer: string): string {
  return pointer.split('/').slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, step) => (/^\d+$/.test(step) ? `${path}[${step}]` : path === '' ? step : `${path}.${step}`), '');
}
