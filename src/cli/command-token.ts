/** `godwit token create`. */
import type { Api } from '../api/api.ts';
import { parseDuration } from '../model/quantity.ts';
import { usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { formatTime } from './age.ts';
import { type Io, print, say } from './io.ts';

export async function createToken(api: Api, io: Io, ttl: string): Promise<ExitCode> {
  const { token, expiresAt } = await api.createToken(parseTtl(ttl));
  print(io, token);
  say(io, `For one host, until ${formatTime(expiresAt)}. There: godwit agent join https://SERVER:7443 --token TOKEN --address ITS-ADDRESS`);
  return exitCodes.fine;
}

/** How long a token may live is for the server to say. */
function parseTtl(text: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw usageError(`--ttl ${JSON.stringify(text)} is no time: write 30m or 1h`);
  }
}
