/**
 * A lab for BFD: hosts on one switch, and a router beside them, over which they reach each other's `multihopAddress` in two hops.
 *
 *   h1, h2, … [lan] ═ switch br-lan ═ [lan] r      hN: 10.90.0.N, fd90::N; 10.92.0.N on `lo`, by way of r
 *
 * Faults are the switch's: hosts are not told, except that a cut cable has no carrier.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../host/host.ts';
import type { Native } from '../native/native.ts';
import { parseIpAddress } from '../wire/ip-address.ts';
import type { WireBfd } from './bfd-packet.ts';
import { type BfdWatch, watchBfd } from './bfd-watch.ts';
import { LabSwitch } from './lab-switch.ts';
import { Namespaces, ip } from './namespaces.ts';
import type { LabRouter } from './vrrp-lab.ts';

export interface BfdLabOptions {
  readonly hosts: number;
  /** h1 and h2, h3 and h4, … have so many networks of their own as well, numbered from 0: `pairAddress`. At most 1024. */
  readonly pairs?: number;
}

const ROUTER = 250;
const MOST_PAIRS = 1024;
type Settings = readonly (readonly [string, number])[];
const PLAIN: Settings = [['ipv4/conf/all/rp_filter', 0], ['ipv4/conf/default/rp_filter', 0]];
const ROUTING: Settings = [...PLAIN, ['ipv4/ip_forward', 1], ['ipv4/conf/all/send_redirects', 0], ['ipv4/conf/default/send_redirects', 0]];

export const lanAddress = (number: number): string => `10.90.0.${number}`;
export const lanAddress6 = (number: number): string => `fd90::${number}`;
export const multihopAddress = (number: number): string => `10.92.0.${number}`;
/** Of host `number`, at most 32, in its network `pair`. */
export function pairAddress(pair: number, number: number): string {
  const network = ((number - 1) >> 1) * MOST_PAIRS + pair;
  return `10.93.${network >> 6}.${((network & 63) << 2) + 1 + ((number - 1) & 1)}`;
}

const portOf = ({ name }: LabRouter): string => `lan-${name}`;

let made = 0;

export class BfdLab {
  readonly hosts: readonly LabRouter[];
  readonly switch: Host;
  readonly #switch: LabSwitch;
  /** Of this lab's own files. */
  readonly directory: string;
  readonly #namespaces: Namespaces;

  private constructor(native: Native, { hosts, pairs = 0 }: BfdLabOptions) {
    const prefix = `gwl-${process.pid}-b${++made}`;
    this.#namespaces = new Namespaces(native, prefix);
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
    try {
      this.switch = this.#namespaces.host('sw', PLAIN);
      this.#switch = new LabSwitch(this.switch, ['lan']);
      const numbers = Array.from({ length: hosts }, (_, i) => i + 1);
      const router = this.#namespaces.host('r', ROUTING);
      this.#switch.cable(router, 'lan', [`${lanAddress(ROUTER)}/24`]);
      this.hosts = numbers.map((number) => {
        const name = `h${number}`;
        const host = this.#namespaces.host(name, PLAIN);
        const own = Array.from({ length: pairs }, (_, pair) => `${pairAddress(pair, number)}/30`);
        this.#switch.cable(host, 'lan', [`${lanAddress(number)}/24`, `${lanAddress6(number)}/64`, ...own]);
        host.addresses.add(host.links.get('lo').index, parseIpAddress(multihopAddress(number)), 32);
        for (const other of numbers.filter((one) => one !== number)) {
          const way = [multihopAddress(other), 'via', lanAddress(ROUTER), 'src', multihopAddress(number)];
          ip('-n', this.#namespaces.of(name), 'route', 'add', ...way);
        }
        ip('-n', this.#namespaces.of('r'), 'route', 'add', multihopAddress(number), 'via', lanAddress(number));
        return { name, number, host, namespace: this.#namespaces.of(name), address: lanAddress(number) };
      });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  static async open(native: Native, options: BfdLabOptions): Promise<BfdLab> {
    const lab = new BfdLab(native, options);
    try {
      await lab.#switch.makeFaulty();
      return lab;
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  host(number: number): LabRouter {
    const host = this.hosts[number - 1];
    if (!host) throw new Error(`The lab has ${this.hosts.length} hosts, and no h${number}`);
    return host;
  }

  /** Their cables carry nothing any more, all from the same moment on, and nobody is told. Resolves when that is so. */
  async silence(...hosts: readonly LabRouter[]): Promise<void> {
    await this.#switch.silence(hosts.map(portOf));
  }

  async heal(...hosts: readonly LabRouter[]): Promise<void> {
    await this.#switch.heal(hosts.map(portOf));
  }

  /** The switch's port goes down: the host's interface has no carrier. */
  cut(host: LabRouter): void {
    this.#switch.cut(portOf(host));
  }

  mend(host: LabRouter): void {
    this.#switch.mend(portOf(host));
  }

  watch(keep?: (packet: WireBfd) => boolean): BfdWatch {
    return watchBfd(this.switch, this.hosts.map((host) => ({ name: host.name, port: portOf(host) })), keep);
  }

  /** Ends every process in the lab, and removes every namespace and file. */
  close(): void {
    this.#namespaces.endProcesses();
    this.#namespaces.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
