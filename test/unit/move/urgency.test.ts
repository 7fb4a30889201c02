/** Precedence that several moves want at a time, on processes that are numbers: raising a real one takes a right that tests need not have. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { raise } from '../../../src/move/urgency.ts';

const PID = 4711;
const HIGHEST = constants.priority.PRIORITY_HIGHEST;

test('what two moves raise is put back by the last of them, and only once each', () => {
  let priority = 5;
  const os = { getPriority: () => priority, setPriority: (_: number, to: number) => void (priority = to) };
  const [first, second] = [raise(PID, os), raise(PID, os)];
  first();
  first();
  assert.equal(priority, HIGHEST);
  second();
  assert.equal(priority, 5);
  const third = raise(PID, os);
  assert.equal(priority, HIGHEST);
  third();
  assert.equal(priority, 5);
});

test('without the right to raise nothing happens, then or later', () => {
  const tries: number[] = [];
  const calm = raise(PID, { getPriority: () => 0, setPriority: (_, to) => {
    tries.push(to);
    throw new Error('EPERM');
  } });
  calm();
  assert.deepEqual(tries, [HIGHEST]);
});
