/** Plain aligned tables. Cells may hold control sequences: they take no width. */
import { visibleWidth } from './text.ts';

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

export const left = (title: string): Column => ({ title, align: 'left' });
/** For numbers. */
export const right = (title: string): Column => ({ title, align: 'right' });

export interface TableOptions {
  /** Columns of space in front of every line. */
  readonly indent?: number;
  /** A line of dashes below the titles. */
  readonly rule?: boolean;
  /** The least width of each column: a table that grows keeps what `columnWidths` said of its first rows. */
  readonly widths?: readonly number[];
}

type Rows = readonly (readonly (string | number)[])[];

export const columnWidths = (columns: readonly Column[], rows: Rows, least: readonly number[] = []): number[] =>
  columns.map(({ title }, i) => Math.max(least[i] ?? 0, visibleWidth(title), ...rows.map((row) => visibleWidth(String(row[i] ?? '')))));

const GAP = '  ';

/** One string per line, none with trailing space; a missing cell is empty. The titles are left out when all of them are empty. */
export function formatTable(columns: readonly Column[], rows: Rows, options: TableOptions = {}): string[] {
  const body = rows.map((row) => columns.map((_, i) => String(row[i] ?? '')));
  const titles = columns.map(({ title }) => title);
  const header = titles.some((title) => title !== '') ? [titles] : [];
  const widths = columnWidths(columns, body, options.widths);
  const rule = options.rule && header.length > 0 ? [widths.map((width) => '-'.repeat(width))] : [];
  return [...header, ...rule, ...body].map((row) => {
    const cells = row.map((cell, i) => {
      const space = ' '.repeat((widths[i] ?? 0) - visibleWidth(cell));
      return columns[i]?.align === 'right' ? space + cell : cell + space;
    });
    return (' '.repeat(options.indent ?? 0) + cells.join(GAP)).trimEnd();
  });
}
