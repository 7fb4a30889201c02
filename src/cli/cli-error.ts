/** Failures of the program itself, and how all failures are printed. */
import { ApiError } from '../api/api.ts';
import { GodwitError, formatError } from '../base/error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';

export class CliError extends GodwitError {
  readonly exit: ExitCode;

  constructor(exit: ExitCode, code: string, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
    this.exit = exit;
  }
}

export const usageError = (message: string): CliError => new CliError(exitCodes.usage, 'CLI_USAGE', message);

/** HTTP's status decides for what the server said; 0 is the client's own word for a server that does not answer. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exit;
  // A word that was mistyped or cut, told before anybody was asked.
  if (error instanceof GodwitError && error.code === 'TRUST_TOKEN_MALFORMED') return exitCodes.usage;
  if (!(error instanceof ApiError)) return exitCodes.failed;
  if (error.status === 0) return error.code === 'API_ADDRESS' ? exitCodes.usage : exitCodes.unreachable;
  if (error.status === 404) return exitCodes.notFound;
  return error.status === 400 || error.status === 422 ? exitCodes.usage : exitCodes.failed;
}

/** `error: text [CODE]`, and a line per fault that the server found. */
export function printError(io: Io, error: unknown): void {
  io.err.write(`error: ${formatError(error)}\n`);
  if (!(error instanceof ApiError)) return;
  for (const { path, message } of error.faults) io.err.write(`  ${path === '' ? '' : `${path}: `}${message}\n`);
}
