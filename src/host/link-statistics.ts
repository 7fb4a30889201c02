/**
 * The counters of all interfaces at once (RTM_GETSTATS, linux/if_link.h), without their other attributes: a tenth of what a list of links
 * costs. Linux 4.7 or newer.
 */
import type { Traffic } from '../model/counters.ts';
import type { Netlink } from './netlink.ts';
import { concat, decodeAttributes, u16, u32, u8 } from './netlink-message.ts';

const RTM_GETSTATS = 94;
const IFLA_STATS_LINK_64 = 1;
/** IFLA_STATS_FILTER_BIT */
const ONLY_LINK_64 = 1 << (IFLA_STATS_LINK_64 - 1);
/** sizeof(struct if_stats_msg): family, padding, ifindex, filter_mask. */
const HEADER = 12;
/** Bytes of struct rtnl_link_stats64 that are read here. */
const NEEDED = 16 * 8;

/**
 * Since the device was made. `rxDrops` with those that the driver had no room for (rx_missed_errors), which the kernel counts apart;
 * `txDrops` without those of its queueing discipline, which counts its own.
 */
export type TrafficTotals = Traffic;

/** By the interface's index. */
export function readLinkStatistics(netlink: Netlink): Map<number, TrafficTotals> {
  const header = concat(u8(0), u8(0), u16(0), u32(0), u32(ONLY_LINK_64));
  const totals = new Map<number, TrafficTotals>();
  for (const { body } of netlink.dump({ what: 'read the counters of interfaces', type: RTM_GETSTATS, header })) {
    const stats = decodeAttributes(body.subarray(HEADER)).get(IFLA_STATS_LINK_64);
    if (!stats || stats.length < NEEDED) continue;
    totals.set(new DataView(body.buffer, body.byteOffset).getUint32(4, true), decodeTotals(stats));
  }
  return totals;
}

/** struct rtnl_link_stats64. Above 2^53 the last bits are lost. */
function decodeTotals(stats: Uint8Array): TrafficTotals {
  const data = new DataView(stats.buffer, stats.byteOffset, stats.byteLength);
  const counter = (n: number): number => data.getUint32(8 * n, true) + data.getUint32(8 * n + 4, true) * 2 ** 32;
  return {
    rxPackets: counter(0), txPackets: counter(1), rxBytes: counter(2), txBytes: counter(3), rxErrors: counter(4), txErrors: counter(5),
    rxDrops: counter(6) + counter(15), txDrops: counter(7),
  };
}
