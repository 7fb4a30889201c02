/** `godwit top`: the frames of top-view.ts on a terminal, once a second; without a terminal one frame, and the end. */
import { type Api, ApiError } from '../api/api.ts';
import { nearest } from '../api/nearest.ts';
import { formatError } from '../base/error.ts';
import { seconds } from '../base/units.ts';
import { usageError } from './cli-error.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { type Io, print, styleOfOut } from './io.ts';
import { NARROW } from './text.ts';
import { type TopData, type TopView, topViews } from './top-tables.ts';
import { type Size, type TopState, firstState, frame, keysIn, pageOf, press } from './top-view.ts';

const REFRESH = seconds(1);
const DEFAULT_ROWS = 24;
/** The screen that a terminal keeps beside the one with the scrollback, without a cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const REST_OF_LINE = '\u001b[K';
const REST_OF_SCREEN = '\u001b[J';

/** Throws CLI_USAGE. */
export function parseView(word: string): TopView {
  const found = topViews.find((view) => view === word.toLowerCase());
  if (found) return found;
  const meant = nearest(word, topViews);
  throw usageError(`There is no view ${JSON.stringify(word)}: `
    + (meant === undefined ? `name one of ${topViews.join(', ')}` : `did you mean ${meant}?`));
}

export async function top(api: Api, io: Io, view: TopView): Promise<ExitCode> {
  const data = await load(api);
  if (io.out.isTTY !== true) {
    print(io,
      frame(firstState(view), data, { columns: io.out.columns ?? NARROW, rows: undefined }, { at: io.clock.now() },
      styleOfOut(io)).join('\n'));
    return exitCodes.fine;
  }
  await live(api, io, view, data);
  return exitCodes.fine;
}

/** Counters are only told of a host that is asked for by name. One that went meanwhile is shown once more. */
async function load(api: Api): Promise<TopData> {
  const [hosts, paths] = await Promise.all([api.list('Host'), api.list('Path')]);
  return { paths, hosts: await Promise.all(hosts.map((host) => api.get('Host', host.name).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) return host;
    throw error;
  }))) };
}

/** Whatever ends it, the terminal is as it was: by key, signal, error, or the end of the process. */
async function live(api: Api, io: Io, view: TopView, first: TopData): Promise<void> {
  const leave = new AbortController();
  let state: TopState = firstState(view);
  let [data, at, trouble]: [TopData, number, string | undefined] = [first, io.clock.now(), undefined];
  let entered = false;
  // A full last column would wrap, or lose its last character to the clearing of the rest.
  const size = (): Size => ({ columns: (io.out.columns || NARROW) - 1, rows: io.out.rows || DEFAULT_ROWS });
  const draw = (): void => {
    if (!entered) return;
    const lines = frame(state, data, size(), { at, trouble }, styleOfOut(io));
    io.out.write(`${HOME}${lines.map((line) => line + REST_OF_LINE).join('\r\n')}${REST_OF_SCREEN}`);
  };
  const restore = (): void => {
    if (entered) io.out.write(LEAVE);
    entered = false;
    leave.abort();
  };
  const offs = [
    io.onInterrupt(restore), ...(io.onEnd ? [io.onEnd(restore)] : []),
    ...(io.onKeys ? [io.onKeys((bytes) => {
      for (const key of keysIn(Buffer.from(bytes).toString('utf8'))) {
        if (key === 'quit') return restore();
        state = press(state, key, pageOf(size()));
      }
      draw();
    })] : []),
  ];
  io.out.write(ENTER);
  entered = true;
  try {
    draw();
    while (!leave.signal.aborted) {
      await io.clock.sleep(REFRESH, leave.signal);
      if (leave.signal.aborted) return;
      try {
        [data, at, trouble] = [await load(api), io.clock.now(), undefined];
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        // The server may come back: what was known stays, with its time.
        trouble = formatError(error);
      }
      draw();
    }
  } finally {
    restore();
    for (const off of offs) off();
  }
}
