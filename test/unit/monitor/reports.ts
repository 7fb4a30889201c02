/** Reports to be told, in which nothing happens but what a test says. */
import type { CounterReport, HostFigures, LinkFigures, NicFigures, Traffic } from '../../../src/model/counters.ts';
import type { ClassFigures, PathReport } from '../../../src/model/path.ts';

const quiet: Traffic = { rxBytes: 0, txBytes: 0, rxPackets: 0, txPackets: 0, rxDrops: 0, txDrops: 0, rxErrors: 0, txErrors: 0 };

export const linkFigures = (name: string, more: Partial<LinkFigures> = {}): LinkFigures => ({ name, ...quiet, queues: [], ...more });
export const nicFigures = (vm: string, nic: number, more: Partial<NicFigures> = {}): NicFigures => ({ vm, nic, ...quiet, ...more });

export const counterReport = (at: number, more: Partial<Omit<CounterReport, 'host'>> & { readonly host?: Partial<HostFigures> } = {}): CounterReport => ({
  at, links: [], nics: [], tcp: [], ...more, host: { softirq: 0, backlogDrops: 0, squeezed: 0, lateness: 0, cost: 0, ...more.host },
});

export const classFigures = (more: Partial<ClassFigures> = {}): ClassFigures => ({
  dscp: 0, sent: 10, answered: 10, lost: { forward: 0, backward: 0, unknown: 0 }, late: 0, duplicates: 0, reordered: { forward: 0, backward: 0 }, ...more,
});

export const pathReport = (peer: string, at: number, more: Partial<PathReport> = {}): PathReport => ({
  peer, path: 'main', source: '10.0.0.1', destination: '10.0.0.2', at, rate: 10, classes: [classFigures()], window: classFigures(),
  mtu: { wanted: 1500, passes: 1500, blackHole: false }, quality: { state: 'fit', since: 0, loss: 0, slowLoss: 0, suspicious: false }, ...more,
});
