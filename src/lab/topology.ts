/**
 * lab/: a whole cluster on one machine: network namespaces for hosts, switch and client, real taps, real QEMU, real kernel.
 *
 *   client ── switch ═╦═ h1      one bridge in the switch per network (`a`, `b`), one uplink per host and network;
 *                     ╠═ h2      a network `m` between the hosts alone, for migration and tunnels; on demand
 *                     ╚═ h3      a second one, `n`: the hosts' path `second`.
 *
 * Everything is in namespaces named `gwl-<pid>-<n>-…`, which `close` removes; `sweep` removes those of dead processes.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import { runningQemu } from '../vm/qemu.ts';
import type { Native } from '../native/native.ts';
import { type IpAddress, parseIpAddress } from '../wire/ip-address.ts';
import { Namespaces, endProcessesIn, ip } from './namespaces.ts';

export type Network = 'a' | 'b';

export interface LabOptions {
  readonly hosts: number;
  readonly networks: readonly Network[];
  /** Of the migration network, bytes: 1500 makes tunnels of 1500-byte VM networks fragment, as on most sites. */
  readonly migrationMtu?: number;
  /** The hosts have a second path to each other, which the server has not. */
  readonly secondPath?: boolean;
  /** One more namespace, on the migration network alone. */
  readonly server?: boolean;
  /** Instead of this process's number in its names: such a lab is nobody's orphan, and stays until it is ended by its name. */
  readonly name?: string;
}

export interface LabHost {
  readonly name: string;
  readonly host: Host;
  /** On the migration network. */
  readonly address: IpAddress;
  readonly namespace: string;
  /** Its addresses on further paths, by name (model/host.ts). */
  readonly paths: Readonly<Record<string, IpAddress>>;
}

/** Of `LabOptions.secondPath`. */
export const SECOND_PATH = 'second';

const PREFIX = 'gwl';
const networkNumber: Readonly<Record<Network, number>> = { a: 77, b: 78 };
let made = 0;

/** The addresses of the lab: 10.77.0.N/24 and fd77::N/64 on network `a`, 10.78.0.N and fd78::N on `b`. */
export function labAddresses(network: Network, n: number): { v4: IpAddress; v6: IpAddress } {
  const net = networkNumber[network];
  return { v4: parseIpAddress(`10.${net}.0.${n}`), v6: parseIpAddress(`fd${net}::${n}`) };
}

export const CLIENT = 100;

export class Lab {
  readonly hosts: readonly LabHost[];
  readonly server: LabHost | undefined;
  readonly client: Host;
  readonly clientNamespace: string;
  /** Its bridge of network `a` is `br-a`, with the ports `a-h1`, `a-h2`, …, `a-client`. */
  readonly switch: Host;
  readonly switchNamespace: string;
  /** Of this lab's own files: sockets, logs, journals. */
  readonly directory: string;
  readonly #namespaces: Namespaces;

