/**
 * DSCP of what this host sends for Godwit, so that the network can put heartbeats and control before guests, and guests before
 * bulk. One nftables table, `inet godwit`; what the networks do with the marks is theirs to decide.
 */
import type { Host } from './host.ts';
import { runNft } from './nft.ts';

export interface MarkedPorts {
  /** UDP, destination of the tunnels' VXLAN. */
  readonly tunnel: number;
  /**
   * TCP, `first`..`last`, both directions. Better outside net.ipv4.ip_local_port_range: a connection of someone else's that happens
   * to get one of them as its source port is marked too.
   */
  readonly migration: { readonly first: number; readonly last: number };
  /** TCP, both directions. */
  readonly api: readonly number[];
  /** TCP, both directions: what agents tell each other in a move. */
  readonly peer: number;
}

/**
 * Code points 0..63.
 * - control: CS6, network control (RFC 4594 §3.2): small, and all else depends on it.
 * - tunnel: AF21, low-latency data (RFC 4594 §4.7). What a guest is sent in its move is mostly elastic, comes in bursts and somebody
 *   waits for it. AF41 would give the same bursts a place among conferences, whose queue is sized for rates that adapt.
 * - migration: LE, lower effort (RFC 8622, in place of CS1): takes what nobody else wants. Where it is unknown it is as good as 0.
 */
export const DSCP = { control: 48, tunnel: 18, migration: 1 } as const;

const TABLE = 'inet godwit';
/** Deleting what is not there is an error; so it is made first. */
const REMOVAL = `table ${TABLE} {}\ndelete table ${TABLE}\n`;

/** The transaction that puts our table in place of an earlier one and touches no other. */
export function markingRules({ tunnel, migration, api, peer }: MarkedPorts): string {
  const control = [...new Set([...api, peer])].join(', ');
  // Where ports coincide the last rule wins: control.
  const rules = [
    ...both(`tcp dport ${migration.first}-${migration.last}`, DSCP.migration),
    ...both(`tcp sport ${migration.first}-${migration.last}`, DSCP.migration),
    ...both(`udp dport ${tunnel}`, DSCP.tunnel),
    ...both(`tcp dport { ${control} }`, DSCP.control),
    ...both(`tcp sport { ${control} }`, DSCP.control),
  ];
  const chain = `  chain classify {\n    type filter hook output priority mangle; policy accept;\n${rules.join('')}  }\n`;
  return `${REMOVAL}table ${TABLE} {\n${chain}}\n`;
}

/** `ip` and `ip6` each take only packets of their family. */
const both = (match: string, dscp: number): string[] => ['ip', 'ip6'].map((family) => `    ${match} ${family} dscp set ${dscp}\n`);

/**
 * Marks what leaves the host's namespace from now on; again with other ports replaces them. It outlives this process. Rejects with
 * NftError, and then everything works unmarked.
 */
export function markTraffic(host: Host, ports: MarkedPorts): Promise<void> {
  return runNft(host, markingRules(ports));
}
