/** A horizontal bar in eighths of a column, or whole columns of `#` in ASCII. */

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** At most `width` columns, full only at 1; `fraction` is held to 0..1. Anything above 0 shows, where there are eighths. */
export function bar(fraction: number, width: number, unicode: boolean): string {
  const filled = Math.min(1, Math.max(0, fraction)) * width;
  if (!unicode) return '#'.repeat(Math.floor(filled));
  const eighths = filled > 0 ? Math.max(1, Math.floor(filled * 8)) : 0;
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
}
