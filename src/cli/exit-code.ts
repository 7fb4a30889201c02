/** How the program ends, for scripts. The same table is in `godwit --help`. */
export const exitCodes = { fine: 0, failed: 1, usage: 2, unreachable: 3, notFound: 4, cancelled: 5 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeHelp = `Exit codes:
  0  done
  1  failed: refused, or a move was taken back
  2  bad usage or bad input; nothing was done
  3  the server cannot be reached
  4  there is no such thing
  5  cancelled: the move was taken back because somebody asked for it, or you left while that was under way`;
