/** A host as fields and sections, for `describe`: the machine, its agent, what the others make of it, and what it counts. */
import type { ResourceOf } from '../api/api.ts';
import type { CounterReport, LinkFigures } from '../model/counters.ts';
import type { VerdictReport } from '../model/event.ts';
import { hostDefaults } from '../model/host.ts';
import { type Section, ago, commas, fields, labels, tableOrNone } from './section.ts';
import { left, right } from './table.ts';
import { formatBytes, formatFine, formatMs, formatRate, formatShare, wrap } from './text.ts';

const LINKS_SHOWN = 12;
const NO_VERDICT = 'none: no other host says whether it hears this one (a lone host, a server that has just begun, or detect.bfd: false)';
const perSecond = (n: number): string => `${n === 0 || n >= 9.95 ? n.toFixed(0) : n < 0.05 ? '<0.1' : n.toFixed(1)}/s`;

export function hostSections(h: ResourceOf['Host'], now: number): Section[] {
  const s = h.status;
  const paths = Object.entries(h.spec.paths ?? {}).map(([name, address]) => `${name} ${address}`);
  return [
    {
      lines: fields([
        ['Name', h.name], ['Labels', labels(h)], ['State', s?.state ?? 'never reported'], ['Last report', ago(s?.lastReport, now)],
        ['Address', h.spec.address], ['Other paths', paths.join(', ')], ['Peer port', h.spec.peerPort ?? hostDefaults.peerPort],
        ['Bandwidth', `${h.spec.maxBandwidth ?? hostDefaults.maxBandwidth} for all moves, per direction`],
        ['Moves', `${h.spec.moves ?? hostDefaults.moves} at a time`],
      ]),
    },
    ...(s === undefined ? [] : [
      {
        title: 'Machine', lines: fields([
          ['CPU', `${s.cpus} x ${s.cpu}`], ['Memory', `${formatBytes(s.memory)}, ${formatBytes(s.freeMemory)} free`],
          ['Accelerators', commas(s.accelerators)], ['QEMU', s.qemu], ['Kernel', s.kernel],
          ['Bridges', commas(Object.entries(s.bridges).map(([name, { mtu }]) => `${name} (MTU ${mtu})`))],
          ['Lacks', s.missingFeatures.join(', ')],
        ]),
      },
      {
        title: 'Agent', lines: fields([
          ['Version', s.agent.version], ['Started', ago(s.agent.startedAt, now)],
          ['Cost', `${formatMs(s.agent.cpuTime)} of CPU, ${formatBytes(s.agent.residentMemory)} of memory`],
          ['Late', s.agent.lateness === undefined ? undefined : `${formatFine(s.agent.lateness)} at worst, since its last report`],
        ]),
      },
      { title: 'Verdict', lines: s.verdict ? verdictLines(s.verdict) : wrap(NO_VERDICT) },
      ...(s.counters ? counterSections(s.counters, now) : []),
      ...(s.troubles && s.troubles.length > 0
        ? [{ title: 'Troubles', lines: s.troubles.flatMap((trouble) => wrap(trouble, '- ')) }] : []),
    ]),
  ];
}

/** `3 of 4`: so many of those asked had a vote. */
export const votes = ({ voters, observers }: VerdictReport): string => `${voters} of ${observers}`;

/** The verdict with its denominator: who was asked, who abstained and why, who saw it otherwise, by how many probes. */
export const verdictLines = (v: VerdictReport, page?: number): string[] => fields([
  ['Verdict', `${v.verdict}: ${v.because}`], ['Paths', v.paths.join(', ')], ['Votes', `${votes(v)} hosts asked had a vote`],
  ['Without one', Object.entries(v.abstained).map(([host, why]) => `${host} (${why})`).join(', ')],
  ['Disagree', v.disagreed.length === 0 ? 'nobody' : v.disagreed.join(', ')],
  ['Packets', `${v.arrivals} came from it, ${v.probes} were sent to it, of all who had a vote`],
  ['Late', `${formatFine(v.worstLateness)} at worst, of those who had a vote`],
], page);

function counterSections({ at, links, tcp, host }: CounterReport, now: number): Section[] {
  const busy = links.toSorted((a, b) => (b.utilization ?? 0) - (a.utilization ?? 0) || traffic(b) - traffic(a));
  const more = busy.length > LINKS_SHOWN ? [`and ${busy.length - LINKS_SHOWN} less busy ones: godwit get host NAME -o json has all`] : [];
  return [
    {
      title: 'Counted in the last second', lines: fields([
        ['At', ago(at, now)], ['Softirq', `${formatShare(host.softirq)} of all processors`],
        ['Dropped early', host.backlogDrops === 0 ? undefined
          : `${host.backlogDrops} packets, before any socket: no room in the kernel's backlog`],
        ['Squeezed', host.squeezed === 0 ? undefined : `${host.squeezed} times the kernel stopped with packets left`],
        ['Monitor late', `${formatFine(host.lateness)} at worst`], ['Monitor costs', `${formatShare(host.cost)} of a core`],
      ]),
    },
    {
      title: 'Links', lines: [...tableOrNone(
        [left('LINK'), right('RX'), right('TX'), right('BUSY'), right('DROPS'), right('ERRORS'), right('QUEUED')],
        busy.slice(0, LINKS_SHOWN).map((link) => [
          link.name, formatRate(link.rxBytes), formatRate(link.txBytes), link.utilization === undefined ? '-'
            : formatShare(link.utilization),
          perSecond(link.rxDrops + link.txDrops + queueDrops(link)), perSecond(link.rxErrors + link.txErrors),
            formatBytes(Math.max(0, ...link.queues.map(({ backlog }) => backlog))),
        ]),
      ), ...more],
    },
    ...(tcp.length === 0 ? [] : [{
      title: 'TCP', lines: tableOrNone(
        [left('WHAT'), left('TO'), right('RTT'), right('RESENT'), right('DELIVERS'), right('WINDOW')],
        tcp.map((c) =>
          [c.what, c.to, formatFine(c.rtt), `${c.retransmitted.toFixed(0)} of ${c.sent.toFixed(0)}`, formatRate(c.deliveryRate), c.congestionWindow]),
      ),
    }]),
  ];
}

export const traffic = ({ rxBytes, txBytes }: { readonly rxBytes: number; readonly txBytes: number }): number => rxBytes + txBytes;
/** Classes are under the root: what they dropped is in its count. */
const queueDrops = ({ queues }: LinkFigures): number => Math.max(0, ...queues.map(({ drops }) => drops));
