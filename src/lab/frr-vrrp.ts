/** FRR's vrrpd, with its zebra, in a lab's namespace, from RouterPlans. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { GodwitError } from '../base/error.ts';
import type { RouterPlan } from '../model/virtual-router.ts';
import { ip } from './topology.ts';
import type { LabRouter } from './vrrp-lab.ts';
import type { VrrpPeer } from './vrrp-peer.ts';

const DAEMONS = '/usr/lib/frr';
const run = promisify(execFile);

/** Of `show vrrp json`, for one family. */
interface FrrRouter {
  readonly stats: { readonly adverRx: number };
}
interface FrrVrrp {
  readonly vrid: number;
  readonly v4: FrrRouter;
  readonly v6: FrrRouter;
}

export class FrrVrrpd implements VrrpPeer {
  readonly program = 'frr';
  readonly #children: readonly ChildProcess[];
  readonly #directory: string;
  readonly #plans: readonly RouterPlan[];

  private constructor(children: readonly ChildProcess[], directory: string, plans: readonly RouterPlan[]) {
    this.#plans = plans;
    this.#children = children;
    this.#directory = directory;
  }

  /**
   * Resolves when it runs; not when it is Active. FRR makes no interface itself: one with the virtual MAC and the addresses has to be
   * there for each router, and is what it takes up and down (protodown).
   */
  static async start(router: LabRouter, labDirectory: string, plans: readonly RouterPlan[]): Promise<FrrVrrpd> {
    const directory = join(labDirectory, `frr-${router.name}`);
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    // The daemons give root up at once, for the user and group of their package.
    chmodSync(labDirectory, 0o711);
    execFileSync('chown', ['frr:frr', directory]);
    for (const plan of plans) macvlan(router, plan);
    writeFileSync(join(directory, 'zebra.conf'), '');
    writeFileSync(join(directory, 'vrrpd.conf'), configuration(plans));
    const zebra = await daemon(router, directory, 'zebra');
    try {
      return new FrrVrrpd([await daemon(router, directory, 'vrrpd'), zebra], directory, plans);
    } catch (error) {
      zebra.kill('SIGKILL');
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  /** It counts none of those that it refuses. */
  refused(): Promise<Record<string, never>> {
    return Promise.resolve({});
  }

  async taken(): Promise<Readonly<Record<string, number>>> {
    const { stdout } = await run('vtysh', ['--vty_socket', this.#directory, '-c', 'show vrrp json']);
    // The shape is FRR 8.4's.
    const routers = JSON.parse(stdout) as FrrVrrp[];
    return Object.fromEntries(this.#plans.map(({ name, vrid, family }) => [name, routers.find((router) => router.vrid === vrid)?.[`v${family}`].stats.adverRx ?? 0]));
  }
}

async function daemon({ host }: LabRouter, directory: string, name: 'zebra' | 'vrrpd'): Promise<ChildProcess> {
  const file = (suffix: string): string => join(directory, `${name}.${suffix}`);
  const log = openSync(file('log'), 'a');
  // Its console on a unix socket alone: -P 0 is no TCP port.
  const args = ['-z', join(directory, 'zserv.api'), '-i', file('pid'), '-f', file('conf'), '--vty_socket', directory, '-P', '0', '--log', 'stdout'];
  const child = host.native.inNetns(host.netns, () => spawn(join(DAEMONS, name), args, { stdio: ['ignore', log, log], env: {} }));
  closeSync(log);
  child.on('error', () => undefined); // told by what follows: its socket does not come
  for (let tries = 0; !existsSync(file('vty')); tries++) {
    if (child.exitCode !== null || child.pid === undefined || tries > 500) {
      child.kill('SIGKILL');
      throw new GodwitError('LAB_PEER_ENDED', `${name} did not start: ${readFileSync(file('log'), 'utf8').split('\n').slice(-8).join('\n')}`);
    }
    await pause(10);
  }
  return child;
}

function macvlan({ namespace, host }: LabRouter, { family, vrid, device, addresses }: RouterPlan): void {
  const name = `vrrp${family}-${vrid}`;
  const mac = `00:00:5e:00:0${family === 4 ? 1 : 2}:${vrid.toString(16).padStart(2, '0')}`;
  const left = host.links.list().find((link) => link.name === name);
  if (left) host.links.delete(left.index);
  ip('-n', namespace, 'link', 'add', name, 'link', device, 'address', mac, 'type', 'macvlan', 'mode', 'bridge');
  ip('-n', namespace, 'link', 'set', name, 'addrgenmode', family === 4 ? 'none' : 'random');
  for (const { address, prefixLength } of addresses) ip('-n', namespace, 'address', 'add', `${address}/${prefixLength}`, 'dev', name, ...(family === 6 ? ['nodad'] : []));
  ip('-n', namespace, 'link', 'set', name, 'up');
}

function configuration(plans: readonly RouterPlan[]): string {
  const lines = plans.flatMap(({ vrid, version, priority, interval, preempt, family, addresses }) => [
    ` vrrp ${vrid} version ${version}`, ` vrrp ${vrid} priority ${priority}`, ` vrrp ${vrid} advertisement-interval ${interval}`,
    ` ${preempt ? '' : 'no '}vrrp ${vrid} preempt`, ...addresses.map(({ address }) => ` vrrp ${vrid} ${family === 4 ? 'ip' : 'ipv6'} ${address}`),
  ]);
  return `frr defaults traditional\ninterface ${plans[0]?.device ?? 'lan'}\n${lines.join('\n')}\nexit\n`;
}
