/** The tables of `godwit top`: their columns, and what they can be sorted by. */
import type { ResourceOf } from '../api/api.ts';
import type { LinkFigures, NicFigures } from '../model/counters.ts';
import { traffic, votes } from './host-description.ts';
import { brief, lossCell, lossOf, pathRank, pathRanks, pathState, pathTrouble } from './path-words.ts';
import type { Colour } from './style.ts';
import { type Column, left, right } from './table.ts';
import { formatBytes, formatFine, formatRate, formatShare } from './text.ts';

export interface TopData {
  /** With their counters, as far as their monitors have told. */
  readonly hosts: readonly ResourceOf['Host'][];
  readonly paths: readonly ResourceOf['Path'][];
}

export const topViews = ['hosts', 'paths', 'nics'] as const;
export type TopView = (typeof topViews)[number];

export interface TopRow {
  readonly cells: readonly string[];
  readonly colour: Colour | undefined;
}

interface TopTable {
  readonly columns: readonly Column[];
  /** The first is where it begins. */
  readonly sorts: readonly string[];
  rows(data: TopData, sort: string): TopRow[];
}

const names = new Intl.Collator('en', { numeric: true });
/** The greatest first, equals by name. */
const ordered = <R>(all: readonly R[], by: (one: R) => number, name: (one: R) => string): R[] =>
  all.toSorted((a, b) => by(b) - by(a) || names.compare(name(a), name(b)));

type Host = ResourceOf['Host'];

/** The link with the most to do: by its share of its capacity, where that is known. */
export const busiest = (links: readonly LinkFigures[] = []): LinkFigures | undefined =>
  links.toSorted((a, b) => (b.utilization ?? -1) - (a.utilization ?? -1) || traffic(b) - traffic(a))[0];

function hostBadness({ status }: Host, sick: number): number {
  const verdict = status?.verdict?.verdict;
  return (status?.state === 'ready' ? 0 : 1000) + (verdict === undefined || verdict === 'fine' ? 0 : verdict === 'unknown' ? 1
    : 500) + sick;
}

const hosts: TopTable = {
  columns: [left('HOST'), left('STATE'), left('VERDICT'), right('SICK'), left('LINK'), right('RX'), right('TX'), right('BUSY'),
    right('SIRQ'), right('LATE')],
  sorts: ['trouble', 'traffic', 'softirq', 'name'],
  rows: ({ hosts, paths }, sort) => {
    const sickOf = (name: string): number => paths.filter((path) => path.spec.from === name && pathRank(path) === 'bad').length;
    const by = (host: Host): number => {
      const counters = host.status?.counters;
      if (sort === 'trouble') return hostBadness(host, sickOf(host.name));
      const link = busiest(counters?.links);
      return sort === 'traffic' ? link ? traffic(link) : 0 : sort === 'softirq' ? counters?.host.softirq ?? 0 : 0;
    };
    return ordered(hosts, by, ({ name }) => name).map((host) => {
      const { status } = host;
      const [link, verdict, own] = [busiest(status?.counters?.links), status?.verdict, status?.counters?.host];
      const sick = sickOf(host.name);
      const bad = hostBadness(host, sick);
      return {
        cells: [
          host.name, status?.state ?? 'untold', verdict ? `${verdict.verdict} ${votes(verdict).replace(' of ', '/')}` : '-',
            `${sick}/${paths.filter(({ spec }) => spec.from === host.name).length}`,
          link?.name ?? '-', link ? formatRate(link.rxBytes) : '-', link ? formatRate(link.txBytes) : '-', link?.utilization === undefined
            ? '-' : formatShare(link.utilization),
          own ? formatShare(own.softirq) : '-', own ? formatFine(own.lateness) : '-',
        ],
        colour: bad >= 500 ? 'red' : bad > 0 ? 'yellow' : undefined,
      };
    });
  },
};

const PATH_COLOURS: Readonly<Record<(typeof pathRanks)[number],
  Colour | undefined>> = { bad: 'red', odd: 'yellow', unknown: 'dim', fine: undefined };

const paths: TopTable = {
  columns: [left('FROM'), left('TO'), left('PATH'), left('STATE'), left('USE'), right('LOSS'), right('RTT-MS'), right('JITTER'),
    left('TROUBLE')],
  sorts: ['trouble', 'loss', 'rtt', 'name'],
  rows: ({ paths }, sort) => {
    const by = (path: ResourceOf['Path']): number => {
      const window = path.status?.report.window;
      if (sort === 'loss') return window ? lossOf(window)?.total ?? 0 : 0;
      if (sort === 'rtt') return window?.rtt?.p50 ?? 0;
      return sort === 'trouble' ? -pathRanks.indexOf(pathRank(path)) : 0;
    };
    return ordered(paths, by, ({ name }) => name).map((path) => {
      const { spec, status } = path;
      const window = status?.report.window;
      return {
        cells: [
          spec.from, spec.to, spec.path, pathState(path), status ? status.inUse ? 'yes' : 'NO' : '-', (window && lossCell(window)) ?? '-',
            window?.rtt ? `${brief(window.rtt.p50)}/${brief(window.rtt.p99)}` : '-',
          window?.rtt ? brief(window.rtt.jitter) : '-', pathTrouble(path) ?? '',
        ],
        colour: PATH_COLOURS[pathRank(path)],
      };
    });
  },
};

interface Nic extends NicFigures {
  readonly host: string;
}
const lostOf = (nic: NicFigures): number => nic.rxDrops + nic.txDrops + nic.rxErrors + nic.txErrors;
const packets = (n: number): string => `${n < 9_999.5 ? n.toFixed(0) : `${(n / 1000).toFixed(0)}k`}/s`;

const nics: TopTable = {
  columns: [left('VM'), right('NIC'), left('HOST'), right('RX'), right('TX'), right('RX-PKTS'), right('TX-PKTS'), right('DROPS'),
    right('ERRORS')],
  sorts: ['traffic', 'packets', 'drops', 'name'],
  rows: ({ hosts }, sort) => {
    const all = hosts.flatMap(({ name, status }) => (status?.counters?.nics ?? []).map((nic): Nic => ({ ...nic, host: name })));
    const by = (nic: Nic): number =>
      (sort === 'traffic' ? traffic(nic) : sort === 'packets' ? nic.rxPackets + nic.txPackets : sort === 'drops' ? lostOf(nic) : 0);
    return ordered(all, by, ({ vm, nic }) => `${vm}/${nic}`).map((nic) => ({
      cells: [
        nic.vm, String(nic.nic), nic.host, formatRate(nic.rxBytes), formatRate(nic.txBytes), packets(nic.rxPackets), packets(nic.txPackets),
        packets(nic.rxDrops + nic.txDrops), packets(nic.rxErrors + nic.txErrors),
      ],
      colour: lostOf(nic) > 0 ? 'yellow' : undefined,
    }));
  },
};

export const topTables: Readonly<Record<TopView, TopTable>> = { hosts, paths, nics };

/** `3 hosts, 1 silent; 6 ways, 1 sick; 180.0 GiB free`. */
export function topSummary({ hosts, paths }: TopData): string {
  const silent = hosts.filter(({ status }) => status?.state !== 'ready').length;
  const sick = paths.filter((path) => pathRank(path) === 'bad').length;
  const free = hosts.reduce((sum, { status }) => sum + (status?.state === 'ready' ? status.freeMemory : 0), 0);
  return `${hosts.length} hosts${silent > 0 ? `, ${silent} silent` : ''}; ${paths.length} ways${sick > 0 ? `, ${sick} sick` : ''}; `
    + `${formatBytes(free)} free`;
}
