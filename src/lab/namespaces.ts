/** Network namespaces of a lab, by iproute2: making and removing a named one is a mount, not netlink. */
import { execFileSync } from 'node:child_process';
import { Host } from '../host/host.ts';
import { writeSysctl } from '../host/sysctl.ts';
import type { Native } from '../native/native.ts';

/** Of each: no duplicate address detection, no router solicitations. */
const QUIET: readonly (readonly [string, number])[] = [
  ['ipv6/conf/default/accept_dad', 0], ['ipv6/conf/all/accept_dad', 0], ['ipv6/conf/default/router_solicitations', 0],
];

export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Those of one lab, named `PREFIX-…`, with a Host in each. */
export class Namespaces {
  readonly #native: Native;
  readonly #prefix: string;
  readonly #names: string[] = [];
  readonly #open: { close(): void }[] = [];

  constructor(native: Native, prefix: string) {
    this.#native = native;
    this.#prefix = prefix;
  }

  /** Its name, of a host of the lab. */
  of(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  /** A new one, `lo` up; `settings` are paths below /proc/sys/net. */
  host(name: string, settings: readonly (readonly [string, number])[] = []): Host {
    const namespace = this.of(name);
    ip('netns', 'add', namespace);
    this.#names.push(namespace);
    const netns = this.#native.openNetns(namespace);
    this.#open.push(netns);
    const host = new Host(name, this.#native, netns);
    this.#open.push(host);
    host.links.set(host.links.get('lo').index, { up: true });
    for (const [setting, value] of [...QUIET, ...settings]) writeSysctl(host, setting, value);
    return host;
  }

  /** SIGKILL to every process in them. */
  endProcesses(): void {
    for (const name of this.#names) endProcessesIn(name);
  }

  /** Lets go of them, and leaves them as they are. */
  leave(): void {
    for (const thing of this.#open.splice(0)) thing.close();
    this.#names.splice(0);
  }

  /** Removes them. No process may be left in them: it would keep its namespace alive. */
  close(): void {
    for (const thing of this.#open.splice(0)) thing.close();
    for (const name of this.#names.splice(0)) ip('netns', 'del', name);
  }
}

/** SIGKILL to every process in the namespace, and to what they start meanwhile. */
export function endProcessesIn(namespace: string): void {
  const pids = (): number[] => ip('netns', 'pids', namespace).split('\n').filter(Boolean).map(Number);
  // A daemon may be starting a QEMU at this very moment.
  for (let left = pids(), tries = 0; left.length > 0 && tries < 50; left = pids(), tries++) {
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        continue; // it has ended
      }
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}
