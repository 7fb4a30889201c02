/** `godwit apply`: all of it or nothing, and every complaint at once, each with its file, line and column. */
import { type Api, ApiError } from '../api/api.ts';
import { Documents } from './documents.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print } from './io.ts';
import { reference } from './kinds.ts';

/** `files`: paths, or `-` for stdin. */
export async function apply(api: Api, io: Io, files: readonly string[], options: { readonly dryRun: boolean }): Promise<ExitCode> {
  const documents = await Documents.read(io, files, 'applied');
  const refused = documents.refused(io);
  if (refused !== undefined) return refused;
  try {
    const applied = await api.apply(documents.declarations, { dryRun: options.dryRun });
    for (const { kind, name, change } of applied) print(io, `${reference(kind, name)} ${change}${options.dryRun ? ' (dry run)' : ''}`);
    return exitCodes.fine;
  } catch (error) {
    if (!(error instanceof ApiError) || error.faults.length === 0) throw error;
    return documents.refuse(io, error.faults, error.code);
  }
}
