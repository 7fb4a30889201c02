import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSoftnet, readSoftnet } from '../../../src/host/softnet.ts';

const STAT = 'cpu  100 20 300 4000 50 6 70 8 9 0\ncpu0 100 20 300 4000 50 6 70 8 9 0\nintr 5\n';
const SOFTNET = '0000a0b1 00000002 0000000a 00000000 00000000\n000000ff 00000010 00000001 00000000 00000000\n';

test('software interrupts of all time, the guests\' not counted twice; drops and squeezes of all processors', () => {
  assert.deepEqual(parseSoftnet(STAT, SOFTNET), { softirq: 70, all: 4554, dropped: 0x12, squeezed: 11 });
});

test('a counter that is not there is not zero', () => {
  for (const [stat, softnet] of [['cpu 1 2', SOFTNET], ['', SOFTNET], [STAT, ''], [STAT, 'zz 1 2']] as const) {
    assert.throws(() => parseSoftnet(stat, softnet), { code: 'HOST_COUNTER_MISSING' });
  }
});

test('this machine\'s own', () => {
  const { softirq, all } = readSoftnet();
  assert.ok(all > softirq && softirq >= 0);
});
