/** FRR's vrrpd, with its zebra, in a lab's namespace, from RouterPlans. */
import { type ChildProcess, execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RouterPlan } from '../model/virtual-router.ts';
import { endFrrDaemon, frrDaemon, frrDirectory } from './frr-daemon.ts';
import { ip } from './namespaces.ts';
import type { LabRouter } from './vrrp-lab.ts';
import type { VrrpPeer } from './vrrp-peer.ts';

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
    frrDirectory(directory);
    for (const plan of plans) macvlan(router, plan);
    const file = (name: string): string => join(directory, `${name}.conf`);
    writeFileSync(file('zebra'), '');
    writeFileSync(file('vrrpd'), configuration(plans));
    const zebra = await frrDaemon(router.host, directory, 'zebra', file('zebra'));
    try {
      return new FrrVrrpd([await frrDaemon(router.host, directory, 'vrrpd', file('vrrpd')), zebra], directory, plans);
    } catch (error) {
      zebra.kill('SIGKILL');
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const child of this.#children) await endFrrDaemon(child);
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
