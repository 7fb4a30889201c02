/** `godwit token create`. */
import type { Api } from '../api/api.ts';
import { parseDuration } from '../model/quantity.ts';
import { usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { formatTime } from './age.ts';
import { type Io, print, say } from './io.ts';

const LONGEST = 24 * 3_600_000;

export async function createToken(api: Api, io: Io, ttl: string): Promise<ExitCode> {
  const { token, expiresAt } = await api.createToken(parseTtl(ttl));
  print(io, token);
  say(io, `For one host, until ${formatTime(expiresAt)}. There: godwit agent join https://SERVER:7443 --token TOKEN --address ITS-ADDRESS`);
  return exitCodes.fine;
}

function parseTtl(text: string): number {
  let ttl: number;
  try {
    ttl = parseDuration(text);
  } catch {
    throw usageError(`--ttl ${JSON.stringify(text)} is no time: write 30m or 1h`);
  }
  if (ttl < 1000 || ttl > LONGEST) throw usageError(`--ttl ${text}: a token lives from 1s to 24h`);
  return ttl;
}
