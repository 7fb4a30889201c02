/** One agent per state directory. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { lockFile } from '../host/file-lock.ts';
import { AgentAlreadyRuns } from './errors.ts';

/** Until what it returns is called, or the process ends. Throws AgentAlreadyRuns. */
export function lockStateDirectory(stateDir: string): () => void {
  mkdirSync(join(stateDir, 'agent'), { recursive: true, mode: 0o700 });
  return lockFile(join(stateDir, 'agent', 'lock'), (cause) => new AgentAlreadyRuns(stateDir, cause));
}
