/** One of FRR's daemons in a namespace of the lab, with its sockets and files in a directory of the lab's. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';

const DAEMONS = '/usr/lib/frr';
const PATIENCE = 10_000;

/** Throws LAB_NO_FRR. */
export function frrDirectory(directory: string): void {
  if (!existsSync(join(DAEMONS, 'zebra'))) throw new GodwitError('LAB_NO_FRR', 'There is no FRR: run `sh tools/setup.sh lab` as root');
  mkdirSync(directory, { recursive: true });
  // The daemons give root up at once, for the user and group of their package, and must reach their sockets all the same.
  chmodSync(dirname(directory), 0o711);
  execFileSync('chown', ['frr:frrvty', directory]);
}

/** Resolves when it can be asked; rejects with LAB_PEER_ENDED. */
export async function frrDaemon(host: Host, directory: string, name: string, configuration: string, options: readonly string[] = []): Promise<ChildProcess> {
  const file = (suffix: string): string => join(directory, `${name}.${suffix}`);
  const log = openSync(file('log'), 'a');
  // Its console on a unix socket alone: -P 0 is no TCP port.
  const args = ['-f', configuration, '-z', join(directory, 'zserv'), '-i', file('pid'), '--vty_socket', directory, '-P', '0', '--log', 'stdout', ...options];
  const child = host.native.inNetns(host.netns, () => spawn(join(DAEMONS, name), args, { stdio: ['ignore', log, log], env: {} }));
  closeSync(log);
  child.on('error', () => undefined); // told by what follows: its socket does not come
  for (const deadline = performance.now() + PATIENCE; !existsSync(file('vty')); await pause(10)) {
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined && performance.now() < deadline) continue;
    child.kill('SIGKILL');
    throw new GodwitError('LAB_PEER_ENDED', `FRR's ${name} did not start: ${readFileSync(file('log'), 'utf8').split('\n').slice(-8).join('\n')}`);
  }
  return child;
}

/** Resolves when it has ended in good order. */
export async function endFrrDaemon(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
