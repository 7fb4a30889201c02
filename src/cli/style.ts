/** What a stream can show. */
export interface Style {
  /** Bars, colours and a line that is written anew: a terminal, and nobody asked for plain text. */
  readonly bars: boolean;
  /** Arrows and block characters; ASCII otherwise. */
  readonly unicode: boolean;
}

/**
 * `NO_COLOR` counts when it is not empty (no-color.org), `CI` unless empty or `false`. UTF-8 is what the locale says: the first of
 * LC_ALL, LC_CTYPE, LANG that is not empty (POSIX XBD 8.2); without one it is the C locale, ASCII.
 */
export function styleOf(stream: { readonly isTTY?: boolean | undefined }, env: Readonly<Record<string, string | undefined>>): Style {
  const plain = Boolean(env['NO_COLOR']) || (Boolean(env['CI']) && env['CI'] !== 'false') || env['TERM'] === 'dumb';
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || 'C';
  return { bars: stream.isTTY === true && !plain, unicode: /utf-?8/i.test(locale) };
}

export const arrow = ({ unicode }: Style): string => (unicode ? '→' : '->');

const COLOURS = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1, inverse: 7 } as const;
export type Colour = keyof typeof COLOURS;

/** Coloured where bars are: on a terminal, and nobody asked for plain text. What it says must not hang on the colour. */
export const paint = ({ bars }: Style, colour: Colour, text: string): string =>
  (bars && text !== '' ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text);
