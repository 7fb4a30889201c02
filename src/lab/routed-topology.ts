/**
 * A lab without a common Ethernet segment: each host in a subnet of its own behind a router.
 *
 *   client ── router ══ h1     10.90.N.2/24 and fd90:N::2/64, migrations too
 *                    ╚═ h2
 *
 * The client has an address of the VMs' own subnet all the same (topology.ts, network `a`), and is reached by the router alone.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import type { Native } from '../native/native.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { Namespaces, ip } from './namespaces.ts';
import { CLIENT, type LabHost, labAddresses } from './topology.ts';

let made = 0;
/** The client's place among the subnets. */
const CLIENT_NET = 9;

/** The host's own and its router's. */
export const routedAddresses = (net: number) => ({ v4: `10.90.${net}.2`, v6: `fd90:${net}::2`, router4: `10.90.${net}.1`, router6: `fd90:${net}::1` });

export class RoutedLab {
  readonly hosts: readonly LabHost[];
  readonly client: Host;
  readonly router: Host;
  readonly directory: string;
  readonly #prefix = `gwl-${process.pid}-r${++made}`;
  readonly #namespaces: Namespaces;

  constructor(native: Native, hosts: number) {
    this.#namespaces = new Namespaces(native, this.#prefix);
    this.directory = mkdtempSync(join(tmpdir(), `${this.#prefix}-`));
    try {
      this.router = this.#namespaces.host('router', [['ipv4/ip_forward', 1], ['ipv6/conf/all/forwarding', 1]]);
      this.hosts = Array.from({ length: hosts }, (_, i) => {
        const name = `h${i + 1}`;
        const host = this.#namespaces.host(name);
        this.#cable(host, i + 1);
        return { name, host, address: parseIpAddress(routedAddresses(i + 1).v4), namespace: this.#namespaces.of(name), paths: {} };
      });
      this.client = this.#namespaces.host('client');
      this.#cable(this.client, CLIENT_NET);
      const { v4, v6 } = labAddresses('a', CLIENT);
      const { router4, router6, v4: own4, v6: own6 } = routedAddresses(CLIENT_NET);
      const on = (name: string, ...words: string[]): string => ip('-n', this.#namespaces.of(name), ...words);
      on('client', 'addr', 'add', `${v4}/32`, 'dev', 'up');
      on('client', 'addr', 'add', `${v6}/128`, 'dev', 'up', 'nodad');
      on('client', 'route', 'replace', 'default', 'via', router4, 'src', `${v4}`);
      on('client', '-6', 'route', 'replace', 'default', 'via', router6, 'src', `${v6}`);
      on('router', 'route', 'add', `${v4}/32`, 'via', own4);
      on('router', '-6', 'route', 'add', `${v6}/128`, 'via', own6);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#namespaces.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #cable(to: Host, net: number): void {
    const { router } = this;
    const { v4, v6, router4, router6 } = routedAddresses(net);
    const mtu = 9000;
    router.links.createVeth({ name: to.name, netns: router.netns, mtu }, { name: 'up', netns: to.netns, mtu });
    for (const [host, device, one, other] of [[router, to.name, router4, router6], [to, 'up', v4, v6]] as const) {
      const { index } = host.links.get(device);
      host.links.set(index, { up: true });
      host.addresses.add(index, parseIpAddress(one), 24);
      host.addresses.add(index, parseIpAddress(other), 64);
    }
    ip('-n', this.#namespaces.of(to.name), 'route', 'add', 'default', 'via', router4);
    ip('-n', this.#namespaces.of(to.name), '-6', 'route', 'add', 'default', 'via', router6);
  }
}
