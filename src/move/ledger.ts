/** Reads the drop counter of every queue that a redirected frame passes, at both hosts, before and after. */
import type { Host } from '../host/host.ts';
import { readIpCounters } from '../host/ip-counters.ts';
import type { LedgerEntry } from '../model/move.ts';

/** What a host's side of one NIC's redirected path consists of. */
export interface LedgerPath {
  readonly host: Host;
  readonly tap: { readonly name: string; readonly index: number };
  readonly tunnel: { readonly name: string; readonly index: number };
  /** The tap's egress redirect at the source, the tunnel's ingress redirect at the destination. */
  readonly filters: { readonly index: number; readonly name: string; readonly hook: 'ingress' | 'egress' };
  /** The interface that carries the tunnel. */
  readonly uplink: number;
}

export type LedgerReading = ReadonlyMap<string, Omit<LedgerEntry, 'droppedBefore' | 'droppedAfter'> & { readonly dropped: number }>;

export function readLedger(paths: readonly LedgerPath[]): LedgerReading {
  const reading = new Map<string, Omit<LedgerEntry, 'droppedBefore' | 'droppedAfter'> & { dropped: number }>();
  const put = (host: Host, queue: string, device: string, dropped: number): void => {
    reading.set(`${host.name} ${queue} ${device}`, { host: host.name, queue, device, dropped });
  };
  for (const { host, tap, tunnel, filters, uplink } of paths) {
    const counters = new Map(host.links.list().map((l) => [l.index, l]));
    const tapCounters = counters.get(tap.index)?.counters;
    const tunnelCounters = counters.get(tunnel.index)?.counters;
    const uplinkLink = counters.get(uplink);
    put(host, 'qdisc', tap.name, host.traffic.queues(tap.index).drops);
    put(host, 'tap', tap.name, (tapCounters?.txDropped ?? 0) + (tapCounters?.txErrors ?? 0));
    put(host, 'filter', filters.name, host.traffic.counters(filters.index, filters.hook).reduce((sum, f) => sum + f.drops, 0));
    put(host, 'tunnel', tunnel.name, sumDrops(tunnelCounters));
    put(host, 'uplink', uplinkLink?.name ?? String(uplink), sumDrops(uplinkLink?.counters) + host.traffic.queues(uplink).drops);
    const ip = readIpCounters(host.native, host.netns);
    put(host, 'reassembly', 'ip', ip.reassemblyFailures);
    put(host, 'udp', 'ip', ip.udpErrors);
  }
  return reading;
}

/** A queue that only one of the readings knows (the device is gone, or new) counts from or to what the other says. */
export function compareLedger(before: LedgerReading, after: LedgerReading): LedgerEntry[] {
  return [...after].map(([key, { host, queue, device, dropped }]) => ({
    host, queue, device, droppedBefore: before.get(key)?.dropped ?? 0, droppedAfter: dropped,
  }));
}

function sumDrops(counters: { rxDropped: number; txDropped: number; rxErrors: number; txErrors: number } | undefined): number {
  return counters ? counters.rxDropped + counters.txDropped + counters.rxErrors + counters.txErrors : 0;
}
