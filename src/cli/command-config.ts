/** `godwit config check`: all that `apply` would refuse, and what is worth a second thought. */
import { type Api, ApiError } from '../api/api.ts';
import { Documents } from './documents.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print } from './io.ts';
import { count } from './text.ts';

export type Checker = Pick<Api, 'check'>;

/** By the files alone, no server asked. */
export function offlineChecker(io: Io): Checker {
  return { check: async (documents) => (await import('../control/offline-check.ts')).checkOffline(documents, io.clock.now()) };
}

/** `files`: paths, or `-` for stdin. */
export async function checkConfig(checker: Checker, io: Io, files: readonly string[]): Promise<ExitCode> {
  const documents = await Documents.read(io, files, 'checked');
  const refused = documents.refused(io);
  if (refused !== undefined) return refused;
  try {
    const warnings = await checker.check(documents.declarations);
    documents.warn(io, warnings);
    const odd = warnings.length > 0 ? `, ${count(warnings.length, 'warning')}` : '';
    print(io, `${count(documents.declarations.length, 'document')}, no complaints${odd}`);
    return exitCodes.fine;
  } catch (error) {
    if (!(error instanceof ApiError) || error.faults.length === 0) throw error;
    return documents.refuse(io, error.faults, error.code);
  }
}
