import { test } from 'node:test';
import { type ComparisonSide, formatComparison } from '../../../src/cli/cli.ts';
import { golden } from './golden.ts';
import { plain, rich } from './receipts.ts';

const qemu: ComparisonSide = {
  name: 'plain QEMU', moves: 4, lostToGuest: 231, lostToClient: 187, duplicated: 0, reordered: 2, largestGapMs: [104, 182.4, 97, 1210],
  stopToResumeMs: [14, 22.5, 18, 31], totalMs: [812, 790.5, 655, 70_400], sessionsOpened: 32, sessionsAlive: 31, largestStallMs: 1410,
};
const godwit: ComparisonSide = {
  name: 'Godwit', moves: 3, lostToGuest: 0, lostToClient: 0, duplicated: 0, reordered: 0, largestGapMs: [91, 35.6, 55],
  stopToResumeMs: [13.1], totalMs: [], sessionsOpened: 24, sessionsAlive: 24, largestStallMs: 96.2,
};

test('two sides', () => golden('comparison', formatComparison(qemu, godwit, rich)));
test('two sides in ASCII', () => golden('comparison-plain', formatComparison(qemu, { ...godwit, name: 'a'.repeat(80) }, plain)));
