/**
 * cli/: printing for people. stdout is for data, stderr for progress; no colour anywhere, and no bars or moving lines when the
 * stream is not a terminal or NO_COLOR or CI is set. Nothing here asks a host or decides anything: values in, text out.
 */
export { type ClientView, type StreamView, clientTrouble } from './client-view.ts';
export { type ComparisonSide, formatComparison } from './comparison.ts';
export { type ProgressOptions, MoveProgressView } from './progress.ts';
export { formatReceipt } from './receipt.ts';
export { type Style, styleOf } from './style.ts';
export { type Column, type TableOptions, formatTable, left, right } from './table.ts';
