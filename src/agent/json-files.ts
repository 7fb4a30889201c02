/** Files of JSON on the agent's disk that are wanted anew from the server where they are lost. */
import { formatError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Disk } from '../host/disk.ts';

/** Undefined: there is none, or it cannot be read, which is told to the log. */
export function readJson(disk: Disk, log: Log, path: string): unknown {
  const data = disk.read(path);
  if (!data) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch (error) {
    log.error({ path, error: formatError(error) }, 'A file of the agent\'s state directory could not be read; it is passed over');
    return undefined;
  }
}

/** What cannot be written is in force all the same: the server says it again at every start. */
export function writeJson(disk: Disk, log: Log, path: string, value: unknown): void {
  try {
    disk.write(path, new TextEncoder().encode(`${JSON.stringify(value)}\n`));
  } catch (error) {
    log.warn({ path, error: formatError(error) }, 'What is wanted of this host, or was done on it, could not be written down');
  }
}
