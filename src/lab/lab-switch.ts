/** A switch of the lab: bridges in a namespace, cables to other namespaces, and faults of which nobody is told, but for a cut cable. */
import type { Host } from '../host/host.ts';
import { runNft } from '../host/nft.ts';
import { parseIpAddress } from '../wire/ip-address.ts';

/** Which frames of a cable are dropped, seen from who is at its end. */
export type Ways = 'both' | 'from' | 'to';

const TABLE = 'godwit_lab';

export class LabSwitch {
  readonly host: Host;

  /** @param networks their bridges are `br-NETWORK`, ports `NETWORK-HOST`, the hosts' interfaces `NETWORK` */
  constructor(host: Host, networks: readonly string[]) {
    this.host = host;
    for (const network of networks) {
      const { index } = host.links.create(`br-${network}`, 'bridge', []);
      host.links.set(index, { up: true, noIpv6Address: true });
    }
  }

  /** @param addresses with their prefix length */
  cable(to: Host, network: string, addresses: readonly string[]): void {
    const { links, netns } = this.host;
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

  /** To be called once before `silence`. */
  async makeFaulty(): Promise<void> {
    // Before the bridge learns where a frame comes from: a port that is dead teaches it nothing.
    await runNft(this.host, `table bridge ${TABLE} {
      set from { type ifname; }
      set to { type ifname; }
      chain in { type filter hook prerouting priority dstnat; policy accept; iifname @from drop; }
      chain out { type filter hook postrouting priority srcnat; policy accept; oifname @to drop; }
    }`);
  }

  /** These ports carry nothing any more, all from the same moment on. Resolves when that is so. */
  async silence(ports: readonly string[], ways: Ways = 'both'): Promise<void> {
    await runNft(this.host, sets('add', ports, ways));
  }

  /** Ends what `silence` did. */
  async heal(ports: readonly string[], ways: Ways = 'both'): Promise<void> {
    await runNft(this.host, sets('delete', ports, ways));
  }

  /** The port goes down: the interface at the other end has no carrier. */
  cut(port: string): void {
    this.host.links.set(this.host.links.get(port).index, { up: false });
  }

  mend(port: string): void {
    this.host.links.set(this.host.links.get(port).index, { up: true });
  }
}

function sets(verb: 'add' | 'delete', ports: readonly string[], ways: Ways): string {
  const elements = ports.map((port) => `"${port}"`).join(', ');
  return (['from', 'to'] as const).filter((way) => ways === 'both' || ways === way)
    .map((way) => `${verb} element bridge ${TABLE} ${way} { ${elements} }\n`).join('');
}
