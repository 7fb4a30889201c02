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
import type { Native } from '../native/native.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import { Flow } from './flow.ts';
import { LabSwitch, type Ways } from './lab-switch.ts';
import { Namespaces, ip } from './namespaces.ts';
import { type VrrpWatch, watchVrrp } from './vrrp-watch.ts';

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

export type { Ways };

export const GATEWAY = { v4: '10.90.0.254', v6: 'fe80::254' } as const;
const FAR = { v4: '10.91.0.100', v6: 'fd91::100' } as const;

const PLAIN: readonly (readonly [string, number])[] = [['ipv4/conf/all/rp_filter', 0], ['ipv4/conf/default/rp_filter', 0]];
const FORWARDING: readonly (readonly [string, number])[] = [...PLAIN, ['ipv4/ip_forward', 1], ['ipv6/conf/all/forwarding', 1]];

const portOf = ({ name }: LabRouter): string => `lan-${name}`;

let made = 0;

export class VrrpLab {
  readonly routers: readonly LabRouter[];
  readonly server: Host;
  readonly switch: Host;
  readonly #switch: LabSwitch;
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
      this.#switch = new LabSwitch(this.switch, ['lan', 'far']);
      this.routers = Array.from({ length: routers }, (_, i) => {
        const number = i + 1;
        const name = `r${number}`;
        const host = namespaces.host(name, forwarding ? FORWARDING : PLAIN);
        this.#switch.cable(host, 'lan', [`10.90.0.${number}/24`, `fd90::${number}/64`]);
        this.#switch.cable(host, 'far', [`10.91.0.${number}/24`, `fd91::${number}/64`]);
        return { name, number, host, namespace: namespaces.of(name), address: `10.90.0.${number}` };
      });
      this.server = namespaces.host('s', PLAIN);
      this.#switch.cable(this.server, 'lan', ['10.90.0.10/24', 'fd90::10/64']);
      ip('-n', namespaces.of('s'), 'route', 'add', 'default', 'via', GATEWAY.v4);
      ip('-n', namespaces.of('s'), '-6', 'route', 'add', 'default', 'via', GATEWAY.v6, 'dev', 'lan');
      const far = namespaces.host('c', PLAIN);
      this.#switch.cable(far, 'far', [`${FAR.v4}/24`, `${FAR.v6}/64`]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  static async open(native: Native, options: VrrpLabOptions): Promise<VrrpLab> {
    const lab = new VrrpLab(native, options);
    try {
      await lab.#switch.makeFaulty();
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
    await this.#switch.silence([portOf(router)], ways);
  }

  /** Ends what `silence` did. Resolves to the moment from which on all is as before, ms since the epoch: not earlier. */
  async heal(router: LabRouter, ways: Ways = 'both'): Promise<number> {
    await this.#switch.heal([portOf(router)], ways);
    return Date.now();
  }

  /** The switch's port goes down: the router's interface has no carrier. */
  cut(router: LabRouter): void {
    this.#switch.cut(portOf(router));
  }

  mend(router: LabRouter): void {
    this.#switch.mend(portOf(router));
  }

  watch(): VrrpWatch {
    return watchVrrp(this.switch, this.routers.map((router) => ({ name: router.name, port: portOf(router) })));
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
}
