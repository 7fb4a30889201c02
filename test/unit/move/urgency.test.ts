import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, getPriority } from 'node:os';
import { test } from 'node:test';
import { raise } from '../../../src/move/urgency.ts';

test('what two moves raise is put back by the last of them, and only once each', async (t) => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    await once(child, 'spawn');
    const { pid } = child;
    assert.ok(pid !== undefined);
    const before = getPriority(pid);
    const first = raise(pid);
    if (getPriority(pid) === before) return t.skip('this user may not raise a priority');
    const second = raise(pid);
    first();
    first();
    assert.equal(getPriority(pid), constants.priority.PRIORITY_HIGHEST);
    second();
    assert.equal(getPriority(pid), before);
    const third = raise(pid);
    assert.equal(getPriority(pid), constants.priority.PRIORITY_HIGHEST);
    third();
    assert.equal(getPriority(pid), before);
  } finally {
    child.kill('SIGKILL');
  }
});
