/** `godwit`, with the real world in its hands. The only place that knows them all, the lab too, which is loaded when it is asked for. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from './native/system-clock.ts';
import { formatError } from './base/error.ts';
import type { Daemons } from './cli/daemon-options.ts';
import { exitCodes } from './cli/exit-code.ts';
import { type Io, say } from './cli/io.ts';
import { type Connect, runProgram } from './cli/program.ts';

const io: Io = {
  out: process.stdout, err: process.stderr, env: process.env, clock: systemClock,
  read: (path) => (path === '-' ? text(process.stdin) : readFile(path, 'utf8')),
  onKeys,
  onInterrupt: (listener) => {
    process.on('SIGINT', listener);
    return () => void process.off('SIGINT', listener);
  },
  onEnd: (listener) => {
    const ends = ['SIGTERM', 'SIGHUP', 'exit'] as const;
    for (const end of ends) process.on(end, listener);
    return () => ends.forEach((end) => process.off(end, listener));
  },
};

/** A terminal gives every key at once and acts on none itself. */
function onKeys(listener: (bytes: Uint8Array) => void): () => void {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', listener).resume();
  return () => {
    stdin.off('data', listener).pause();
    if (stdin.isTTY) stdin.setRawMode(false);
  };
}

const connect: Connect = async (where) => {
  const { HttpClient } = await import('./api/client.ts');
  const onLost = (error: unknown): void => say(io, `${formatError(error)}. Trying again.`);
  if ('socketPath' in where) {
    const api = new HttpClient(where, { onLost });
    return { api, close: () => api.close() };
  }
  const { readIdentity } = await import('./trust/identity.ts');
  const api = new HttpClient({ url: where.url, identity: await readIdentity(where.identity) }, { onLost });
  return { api, close: () => api.close() };
};

const daemons: Daemons = {
  init: async (options) => (await import('./control/main.ts')).runInit(options),
  server: async (options) => (await import('./control/main.ts')).runServer(options),
  agent: async (options) => (await import('./agent/main.ts')).runAgent(options),
  join: async (options) => (await import('./agent/main.ts')).runJoin(options),
  pulse: async (options) => (await import('./pulse/main.ts')).runPulse(options),
  endPulse: async ({ runDir }) => (await import('./pulse/pulse-spawn.ts')).endPulse(runDir),
  labUp: async (options) => (await import('./lab/cluster-command.ts')).labUp(options),
  labDown: async () => (await import('./lab/cluster-command.ts')).labDown(),
};

async function version(): Promise<string> {
  const found: unknown = JSON.parse(await readFile(join(import.meta.dirname, '../package.json'), 'utf8'));
  return typeof found === 'object' && found !== null && 'version' in found ? String(found.version) : 'unknown';
}

// Whoever read our output has gone (`| head`): there is nobody left to work for. A move that was waited for goes on.
process.stdout.on('error', () => process.exit(exitCodes.failed));

process.exitCode = await runProgram(process.argv.slice(2), { io, connect, daemons, version: await version() });