  constructor(native: Native, options: LabOptions) {
    const prefix = options.name === undefined ? `${PREFIX}-${process.pid}-${++made}` : `${PREFIX}-${options.name}`;
    const own = new Namespaces(native, prefix);
    this.#namespaces = own;
    if (options.name === undefined) this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
    else mkdirSync((this.directory = join(tmpdir(), prefix)), { mode: 0o700 });
    try {
      const networkBridge = (network: Network | 'm' | 'n'): string => `br-${network}`;
      const networks: readonly (Network | 'm' | 'n')[] = [...options.networks, 'm', ...(options.secondPath ? ['n' as const] : [])];
      this.switchNamespace = own.of('sw');
      const sw = own.host('sw');
      this.switch = sw;
      for (const network of networks) up(sw, networkBridge(network), 'bridge');
      const cable = (to: Host, name: string, network: Network | 'm' | 'n', mtu: number): void => {
        const port = `${network}-${to.name}`;
        sw.links.createVeth({ name: port, netns: sw.netns, mtu }, { name, netns: to.netns, mtu });
        sw.links.set(sw.links.get(port).index, { master: sw.links.get(networkBridge(network)).index, up: true, noIpv6Address: true });
        to.links.set(to.links.get(name).index, { up: true, noIpv6Address: network !== 'm' && network !== 'n' && to.name !== 'client' });
      };

      this.hosts = Array.from({ length: options.hosts }, (_, i) => {
        const name = `h${i + 1}`;
        const host = own.host(name);
        for (const network of options.networks) {
          const bridge = up(host, networkBridge(network), 'bridge');
          cable(host, `up-${network}`, network, 1500);
          host.links.set(host.links.get(`up-${network}`).index, { master: bridge });
        }
        cable(host, 'mig', 'm', options.migrationMtu ?? 1500);
        const address = parseIpAddress(`10.79.0.${i + 1}`);
        host.addresses.add(host.links.get('mig').index, address, 24);
        if (!options.secondPath) return { name, host, address, namespace: own.of(name), paths: {} };
        cable(host, 'mig2', 'n', options.migrationMtu ?? 1500);
        const second = parseIpAddress(`10.80.0.${i + 1}`);
        host.addresses.add(host.links.get('mig2').index, second, 24);
        return { name, host, address, namespace: own.of(name), paths: { [SECOND_PATH]: second } };
      });

      if (options.server) {
        const host = own.host('server');
        cable(host, 'mig', 'm', options.migrationMtu ?? 1500);
        const address = parseIpAddress('10.79.0.250');
        host.addresses.add(host.links.get('mig').index, address, 24);
        this.server = { name: 'server', host, address, namespace: own.of('server'), paths: {} };
      }

      this.clientNamespace = own.of('client');
      this.client = own.host('client');
      for (const network of options.networks) {
        cable(this.client, `eth-${network}`, network, 1500);
        const { index } = this.client.links.get(`eth-${network}`);
        const { v4, v6 } = labAddresses(network, CLIENT);
        this.client.addresses.add(index, v4, 24);
        this.client.addresses.add(index, v6, 64);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Leaves everything as it is and lets go of it. */
  leave(): void {
    this.#namespaces.leave();
  }

  /** Every process in the lab's namespaces: QEMUs, which outlive their starter by design. */
  endProcesses(): void {
    this.#namespaces.endProcesses();
  }

  /** Removes every namespace and file of the lab. The VMs must have ended before: a process keeps its namespace alive. */
  close(): void {
    this.#namespaces.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Ends the lab of this name and removes all of it; false when there is none. */
export function endLab(name: string): boolean {
  const prefix = `${PREFIX}-${name}`;
  const mine = namespaces().filter((namespace) => namespace.startsWith(`${prefix}-`));
  const directory = join(tmpdir(), prefix);
  const there = mine.length > 0 || existsSync(directory);
  for (const namespace of mine) {
    endProcessesIn(namespace);
    ip('netns', 'del', namespace);
  }
  rmSync(directory, { recursive: true, force: true });
  return there;
}

/** Removes what labs left behind whose process was killed: QEMUs, which outlive their starter by design, namespaces, files. */
export function sweep(): void {
  const orphaned = (name: string): boolean => {
    const owner = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    return owner !== undefined && !alive(Number(owner));
  };
  for (const folder of readdirSync(tmpdir()).filter(orphaned)) {
    const path = join(tmpdir(), folder);
    for (const run of readdirSync(path, { withFileTypes: true })) {
      const pid = run.isDirectory() ? runningQemu(join(path, run.name)) : undefined;
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    }
    rmSync(path, { recursive: true, force: true });
  }
  for (const name of namespaces().filter(orphaned)) {
    endProcessesIn(name);
    ip('netns', 'del', name);
  }
}

/** Those of this process's labs. */
export const ownNamespaces = (): string[] => namespaces().filter((name) => name.startsWith(`${PREFIX}-${process.pid}-`));

function namespaces(): string[] {
  try {
    return readdirSync('/run/netns');
  } catch {
    return []; // no namespace was ever made
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function up(host: Host, name: string, kind: string): number {
  const { index } = host.links.create(name, kind, [], {});
  host.links.set(index, { up: true, noIpv6Address: true });
  return index;
}
