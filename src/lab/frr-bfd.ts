/**
 * FRR's bfdd, with its zebra, in a lab's namespace. Version 8.4 has no authentication: neither words for it in its configuration nor
 * code, and it drops whatever has the A bit.
 */
import { type ChildProcess, execFile, execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Host } from '../host/host.ts';
import { endFrrDaemon, frrDaemon, frrDirectory } from './frr-daemon.ts';

const run = promisify(execFile);

/** As users who want it quick run it (chrt(1)). */
const REALTIME = ['chrt', '--all-tasks', '--rr', '--pid', '50'] as const;

/** A session as bfdd is told of it. Times in whole ms: it takes 10 and more. */
export interface FrrBfdPeer {
  readonly peer: string;
  readonly way:
    | { readonly hops: 'single'; readonly interface: string; readonly local?: string }
    | { readonly hops: 'multi'; readonly local: string; readonly minTtl: number };
  readonly interval: number;
  readonly multiplier: number;
  /** It sends echoes so often; it would receive them as often. */
  readonly echo?: number;
}

/** Of `show bfd peers json`; intervals in ms. */
export interface FrrBfdStatus {
  readonly peer: string;
  readonly status: 'up' | 'down' | 'init' | 'shutdown';
  readonly diagnostic: string;
  readonly 'remote-diagnostic': string;
  readonly 'receive-interval': number;
  readonly 'transmit-interval': number;
  readonly 'echo-transmit-interval': number;
  readonly 'remote-receive-interval': number;
  readonly 'remote-transmit-interval': number;
  readonly 'remote-detect-multiplier': number;
}

/** Of `show bfd peers counters json`. */
export interface FrrBfdCounters {
  readonly peer: string;
  readonly 'control-packet-input': number;
  readonly 'control-packet-output': number;
  readonly 'echo-packet-input': number;
  readonly 'echo-packet-output': number;
  readonly 'session-up': number;
  readonly 'session-down': number;
}

export class FrrBfdd {
  /** Of bfdd. */
  readonly pid: number;
  readonly #children: readonly ChildProcess[];
  readonly #directory: string;
  readonly #peers: readonly FrrBfdPeer[];

  private constructor(children: readonly ChildProcess[], pid: number, directory: string, peers: readonly FrrBfdPeer[]) {
    this.#children = children;
    this.pid = pid;
    this.#directory = directory;
    this.#peers = peers;
  }

  /** Resolves when it runs; not when its sessions are up. Rejects with LAB_NO_FRR, LAB_PEER_ENDED. */
  static async start(host: Host, labDirectory: string, peers: readonly FrrBfdPeer[], { realtime = true } = {}): Promise<FrrBfdd> {
    const directory = join(labDirectory, `frr-${host.name}`);
    rmSync(directory, { recursive: true, force: true });
    frrDirectory(directory);
    const file = (name: string): string => join(directory, `${name}.conf`);
    writeFileSync(file('zebra'), '');
    writeFileSync(file('bfdd'), configuration(peers));
    const children = [await frrDaemon(host, directory, 'zebra', file('zebra'))];
    try {
      const bfdd = await frrDaemon(host, directory, 'bfdd', file('bfdd'), ['--bfdctl', join(directory, 'bfdd.sock')]);
      children.unshift(bfdd);
      const { pid = 0 } = bfdd;
      if (realtime) execFileSync(REALTIME[0], [...REALTIME.slice(1), String(pid)]);
      return new FrrBfdd(children, pid, directory, peers);
    } catch (error) {
      for (const child of children) child.kill('SIGKILL');
      throw error;
    }
  }

  /** Its own word of each session, by the peer's address. */
  async status(): Promise<Readonly<Record<string, FrrBfdStatus>>> {
    // The shape is FRR 8.4's.
    const peers = JSON.parse(await this.#vtysh('show bfd peers json')) as readonly FrrBfdStatus[];
    return Object.fromEntries(peers.map((one) => [one.peer, one]));
  }

  async counters(): Promise<Readonly<Record<string, FrrBfdCounters>>> {
    // The shape is FRR 8.4's.
    const peers = JSON.parse(await this.#vtysh('show bfd peers counters json')) as readonly FrrBfdCounters[];
    return Object.fromEntries(peers.map((one) => [one.peer, one]));
  }

  /** AdminDown, or that no more. */
  async shutdown(peer: string, down: boolean): Promise<void> {
    const known = this.#peers.find((one) => one.peer === peer);
    if (!known) throw new Error(`bfdd has no peer ${peer}`);
    await this.#vtysh('configure terminal', 'bfd', name(known), `${down ? '' : 'no '}shutdown`);
  }

  async stop(): Promise<void> {
    for (const child of this.#children) await endFrrDaemon(child);
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  async #vtysh(...commands: readonly string[]): Promise<string> {
    const words = commands.flatMap((command) => ['-c', command]);
    const { stdout } = await run('vtysh', ['--vty_socket', this.#directory, ...words], { maxBuffer: 16 << 20 });
    return stdout;
  }
}

function name({ peer, way }: FrrBfdPeer): string {
  if (way.hops === 'multi') return `peer ${peer} multihop local-address ${way.local}`;
  return `peer ${peer}${way.local === undefined ? '' : ` local-address ${way.local}`} interface ${way.interface}`;
}

function configuration(peers: readonly FrrBfdPeer[]): string {
  const lines = peers.flatMap((one) => {
    const { way, interval, multiplier, echo } = one;
    return [
      ` ${name(one)}`, `  detect-multiplier ${multiplier}`, `  receive-interval ${interval}`, `  transmit-interval ${interval}`,
      ...(way.hops === 'multi' ? [`  minimum-ttl ${way.minTtl}`] : []),
      ...(echo === undefined ? [] : [`  echo transmit-interval ${echo}`, `  echo receive-interval ${echo}`, '  echo-mode']), ' exit',
    ];
  });
  return `bfd\n${lines.join('\n')}\nexit\n`;
}
