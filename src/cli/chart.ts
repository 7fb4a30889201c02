/** A small chart of text: columns of eighths of a line, or whole lines of `#` in ASCII. */
import { formatTable, left, right } from './table.ts';

const EIGHTHS = ['', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

export interface ChartOptions {
  readonly rows: number;
  /** The value at its top; the bottom is 0. */
  readonly top: number;
  readonly unicode: boolean;
}

/** One string per row, the top one first, one character per value: `_` is 0; not measured (null) is `·`, or a space in ASCII. */
export function chart(values: readonly (number | null)[], { rows, top, unicode }: ChartOptions): string[] {
  return Array.from({ length: rows }, (_, i) => {
    const below = (rows - 1 - i) / rows;
    return values.map((value) => {
      if (value === null) return i === rows - 1 && unicode ? '·' : ' ';
      if (value <= 0) return i === rows - 1 ? '_' : ' ';
      const filled = Math.min(1, Math.max(0, ((top > 0 ? value / top : 0) - below) * rows));
      if (!unicode) return filled >= 0.5 || i === rows - 1 ? '#' : ' ';
      // What is measured shows, however little it is.
      const eighths = Math.round(filled * 8);
      return EIGHTHS[i === rows - 1 ? Math.max(1, eighths) : eighths] || ' ';
    }).join('');
  });
}

/** With the scale on its left and the span below: `top` and 0 as `format` writes them. */
export function labelledChart(values: readonly (number | null)[],
  options: ChartOptions & { readonly format: (value: number) => string; readonly span: string }): string[] {
  const { rows, top, unicode, format, span } = options;
  const bar = unicode ? '│' : '|';
  const lines = chart(values, { rows, top, unicode }).map((line, i) =>
    [i === 0 ? format(top) : i === rows - 1 && rows > 1 ? format(0) : '', `${bar}${line}`]);
  const now = 'now'.padStart(Math.max(4, values.length + 1 - span.length));
  return formatTable([right(''), left('')], [...lines, ['', ` ${span}${now}`]]);
}
