/** Counters of the IP stack of one namespace that netlink does not give: /proc/net/snmp, /proc/net/snmp6. */
import { existsSync, readFileSync } from 'node:fs';
import { GodwitError } from '../base/error.ts';
import type { Native, Netns } from '../native/native.ts';

export interface IpCounters {
  /** Datagrams that could not be put together from their fragments (RFC 4293 ipSystemStatsReasmFails), both families. */
  readonly reassemblyFailures: number;
  /** UDP datagrams refused: no room in the socket, bad checksum (RFC 4113 udpInErrors). */
  readonly udpErrors: number;
}

/** Throws GodwitError HOST_COUNTER_MISSING. */
export function readIpCounters(native: Native, netns: Netns): IpCounters {
  // /proc/thread-self: /proc/net is /proc/self/net, and that of the process need not be this thread's.
  const directory = '/proc/thread-self/net';
  const [snmp, snmp6] = native.inNetns(netns, () => [
    readFileSync(`${directory}/snmp`, 'utf8'),
    existsSync(`${directory}/snmp6`) ? readFileSync(`${directory}/snmp6`, 'utf8') : undefined,
  ]);
  return parseIpCounters(snmp, snmp6);
}

/** `snmp6` is undefined on a kernel without IPv6. Throws GodwitError HOST_COUNTER_MISSING: a counter not found is not zero. */
export function parseIpCounters(snmp: string, snmp6: string | undefined): IpCounters {
  const v4 = parseSnmp(snmp);
  const v6 = snmp6 === undefined ? undefined : new Map(snmp6.split('\n').map((line) => pair(line.split(/\s+/))));
  const both = (four: string, six: string): number => counter(v4, four) + (v6 ? counter(v6, six) : 0);
  return { reassemblyFailures: both('Ip ReasmFails', 'Ip6ReasmFails'), udpErrors: both('Udp InErrors', 'Udp6InErrors') };
}

/** Two lines per group, names and values: `Udp: InDatagrams …`, `Udp: 17 …`. */
function parseSnmp(contents: string): Map<string, string> {
  const counters = new Map<string, string>();
  const lines = contents.split('\n').map((line) => line.split(' '));
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [names = [], values = []] = lines.slice(i, i + 2);
    const group = names[0]?.replace(':', '');
    for (let j = 1; j < names.length; j++) counters.set(`${group} ${names[j]}`, values[j] ?? '');
  }
  return counters;
}

function pair([name = '', value = '']: readonly string[]): readonly [string, string] {
  return [name, value];
}

function counter(counters: ReadonlyMap<string, string>, name: string): number {
  const value = counters.get(name) ?? '';
  if (!/^\d+$/.test(value)) {
    throw new GodwitError('HOST_COUNTER_MISSING', `The kernel gives no counter ${name}: without it losses cannot be proven`);
  }
  return Number(value);
}
