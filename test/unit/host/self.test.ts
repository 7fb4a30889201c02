import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMeminfo } from '../../../src/host/self.ts';

test('memory: what there is and what can be had, in bytes', () => {
  const text = 'MemTotal:       24561420 kB\nMemFree:          211456 kB\nMemAvailable:   20000000 kB\nSwapTotal: 1 kB\n';
  assert.deepEqual(parseMeminfo(text), { total: 24561420 * 1024, available: 20_480_000_000 });
  assert.deepEqual(parseMeminfo(''), { total: 0, available: 0 });
});
