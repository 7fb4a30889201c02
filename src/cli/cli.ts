/**
 * cli/: the program `godwit`, and printing for people. stdout is for data, stderr for progress; no colour, bars or
 * moving lines when the stream is not a terminal or NO_COLOR or CI is set. Commands (`command-*.ts`) are functions of an Api and an
 * Io; `program.ts` parses the words, `main.ts` gives them the real ones. This file is what other rooms print with.
 */
export { type ClientView, type StreamView, clientTrouble } from './client-view.ts';
export { type ComparisonSide, formatComparison } from './comparison.ts';
export type { ProgressOptions } from './progress-line.ts';
export { formatReceipt } from './receipt.ts';
export { type Style, styleOf } from './style.ts';
export { type Column, type TableOptions, formatTable, left, right } from './table.ts';
