/** Programs of the administrator's that this host runs as root: trackers and notify hooks. Only what lies in one directory that is root's. */
import { spawn } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../base/error.ts';
import type { Milliseconds } from '../base/units.ts';

/** Characters of its complaints that are kept. */
const WORDS = 500;
/** ms: its words may come in after its end; what it left running in the background may hold them open for ever. */
const GRACE = 100;

/** It was not run, or did not do what it was for; the text says which. */
export class ScriptFailed extends GodwitError {
  constructor(text: string, options?: { cause?: unknown }) {
    super('AGENT_SCRIPT', text, options);
  }
}

export type RunScript = (name: string, args: readonly string[], timeout: Milliseconds, signal?: AbortSignal) => Promise<void>;

/**
 * Runs `name` of `directory` and waits for its end; SIGKILL to its whole process group after `timeout` or on `signal`. Its first words on
 * stderr are in the error. Rejects with ScriptFailed: missing, not safe to run, ended with another code than 0, or not in time.
 */
export const scriptsOf = (directory: string): RunScript => async (name, args, timeout, signal) => {
  const path = join(directory, name);
  for (const part of [directory, path]) checkSafe(part, part === path);
  const child = spawn(path, args, {
    stdio: ['ignore', 'ignore', 'pipe'], detached: true, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }, cwd: '/',
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(0, WORDS);
  });
  const said = new Promise<void>((resolve) => void child.stderr.once('close', resolve));
  let late = false;
  const kill = (): void => {
    if (child.pid === undefined || child.exitCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  };
  let grace: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, timeout);
  signal?.addEventListener('abort', kill, { once: true });
  try {
    const code = await new Promise<number | string>((resolve, reject) => {
      child.once('error', (cause) => reject(new ScriptFailed(`${path} could not be run`, { cause })));
      // Not `close`: what it left running in the background may hold the pipe.
      child.once('exit', (exit, by) => resolve(exit ?? by ?? 'unknown'));
    });
    if (late) throw new ScriptFailed(`${path} did not end within ${timeout} ms and was killed`);
    if (code !== 0) await Promise.race([said, new Promise<void>((resolve) => void (grace = setTimeout(resolve, GRACE)))]);
    if (code !== 0) throw new ScriptFailed(`${path} ended with ${code}${words.trim() === '' ? '' : `: ${words.trim()}`}`);
  } finally {
    clearTimeout(timer);
    clearTimeout(grace);
    signal?.removeEventListener('abort', kill);
    child.stderr.destroy();
  }
};

/** What others than root may change would be theirs to run as root. */
function checkSafe(path: string, isScript: boolean): void {
  let found;
  try {
    found = lstatSync(path);
  } catch (cause) {
    throw new ScriptFailed(`${path} is not there: put the script there, owned by root and writable by nobody else`, { cause });
  }
  const { uid, mode } = found;
  if (isScript ? !found.isFile() : !found.isDirectory()) throw new ScriptFailed(`${path} is no ${isScript ? 'regular file' : 'directory'}: links are not followed`);
  if (uid !== (process.getuid?.() ?? 0)) throw new ScriptFailed(`${path} belongs to user ${uid}, not to root: chown root ${path}`);
  if ((mode & 0o022) !== 0) throw new ScriptFailed(`${path} may be changed by others than its owner: chmod go-w ${path}`);
  if (isScript && (mode & 0o100) === 0) throw new ScriptFailed(`${path} is not executable: chmod u+x ${path}`);
}
