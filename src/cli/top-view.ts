/** `godwit top` as a pure thing: keys change its state, state and data make the lines of a frame. */
import { type Style, paint } from './style.ts';
import { formatTable } from './table.ts';
import { clip } from './text.ts';
import { type TopData, type TopView, topSummary, topTables, topViews } from './top-tables.ts';

export interface TopState {
  readonly view: TopView;
  /** Of each view: which of its `sorts`. */
  readonly sorts: Readonly<Record<TopView, number>>;
  /** The first row shown. */
  readonly offset: number;
}

export const firstState = (view: TopView): TopState => ({ view, sorts: { hosts: 0, paths: 0, nics: 0 }, offset: 0 });

export type TopKey = 'quit' | 'next' | 'previous' | 'sort' | 'up' | 'down' | 'page-up' | 'page-down' | 'home';

const KEYS: Readonly<Record<string, TopKey>> = {
  q: 'quit', Q: 'quit', '\u0003': 'quit', '\u0004': 'quit', '\t': 'next', '\u001b[C': 'next', '\u001b[Z': 'previous',
    '\u001b[D': 'previous', s: 'sort', S: 'sort',
  '\u001b[A': 'up', k: 'up', '\u001b[B': 'down', j: 'down', '\u001b[5~': 'page-up', '\u001b[6~': 'page-down', ' ': 'page-down',
    '\u001b[H': 'home', g: 'home',
  // As terminals send arrows in application mode.
  '\u001bOA': 'up', '\u001bOB': 'down', '\u001bOC': 'next', '\u001bOD': 'previous',
};

/** What was typed, as it came in one piece; unknown keys are nothing. */
export const keysIn = (typed: string): TopKey[] =>
  // A sequence that a terminal sends for one key, or a single character.
  // oxlint-disable-next-line no-control-regex -- such a sequence begins with ESC
  [...typed.matchAll(/\u001b\[[0-9;]*[A-Za-z~]|\u001bO[A-Z]|[^]/gu)].flatMap(([key]) => KEYS[key] ?? []);

/** `page`: rows of a frame. `quit` is the driver's. */
export function press(state: TopState, key: TopKey, page: number): TopState {
  const moved = (by: number): TopState => ({ ...state, offset: Math.max(0, state.offset + by) });
  switch (key) {
    case 'next':
    case 'previous': {
      const step = key === 'next' ? 1 : topViews.length - 1;
      const view = topViews[(topViews.indexOf(state.view) + step) % topViews.length] ?? state.view;
      return { ...state, view, offset: 0 };
    }
    case 'sort': return { ...state, offset: 0,
      sorts: { ...state.sorts, [state.view]: (state.sorts[state.view] + 1) % topTables[state.view].sorts.length } };
    case 'up': return moved(-1);
    case 'down': return moved(1);
    case 'page-up': return moved(-page);
    case 'page-down': return moved(page);
    case 'home': return { ...state, offset: 0 };
    case 'quit': return state;
  }
}

export interface Size {
  readonly columns: number;
  /** undefined: as many as there are. */
  readonly rows: number | undefined;
}

/** Title, tabs, an empty line, the columns' titles; and the keys below. */
const HEAD = 4;
const FOOT = 1;
/** Rows of the table in a frame. */
export const pageOf = ({ rows }: Size): number => (rows === undefined ? Infinity : Math.max(1, rows - HEAD - FOOT));

export interface TopNotes {
  /** ms since the epoch, of the data. */
  readonly at: number;
  /** What went wrong since, in words. */
  readonly trouble?: string | undefined;
}

/** At most `rows` lines of at most `columns`. */
export function frame(state: TopState, data: TopData, size: Size, notes: TopNotes, style: Style): string[] {
  const { view } = state;
  const table = topTables[view];
  const sort = table.sorts[state.sorts[view]] ?? table.sorts[0] ?? 'name';
  const rows = table.rows(data, sort);
  const page = pageOf(size);
  const offset = Math.min(state.offset, Math.max(0, rows.length - page));
  const shown = rows.slice(offset, offset + page);
  // Widths are those of all rows: columns must not jump when one scrolls.
  const [titles = '', ...lines] = formatTable(table.columns, rows.map(({ cells }) => cells.map((cell) => clip(cell, size.columns))));
  const tabs = topViews.map((name) => (name === view ? `[${name}]` : ` ${name} `)).join(' ');
  const head = notes.trouble ?? topSummary(data);
  return [
    clipTo(`godwit top  ${new Date(notes.at).toISOString().slice(11, 19)} UTC  ${head}`, size, notes.trouble === undefined ? undefined
      : 'red', style),
    clipTo(`${tabs}   by ${sort}${rows.length > shown.length ? `, ${offset + 1} to ${offset + shown.length} of ${rows.length}` : ''}`,
      size, undefined, style).replace(`[${view}]`, paint(style, 'inverse', `[${view}]`)), '',
    clipTo(titles, size, 'bold', style),
    ...lines.slice(offset, offset + page).map((line, i) => clipTo(line, size, shown[i]?.colour, style)),
    ...(rows.length === 0 ? [clipTo(EMPTY[view], size, undefined, style)] : []),
    ...(size.rows === undefined ? []
      : [...Array.from({ length: Math.max(0, page - Math.max(1, shown.length)) }, () => ''),
      clipTo('q quit  s sort  Tab, left, right view  up, down, PgUp, PgDn scroll', size, 'dim', style)]),
  ];
}

const EMPTY: Readonly<Record<TopView, string>> = {
  hosts: 'no hosts: godwit token create says how one joins', paths: 'no paths: it takes two hosts whose monitors run',
    nics: 'no NICs: no VM runs, or no monitor tells of it',
};

/** Cut before it is coloured: a sequence must not be cut in half. */
function clipTo(line: string, { columns }: Size, colour: Parameters<typeof paint>[1] | undefined, style: Style): string {
  const points = [...line];
  const text = points.length <= columns ? line : `${points.slice(0, columns - 1).join('')}~`;
  return colour === undefined ? text : paint(style, colour, text);
}
