/** What a host counts of itself once a second: links, VM NICs, classes of traffic, TCP connections that matter, its own lateness. */

/** What is counted of a link or a NIC: since it was made, or in the last second. */
export interface Traffic {
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxDrops: number;
  readonly txDrops: number;
  readonly rxErrors: number;
  readonly txErrors: number;
}

export interface LinkFigures extends Traffic {
  readonly name: string;
  /** Bytes per second: configured (policy), or as the driver says; absent: nobody knows. */
  readonly capacity?: number;
  /** 0..1 of it, the busier direction. */
  readonly utilization?: number;
  /** Of its qdisc (the root's, and each class under it): per second, and the backlog now in bytes. `class`: tc's handle, `1:10`. */
  readonly queues: readonly { readonly class: string; readonly bytes: number; readonly packets: number; readonly drops: number; readonly backlog: number }[];
}

/** A VM's NIC, as the guest sees it: received is what it received. */
export interface NicFigures extends Traffic {
  readonly vm: string;
  readonly nic: number;
}

/** A connection of a migration or to the server (TCP_INFO). Times in ms. */
export interface TcpFigures {
  readonly what: 'migration' | 'server' | 'peer';
  readonly to: string;
  readonly rtt: number;
  readonly rttVariation: number;
  /** Segments sent again in the last second, and of how many sent. */
  readonly retransmitted: number;
  readonly sent: number;
  /** Bytes per second, as the kernel measured it. */
  readonly deliveryRate: number;
  readonly congestionWindow: number;
}

export interface HostFigures {
  /** Share of all processors' time in software interrupts, in the last second. */
  readonly softirq: number;
  /** Packets that the kernel had no room for before any socket (/proc/net/softnet_stat), in the last second. */
  readonly backlogDrops: number;
  /** How often it had to stop with packets left (time_squeeze). */
  readonly squeezed: number;
  /** ms: the monitor's own, in the last second. */
  readonly lateness: number;
  /** Share of one core: the monitor's own cost, and of it that of probing. */
  readonly cost: number;
}

export interface CounterReport {
  /** ms since the epoch. */
  readonly at: number;
  readonly links: readonly LinkFigures[];
  readonly nics: readonly NicFigures[];
  readonly tcp: readonly TcpFigures[];
  readonly host: HostFigures;
}
