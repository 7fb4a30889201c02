/** Files of declarations, as `apply` and `config check` read them: every complaint has its file, line and column. */
import type { Declaration, Fault } from '../api/api.ts';
import { checkDocument } from '../api/check-document.ts';
import { CliError, usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, say } from './io.ts';
import { count } from './text.ts';
import { type Complaint, type YamlDocument, dotted, parseYaml } from './yaml-document.ts';

/** What is not done when there are complaints, as a participle. */
export type Done = 'applied' | 'checked';

export class Documents {
  readonly declarations: readonly Declaration[];
  readonly #documents: readonly YamlDocument[];
  readonly #complaints: readonly Complaint[];
  /** The files in the order in which they were named. */
  readonly #order: readonly string[];
  readonly #done: Done;

  private constructor(documents: readonly YamlDocument[], complaints: readonly Complaint[], order: readonly string[], done: Done) {
    this.#documents = documents;
    this.#complaints = complaints;
    this.#order = order;
    this.#done = done;
    this.declarations = documents.map(({ value }) => value).filter(isDeclaration);
  }

  /** `files`: paths, or `-` for stdin. Throws CLI_FILE_UNREADABLE, and CLI_USAGE when there is nothing in them. */
  static async read(io: Io, files: readonly string[], done: Done): Promise<Documents> {
    const documents: YamlDocument[] = [];
    const complaints: Complaint[] = [];
    const labels = files.map((path) => (path === '-' ? '<stdin>' : path));
    for (const [i, path] of files.entries()) {
      const parsed = parseYaml(labels[i] ?? path, await readFile(io, path, done));
      documents.push(...parsed.documents);
      complaints.push(...parsed.complaints);
    }
    for (const document of documents) complaints.push(...complaintsOf(document));
    complaints.push(...twice(documents));
    if (complaints.length === 0 && documents.length === 0) {
      const todo = done === 'applied' ? 'apply' : 'check';
      throw usageError(`There is nothing to ${todo} in ${files.join(', ')}: a document has kind, name and spec`);
    }
    return new Documents(documents, complaints, labels, done);
  }

  /** Prints what is wrong with the files in themselves; undefined when nothing is. */
  refused(io: Io): ExitCode | undefined {
    return this.#complaints.length === 0 ? undefined : this.#refuse(io, this.#complaints, 'CLI_BAD_DOCUMENT');
  }

  /** Prints what the server has against them. */
  refuse(io: Io, faults: readonly Fault[], code: string): ExitCode {
    return this.#refuse(io, this.#place(faults), code);
  }

  warn(io: Io, warnings: readonly Fault[]): void {
    this.#print(io, this.#place(warnings), 'warning: ');
  }

  #refuse(io: Io, complaints: readonly Complaint[], code: string): ExitCode {
    this.#print(io, complaints, '');
    say(io, `error: ${count(complaints.length, 'complaint')}${this.#done === 'applied' ? '; nothing was applied' : ''} [${code}]`);
    return exitCodes.usage;
  }

  #place(faults: readonly Fault[]): Complaint[] {
    return faults.map(({ document, path, message }) => placed(this.#documents[document], path, message));
  }

  #print(io: Io, complaints: readonly Complaint[], what: string): void {
    const at = ({ file }: Complaint): number => this.#order.indexOf(file);
    const inOrder = complaints.toSorted((a, b) => at(a) - at(b) || a.line - b.line || a.col - b.col);
    for (const { file, line, col, path, message } of inOrder) {
      say(io, `${file}:${line}:${col}: ${what}${path === '' ? '' : `${path}: `}${message}`);
    }
  }
}

async function readFile(io: Io, path: string, done: Done): Promise<string> {
  try {
    return await io.read(path);
  } catch (cause) {
    throw new CliError(exitCodes.usage, 'CLI_FILE_UNREADABLE', `${path} cannot be read; nothing was ${done}`, { cause });
  }
}

const isDeclaration = (value: unknown): value is Declaration =>
  typeof value === 'object' && value !== null
  && 'kind' in value && typeof value.kind === 'string' && 'name' in value && typeof value.name === 'string';

function complaintsOf(document: YamlDocument): Complaint[] {
  const checked = checkDocument(document.value);
  return 'kind' in checked ? [] : checked.map(({ path, key, message }) => placed(document, path, message, key));
}

function placed(document: YamlDocument | undefined, pointer: string, message: string, key = false): Complaint {
  // A server that names a document it was not sent is a bug of ours; its words still reach the reader.
  if (!document) return { file: '-', line: 1, col: 1, path: dotted(pointer), message };
  return { file: document.file, ...document.position(pointer, key), path: dotted(pointer), message };
}

/** The same thing declared twice: which of the two would count? */
function twice(documents: readonly YamlDocument[]): Complaint[] {
  const first = new Map<string, YamlDocument>();
  return documents.flatMap((document) => {
    if (!isDeclaration(document.value)) return [];
    const { kind, name } = document.value;
    const key = `${kind}/${name}`;
    const earlier = first.get(key);
    if (!earlier) {
      first.set(key, document);
      return [];
    }
    const where = `${earlier.file}:${earlier.position('/name').line}`;
    return [placed(document, '/name', `${kind} ${name} is declared at ${where} already; keep one of them`)];
  });
}
