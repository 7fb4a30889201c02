/** The TCP connections of this host that matter: moves, to and from the server, between agents. */
import type { TcpFigures } from '../model/counters.ts';
import type { WatchPlan } from '../model/watch-plan.ts';
import type { Native, Netns } from '../native/native.ts';
import { KernelRefused, Netlink } from '../host/netlink.ts';
import { NETLINK_SOCK_DIAG, type PortRange, type TcpConnection, readTcp } from '../host/tcp-info.ts';
import { Growth, rateOf } from './counters-growth.ts';

export interface TcpPorts {
  readonly peer: number;
  readonly server: number;
  readonly migration: PortRange;
}

/** The busiest of them. */
const MOST = 64;

export class TcpCounters {
  readonly #netlink: Netlink;
  readonly #ports: TcpPorts;
  readonly #grown = new Growth<string, { readonly sent: number; readonly retransmitted: number }>();
  /** Host by address. */
  #hosts = new Map<string, string>();

  constructor(native: Native, netns: Netns, ports: TcpPorts) {
    this.#netlink = new Netlink(native, netns, NETLINK_SOCK_DIAG);
    this.#ports = ports;
  }

  peers(peers: WatchPlan['peers']): void {
    this.#hosts = new Map(peers.flatMap(({ host, addresses }) => Object.values(addresses).map((address) => [address, host] as const)));
  }

  /** None where the kernel has no sock_diag for TCP (CONFIG_INET_TCP_DIAG). @param elapsed seconds since the last time */
  read(elapsed: number): TcpFigures[] {
    const figures = this.#connections().flatMap((connection) => {
      const { cookie, remote, rtt, rttVariation, sent, retransmitted, deliveryRate, congestionWindow } = connection;
      const host = this.#hosts.get(remote.toString());
      const what = this.#what(connection, host !== undefined);
      if (!what) return [];
      const grown = this.#grown.of(cookie, { sent, retransmitted });
      return [{
        what, to: host ?? remote.toString(), rtt, rttVariation, retransmitted: rateOf(grown?.retransmitted, elapsed),
        sent: rateOf(grown?.sent, elapsed), deliveryRate, congestionWindow,
      }];
    });
    this.#grown.turn();
    return figures.length <= MOST ? figures : figures.toSorted((a, b) => b.sent - a.sent).slice(0, MOST);
  }

  close(): void {
    this.#netlink.close();
  }

  #connections(): TcpConnection[] {
    const { peer, server, migration } = this.#ports;
    try {
      return readTcp(this.#netlink, [[peer, peer], [server, server], migration]);
    } catch (error) {
      if (error instanceof KernelRefused) return [];
      throw error;
    }
  }

  /** Migrations' ports are also given to anybody's connections, and agents' ports are not ours alone: there, hosts of the cluster only. */
  #what({ localPort, remotePort }: TcpConnection, ofCluster: boolean): TcpFigures['what'] | undefined {
    const { peer, server, migration: [from, to] } = this.#ports;
    if (localPort === server || remotePort === server) return 'server';
    if (!ofCluster) return undefined;
    if (localPort === peer || remotePort === peer) return 'peer';
    return (localPort >= from && localPort <= to) || (remotePort >= from && remotePort <= to) ? 'migration' : undefined;
  }
}
