/** What a lab holds at a moment: compared before and after, it shows what a move has left behind. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { type Lab, ownNamespaces } from './topology.ts';

export interface Holdings {
  readonly taps: number;
  readonly tunnels: number;
  /** tc filters on all interfaces of all hosts. */
  readonly filters: number;
  /** In the namespaces of the hosts. */
  readonly processes: number;
  /** Of this process. */
  readonly descriptors: number;
  readonly namespaces: number;
}

export function holdings(lab: Lab): Holdings {
  const links = lab.hosts.flatMap(({ host }) => host.links.list().map((link) => ({ host, link })));
  return {
    taps: links.filter(({ link }) => link.kind === 'tun').length,
    tunnels: links.filter(({ link }) => link.kind === 'vxlan').length,
    filters: links
      .filter(({ link }) => link.kind === 'tun' || link.kind === 'vxlan')
      .reduce((n, { host, link }) => n + host.traffic.counters(link.index, 'egress').length + host.traffic.counters(link.index, 'ingress').length, 0),
    processes: lab.hosts.reduce((n, { namespace }) => n + pids(namespace).length, 0),
    descriptors: readdirSync('/proc/self/fd').length,
    namespaces: ownNamespaces().length,
  };
}

/** What `after` has more than `before`, in words; empty when nothing is. */
export function leaks(before: Holdings, after: Holdings): string[] {
  const kinds = ['taps', 'tunnels', 'filters', 'processes', 'descriptors', 'namespaces'] as const;
  return kinds.filter((kind) => after[kind] > before[kind]).map((kind) => `${after[kind] - before[kind]} ${kind}`);
}

function pids(namespace: string): string[] {
  return execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).split('\n').filter(Boolean);
}
