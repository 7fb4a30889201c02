/** `godwit apply`: all of it or nothing, and every complaint at once, each with its file, line and column. */
import { type Api, ApiError, type Declaration } from '../api/api.ts';
import { checkDocument } from '../api/check-document.ts';
import { CliError, usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, say } from './io.ts';
import { reference } from './kinds.ts';
import { count } from './text.ts';
import { type Complaint, type YamlDocument, dotted, parseYaml } from './yaml-document.ts';

/** `files`: paths, or `-` for stdin. */
export async function apply(api: Api, io: Io, files: readonly string[], options: { readonly dryRun: boolean }): Promise<ExitCode> {
  const documents: YamlDocument[] = [];
  const complaints: Complaint[] = [];
  const labels = files.map((path) => (path === '-' ? '<stdin>' : path));
  for (const [i, path] of files.entries()) {
    const parsed = parseYaml(labels[i] ?? path, await read(io, path));
    documents.push(...parsed.documents);
    complaints.push(...parsed.complaints);
  }
  for (const document of documents) complaints.push(...complaintsOf(document));
  complaints.push(...twice(documents));
  if (complaints.length > 0) return refuse(io, labels, complaints, 'CLI_BAD_DOCUMENT');
  if (documents.length === 0) throw usageError(`There is nothing to apply in ${files.join(', ')}: a document has kind, name and spec`);
  try {
    const applied = await api.apply(documents.map(({ value }) => value).filter(isDeclaration), { dryRun: options.dryRun });
    for (const { kind, name, change } of applied) print(io, `${reference(kind, name)} ${change}${options.dryRun ? ' (dry run)' : ''}`);
    return exitCodes.fine;
  } catch (error) {
    if (!(error instanceof ApiError) || error.faults.length === 0) throw error;
    return refuse(io, labels, error.faults.map((fault) => placed(documents[fault.document], fault.path, fault.message)), error.code);
  }
}

async function read(io: Io, path: string): Promise<string> {
  try {
    return await io.read(path);
  } catch (cause) {
    throw new CliError(exitCodes.usage, 'CLI_FILE_UNREADABLE', `${path} cannot be read; nothing was applied`, { cause });
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

/** In the order of `files`, as they were named. */
function refuse(io: Io, files: readonly string[], complaints: readonly Complaint[], code: string): ExitCode {
  const order = complaints.toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.col - b.col);
  for (const { file, line, col, path, message } of order) say(io, `${file}:${line}:${col}: ${path === '' ? '' : `${path}: `}${message}`);
  say(io, `error: ${count(complaints.length, 'complaint')}; nothing was applied [${code}]`);
  return exitCodes.usage;
}
