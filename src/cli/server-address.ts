/** Where the server is, as options and environment say. */
import { usageError } from './cli-error.ts';
import { defaultRunDir } from './daemon-options.ts';

export type ServerLocation =
  | { readonly socketPath: string }
  /** `identity`: the directory with ca.pem, cert.pem and key.pem. */
  | { readonly url: string; readonly identity: string };

export interface LocationOptions {
  readonly socket?: string | undefined;
  readonly server?: string | undefined;
  readonly identity?: string | undefined;
}

export const defaultSocket = `${defaultRunDir}/godwit.sock`;

/** Options before the environment, `--server` before the socket. Throws CLI_USAGE. */
export function locateServer(
  { socket, server, identity }: LocationOptions, env: Readonly<Record<string, string | undefined>>,
): ServerLocation {
  if (socket !== undefined && server !== undefined) throw usageError('--socket and --server name two servers: give one of them');
  if (socket !== undefined) return { socketPath: socket };
  const url = server ?? (env['GODWIT_SERVER'] || undefined);
  if (url === undefined) return { socketPath: env['GODWIT_SOCKET'] || defaultSocket };
  const directory = identity ?? (env['GODWIT_IDENTITY'] || undefined);
  if (directory === undefined) throw usageError(`To reach ${url} you need a certificate: add --identity DIR, or set GODWIT_IDENTITY`);
  return { url, identity: directory };
}
