/** FRR in a namespace of the lab: daemons of its own, with sockets and files in the lab's directory. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import { endFrrDaemon, frrDaemon, frrDirectory } from './frr-daemon.ts';

export class FrrBgp {
  readonly #directory: string;
  readonly #children: ChildProcess[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** zebra and bgpd with this configuration, in the host's namespace; resolves when both can be asked. */
  static async start(host: Host, directory: string, configuration: string): Promise<FrrBgp> {
    frrDirectory(directory);
    const file = join(directory, 'frr.conf');
    writeFileSync(file, configuration);
    const frr = new FrrBgp(directory);
    try {
      // Without this option, zebra changes an IPv6 route by taking it away first.
      frr.#children.push(await frrDaemon(host, directory, 'zebra', file, ['--v6-rr-semantics']));
      frr.#children.push(await frrDaemon(host, directory, 'bgpd', file));
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
    await Promise.all(this.#children.map(endFrrDaemon));
  }
}
