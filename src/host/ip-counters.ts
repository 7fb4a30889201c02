/** Counters of the IP stack of one namespace that netlink does not give: /proc/net/snmp, /proc/net/snmp6. */
import { readFileSync } from 'node:fs';
import type { Native, Netns } from '../native/native.ts';

export interface IpCounters {
  /** Datagrams that could not be put together from their fragments (RFC 4293 ipSystemStatsReasmFails), both families. */
  readonly reassemblyFailures: number;
  /** UDP datagrams refused: no room in the socket, bad checksum (RFC 4113 udpInErrors). */
  readonly udpErrors: number;
}

export function readIpCounters(native: Native, netns: Netns): IpCounters {
  // /proc/thread-self: /proc/net is /proc/self/net, and that of the process need not be this thread's.
  const [v4, v6] = native.inNetns(netns, () => ['snmp', 'snmp6'].map((f) => readFileSync(`/proc/thread-self/net/${f}`, 'utf8')));
  const six = new Map((v6 ?? '').split('\n').map((line) => {
    const [name = '', value = '0'] = line.split(/\s+/);
    return [name, Number(value)];
  }));
  return {
    reassemblyFailures: snmp(v4 ?? '', 'Ip', 'ReasmFails') + (six.get('Ip6ReasmFails') ?? 0),
    udpErrors: snmp(v4 ?? '', 'Udp', 'InErrors') + (six.get('Udp6InErrors') ?? 0),
  };
}

/** The file has two lines per group: names, then values. */
function snmp(contents: string, group: string, name: string): number {
  const [names, values] = contents.split('\n').filter((line) => line.startsWith(`${group}:`)).map((line) => line.split(' '));
  return Number(values?.[names?.indexOf(name) ?? -1] ?? 0);
}
