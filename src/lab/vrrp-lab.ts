/**
 * A lab for virtual routers: a server whose default gateway is a virtual address, the routers that share it, and a far host that is
 * reached through them.
 *
 *   s ── switch br-lan ═╦═ r1 ═╦═ switch br-far ── c      s 10.90.0.10, fd90::10; rN 10.90.0.N, fd90::N; c 10.91.0.100, fd91::100
 *                       ╠═ r2 ═╣                          the gateway of s: 10.90.0.254 and fe80::254
 *                       ╚═ r3 ═╝
 *
 * Faults are the switch's: routers are not told, except that a cut cable has no carrier.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import { runNft } from '../host/nft.ts';
import type { Native } from '../native/native.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { Flow } from './flow.ts';
import { Namespaces, ip } from './namespaces.ts';
import { VrrpWatch } from './vrrp-watch.ts';

export interface LabRouter {
  /** `r1`, `r2`, … */
  readonly name: string;
  readonly number: number;
  readonly host: Host;
  readonly namespace: string;
  /** Of its interface `lan`. */
  readonly address: string;
}

export interface VrrpLabOptions {
  readonly routers: number;
  /** False: hosts of a service that do not pass on what is addressed to the other's. */
  readonly forwarding?: boolean;
}

/** Which frames of a router's cable the switch drops. */
export type Ways = 'both' | 'from' | 'to';

export const GATEWAY = { v4: '10.90.0.254', v6: 'fe80::254' } as const;
const FAR = { v4: '10.91.0.100', v6: 'fd91::100' } as const;

const FAULT_TABLE = 'godwit_lab';
const PLAIN: readonly (readonly [string, number])[] = [['ipv4/conf/all/rp_filter', 0], ['ipv4/conf/default/rp_filter', 0]];
const FORWARDING: readonly (readonly [string, number])[] = [...PLAIN, ['ipv4/ip_forward', 1], ['ipv6/conf/all/forwarding', 1]];

let made = 0;

export class VrrpLab {
  readonly routers: readonly LabRouter[];
  readonly server: Host;
  readonly switch: Host;
  /** Of this lab's own files. */
  readonly directory: string;
  readonly #namespaces: Namespaces;

  private constructor(native: Native, { routers, forwarding = true }: VrrpLabOptions) {
    const prefix = `gwl-${process.pid}-v${++made}`;
    const namespaces = new Namespaces(native, prefix);
    this.#namespaces = namespaces;
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
    try {
      this.switch = namespaces.host('sw', PLAIN);
      for (const name of ['br-lan', 'br-far']) {
        const { index } = this.switch.links.create(name, 'bridge', []);
        this.switch.links.set(index, { up: true, noIpv6Address: true });
      }
      this.routers = Array.from({ length: routers }, (_, i) => {
        const number = i + 1;
        const name = `r${number}`;
        const host = namespaces.host(name, forwarding ? FORWARDING : PLAIN);
        this.#cable(host, 'lan', [`10.90.0.${number}/24`, `fd90::${number}/64`]);
        this.#cable(host, 'far', [`10.91.0.${number}/24`, `fd91::${number}/64`]);
        return { name, number, host, namespace: namespaces.of(name), address: `10.90.0.${number}` };
      });
      this.server = namespaces.host('s', PLAIN);
      this.#cable(this.server, 'lan', ['10.90.0.10/24', 'fd90::10/64']);
      ip('-n', namespaces.of('s'), 'route', 'add', 'default', 'via', GATEWAY.v4);
      ip('-n', namespaces.of('s'), '-6', 'route', 'add', 'default', 'via', GATEWAY.v6, 'dev', 'lan');
      const far = namespaces.host('c', PLAIN);
      this.#cable(far, 'far', [`${FAR.v4}/24`, `${FAR.v6}/64`]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  static async open(native: Native, options: VrrpLabOptions): Promise<VrrpLab> {
    const lab = new VrrpLab(native, options);
    try {
      // Before the bridge learns where a frame comes from: a port that is dead teaches it nothing.
      await runNft(lab.switch, `table bridge ${FAULT_TABLE} {
        set from { type ifname; }
        set to { type ifname; }
        chain in { type filter hook prerouting priority dstnat; policy accept; iifname @from drop; }
        chain out { type filter hook postrouting priority srcnat; policy accept; oifname @to drop; }
      }`);
      return lab;
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  router(number: number): LabRouter {
    const router = this.routers[number - 1];
    if (!router) throw new Error(`The lab has ${this.routers.length} routers, and no r${number}`);
    return router;
  }

  /** Its cable carries nothing any more, and nobody is told. Resolves when that is so. */
  async silence(router: LabRouter, ways: Ways = 'both'): Promise<void> {
    await runNft(this.switch, this.#sets('add', router, ways));
  }

  /** Ends what `silence` did. Resolves to the moment from which on all is as before, ms since the epoch: not earlier. */
  async heal(router: LabRouter, ways: Ways = 'both'): Promise<number> {
    await runNft(this.switch, this.#sets('delete', router, ways));
    return Date.now();
  }

  /** The switch's port goes down: the router's interface has no carrier. */
  cut(router: LabRouter): void {
    this.switch.links.set(this.switch.links.get(`lan-${router.name}`).index, { up: false });
  }

  mend(router: LabRouter): void {
    this.switch.links.set(this.switch.links.get(`lan-${router.name}`).index, { up: true });
  }

  watch(): VrrpWatch {
    return new VrrpWatch(this.switch, this.routers.map(({ name }) => ({ router: name, port: `lan-${name}` })));
  }

  /** From the server, through whoever is Active, to the far host; resolves when it flows. */
  flow(): Promise<Flow> {
    return Flow.start(this.server, { to: parseIpAddress(FAR.v4), receiveIn: [this.#namespaces.of('c')] });
  }

  /** From the server to the virtual address itself, at whichever routers have it. */
  serviceFlow(): Promise<Flow> {
    return Flow.start(this.server, { to: parseIpAddress(GATEWAY.v4), receiveIn: this.routers.map(({ namespace }) => namespace) });
  }

  /** Does the router have the address now, on whichever interface? */
  holds(router: LabRouter, address: string): boolean {
    return ip('-n', router.namespace, '-o', 'address', 'show', 'to', address).trim() !== '';
  }

  /** The server asks anew for its gateway's MAC. */
  forgetNeighbours(): void {
    ip('-n', this.#namespaces.of('s'), 'neighbour', 'flush', 'dev', 'lan');
  }

  /** Ends every process in the lab, and removes every namespace and file. */
  close(): void {
    this.#namespaces.endProcesses();
    this.#namespaces.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #sets(verb: 'add' | 'delete', { name }: LabRouter, ways: Ways): string {
    return (['from', 'to'] as const).filter((way) => ways === 'both' || ways === way)
      .map((way) => `${verb} element bridge ${FAULT_TABLE} ${way} { "lan-${name}" }\n`).join('');
  }

  #cable(to: Host, network: 'lan' | 'far', addresses: readonly string[]): void {
    const { links, netns } = this.switch;
    const port = `${network}-${to.name}`;
    links.createVeth({ name: port, netns, mtu: 1500 }, { name: network, netns: to.netns, mtu: 1500 });
    links.set(links.get(port).index, { master: links.get(`br-${network}`).index, up: true, noIpv6Address: true });
    const { index } = to.links.get(network);
    to.links.set(index, { up: true });
    for (const text of addresses) {
      const [address = '', length] = text.split('/');
      to.addresses.add(index, parseIpAddress(address), Number(length));
    }
  }
}
