/** The receipt of a move as a page of text: the answer first, then the pause, the frames, the proof, and what the client saw. */
import type { MoveTimes, Receipt } from '../model/move.ts';
import { bar } from './bar.ts';
import { type ClientView, formatClientView } from './client-view.ts';
import { headline } from './headline.ts';
import { formatLedger, formatProof } from './proof.ts';
import { type Style, arrow, styleOf } from './style.ts';
import { formatTable, left, right } from './table.ts';
import { clip, formatBytes, formatMs, wrap } from './text.ts';

const CHART_WIDTH = 40;

/** At most PAGE columns wide, without a newline at its end. `client` is what a prober saw, a lab's or an administrator's own. */
export function formatReceipt(receipt: Receipt, client?: ClientView, style: Style = styleOf(process.stdout, process.env)): string {
  const { text, why, todo } = headline(receipt, client);
  const sections: [string, string[]][] = [
    ['Pause', pause(receipt, style)],
    ['Phases', phases(receipt, style)],
    ['Frames redirected', frames(receipt)],
    ['Queues on their way', formatLedger(receipt)],
    ['Proof', formatProof(receipt)],
    ['Seen by the client', client ? formatClientView(client, receipt, style) : []],
    ['Seen by the hosts', client ? [] : hostProbes(receipt, style)],
    ['Notes', receipt.notes.flatMap((note) => wrap(note, '  - '))],
  ];
  return [
    ...wrap(text),
    ...(why === undefined ? [] : wrap(why, 'Why: ')),
    ...(todo === undefined ? [] : wrap(todo, 'What to do: ')),
    '',
    ...summary(receipt),
    ...sections.flatMap(([title, lines]) => (lines.length > 0 ? ['', title, ...lines] : [])),
  ].join('\n');
}

function summary({ move, startedAt, endedAt, copy }: Receipt): string[] {
  const began = `${new Date(startedAt).toISOString().replace('T', ' ').replace('Z', '')} UTC`;
  const lines = wrap(`Move ${move}, ordered ${began}, over after ${formatMs(endedAt - startedAt)}`);
  lines.push(...wrap(`${formatBytes(copy.transferredBytes)} sent in ${copy.passes} ${copy.passes === 1 ? 'pass' : 'passes'}, `
    + `${formatBytes(copy.remainingAtSwitchBytes)} left when last asked`));
  return lines;
}

function pause({ outcome, phases, times }: Receipt, style: Style): string[] {
  const to = ` ${arrow(style)} `;
  const rows: [string, number | undefined][] = [
    [`redirect${to}stop`, times.redirectToStop],
    [`stop${to}loaded`, times.stopToLoaded],
    ['  last pass', times.lastPass],
    ['  device state', times.deviceState],
    ['  load', times.load],
    [`loaded${to}resume`, times.loadedToResume],
    [`STOP${to}RESUME`, times.stopToResume],
  ];
  if (outcome.kind === 'rolled-back') rows.push([`stop${to}running again`, stoodStill(phases, times)]);
  rows.push([outcome.kind === 'moved' ? `total, order${to}running` : `total, order${to}end`, times.total]);
  const reached = rows.filter(([, span]) => span !== undefined);
  return formatTable([left(''), right('')], reached.map(([name, span]) => [name, formatMs(span)]), { indent: 2 });
}

/** On the way back there is no RESUME at the destination; the guest ran again when `resuming` was over. */
function stoodStill(phases: Receipt['phases'], { redirectToStop }: MoveTimes): number | undefined {
  const redirecting = phases.find(({ name }) => name === 'redirecting');
  const resuming = phases.find(({ name }) => name === 'resuming');
  return redirecting && resuming && redirectToStop !== undefined ? resuming.to - redirecting.from - redirectToStop : undefined;
}

function phases({ phases }: Receipt, { bars, unicode }: Style): string[] {
  const longest = Math.max(...phases.map(({ from, to }) => to - from));
  const chart = (span: number): string => (bars && longest > 0 ? bar(span / longest, CHART_WIDTH, unicode) : '');
  const rows = phases.map(({ name, host, from, to }) => [clip(name, 16), clip(host, 24), (to - from).toFixed(1), chart(to - from)]);
  return rows.length > 0 ? formatTable([left('phase'), left('host'), right('ms'), left('')], rows, { indent: 2 }) : [];
}

function hostProbes({ hostProbes: probes }: Receipt, style: Style): string[] {
  if (probes.length === 0) return [];
  const numbers = ['sent', 'answered', 'no answer for', `RESUME ${arrow(style)} first answer`];
  const columns = [right('NIC'), left('asked by'), ...numbers.map(right)];
  const rows = probes.map(({ nic, name, sent, answered, gap, resumeToFirstAnswer }) =>
    [nic, clip(name, 32), sent, answered, formatMs(gap), formatMs(resumeToFirstAnswer)]);
  const sparse = 'The source asks every 50 ms, and no more once the redirect begins: '
    + 'the guest was out of reach for less than it gave no answer.';
  return [...formatTable(columns, rows, { indent: 2 }), ...(probes.some(({ gap }) => gap !== undefined) ? wrap(sparse, '  ') : [])];
}

function frames({ outcome, nics, times }: Receipt): string[] {
  if (nics.length === 0) return [];
  const back = outcome.kind === 'rolled-back';
  const columns = back ? ['redirected', 'came back'] : ['redirected', 'held', 'drained', 'delivered', 'group overlap'];
  const rows = nics.map(({ nic, redirected, held, drained, delivered, overlap }) =>
    (back ? [nic, redirected, delivered] : [nic, redirected, held, drained, delivered, overlap]));
  const lines = formatTable([right('NIC'), ...columns.map(right)], rows, { indent: 2 });
  const overlap = nics.reduce((sum, n) => sum + n.overlap, 0);
  if (!back && times.groupOverlap !== undefined) {
    const twice = overlap === 0 ? 'none came twice' : `at most ${overlap} came twice`;
    lines.push(...wrap(`Group frames came both ways for ${formatMs(times.groupOverlap)}: ${twice}.`, '  '));
  }
  return lines;
}
