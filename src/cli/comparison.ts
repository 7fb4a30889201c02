/** Two ways of moving, side by side, by what their clients saw. */
import { type Style, arrow, styleOf } from './style.ts';
import { formatTable, left, right } from './table.ts';
import { clip, formatMs } from './text.ts';

/** What a number of moves came to. Lists hold one value per move, in ms; counts are sums over all moves. */
export interface ComparisonSide {
  readonly name: string;
  readonly moves: number;
  /** Packets, as are the next three. */
  readonly lostToGuest: number;
  readonly lostToClient: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly largestGapMs: readonly number[];
  readonly stopToResumeMs: readonly number[];
  readonly totalMs: readonly number[];
  readonly sessionsOpened: number;
  readonly sessionsAlive: number;
  readonly largestStallMs: number;
}

const NAME_WIDTH = 28;

/** A table, without a newline at its end. */
export function formatComparison(
  plain: ComparisonSide, godwit: ComparisonSide, style: Style = styleOf(process.stdout, process.env),
): string {
  const sides = [plain, godwit];
  const row = (title: string, cell: (side: ComparisonSide) => string | number): (string | number)[] => [title, ...sides.map(cell)];
  return formatTable([left(''), ...sides.map(({ name }) => right(clip(name, NAME_WIDTH)))], [
    row('moves', (s) => s.moves),
    row('packets lost, to the guest', (s) => s.lostToGuest),
    row('packets lost, to the client', (s) => s.lostToClient),
    row('packets duplicated', (s) => s.duplicated),
    row('packets reordered', (s) => s.reordered),
    row('largest gap, median (max)', (s) => medianAndMax(s.largestGapMs)),
    row('TCP sessions alive', (s) => `${s.sessionsAlive} of ${s.sessionsOpened}`),
    row('largest TCP stall', (s) => formatMs(s.largestStallMs)),
    row(`STOP ${arrow(style)} RESUME, median (max)`, (s) => medianAndMax(s.stopToResumeMs)),
    row('whole move, median (max)', (s) => medianAndMax(s.totalMs)),
  ], { rule: true }).join('\n');
}

/** `-` for no values, `12.0 ms` for one. */
function medianAndMax(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const max = sorted.at(-1);
  if (upper === undefined || max === undefined) return '-';
  if (sorted.length === 1) return formatMs(upper);
  const lower = sorted.length % 2 === 0 ? (sorted[middle - 1] ?? upper) : upper;
  return `${formatMs((lower + upper) / 2)} (${formatMs(max)})`;
}
