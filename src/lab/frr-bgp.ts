/** FRR in a namespace of the lab: daemons of its own, with sockets and files in the lab's directory. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GodwitError } from '../base/error.ts';
import type { Host } from '../host/host.ts';

const DAEMONS = '/usr/lib/frr';
const PATIENCE = 10_000;

export class FrrBgp {
  readonly #directory: string;
  readonly #children: readonly ChildProcess[];

  private constructor(directory: string, children: readonly ChildProcess[]) {
    this.#directory = directory;
    this.#children = children;
  }

  /** zebra and bgpd with this configuration, in the host's namespace; resolves when both can be asked. */
  static async start(host: Host, directory: string, configuration: string): Promise<FrrBgp> {
    if (!existsSync(join(DAEMONS, 'bgpd'))) throw new GodwitError('LAB_NO_FRR', 'There is no FRR: run `sh tools/setup.sh lab` as root');
    mkdirSync(directory, { recursive: true });
    // The daemons give up being root, and must reach their sockets all the same.
    chmodSync(dirname(directory), 0o711);
    execFileSync('chown', ['frr:frrvty', directory]);
    const config = join(directory, 'frr.conf');
    writeFileSync(config, configuration);
    const children = ['zebra', 'bgpd'].map((daemon) => host.native.inNetns(host.netns, () => spawn(join(DAEMONS, daemon), [
      '-f', config, '-z', join(directory, 'zserv'), '-i', join(directory, `${daemon}.pid`), '--vty_socket', directory, '-P', '0',
      // Without, zebra changes an IPv6 route by taking it away first.
      ...(daemon === 'zebra' ? ['--v6-rr-semantics'] : []), '--log', `file:${join(directory, `${daemon}.log`)}`,
    ], { stdio: 'ignore' })));
    const frr = new FrrBgp(directory, children);
    try {
      for (const daemon of ['zebra', 'bgpd']) await frr.#answers(daemon);
      return frr;
    } catch (error) {
      await frr.stop();
      throw error;
    }
  }

  /** vtysh's answer, of a `show … json`. */
  show(command: string): unknown {
    return JSON.parse(this.run(command));
  }

  run(command: string): string {
    return execFileSync('vtysh', ['--vty_socket', this.#directory, '-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }));
  }

  async #answers(daemon: string): Promise<void> {
    for (const deadline = performance.now() + PATIENCE; !existsSync(join(this.#directory, `${daemon}.vty`)); await pause(20)) {
      if (performance.now() < deadline) continue;
      const log = join(this.#directory, `${daemon}.log`);
      throw new GodwitError('LAB_NO_FRR', `FRR's ${daemon} did not begin: ${existsSync(log) ? readFileSync(log, 'utf8') : 'it wrote no log'}`);
    }
  }
}
