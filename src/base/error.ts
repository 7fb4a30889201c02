/**
 * base/: what every room may use: the error base class, units, exhaustiveness. No domain, no I/O.
 *
 * Every failure that Godwit reports is a GodwitError: a stable `code` for programs, a short text for people that names
 * what was wrong and what to do, and the `cause` it wraps. The cause's words are never repeated in the outer text;
 * `formatError` prints the whole chain once, at the edge.
 */

export class GodwitError extends Error {
  /** Stable, upper case, prefixed by the room: `HOST_NO_SUCH_LINK`, `QMP_TIMEOUT`. Listed in docs/ERRORS.md. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** The chain of an error, outermost first, each with its code: `text [CODE]: inner text [CODE]`. */
export function formatError(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error, depth = 0; e !== undefined && depth < 8; depth++) {
    if (e instanceof Error) {
      const code = 'code' in e && typeof e.code === 'string' ? ` [${e.code}]` : '';
      parts.push(`${e.message}${code}`);
      e = e.cause;
    } else {
      parts.push(typeof e === 'string' ? e : JSON.stringify(e) ?? typeof e);
      break;
    }
  }
  return parts.join(': ');
}

/** For the default branch of an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new GodwitError('BASE_UNREACHABLE', `A case nobody handles: ${JSON.stringify(value)}`);
}
