/** Two pulses whose plans do not agree: what one of them says is heard by the other, or there would be two Actives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouterPlan } from '../../../src/model/virtual-router.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { type MemoryPulse, plan, withPulses } from './memory-pulses.ts';

const want = (pulse: MemoryPulse, change: Partial<RouterPlan>): Promise<void> => pulse.pulse.command({ kind: 'routers', routers: [plan('r1', change)] });
const states = (...all: readonly MemoryPulse[]): string[] => all.map((one) => one.status('r1').state);

test('the interval of version 2 is changed on one host after the other, in either order: no role changes, and it is shown', () => withPulses(async (pulses) => {
  const [a, b] = [pulses.start('a'), pulses.start('b')];
  const [strong, weak] = [{ version: 2, priority: 200 }, { version: 2, priority: 100 }] as const;
  await want(a, strong);
  await want(b, weak);
  await pulses.network.advance(5000);
  assert.deepEqual(states(a, b), ['active', 'backup']);
  const before = [a, b].map((one) => one.transitions().length);
  for (const [first, second] of [[a, b], [b, a]] as const) {
    for (const interval of [5000, 1000]) {
      await want(first, { ...(first === a ? strong : weak), interval });
      await pulses.network.advance(60_000);
      assert.deepEqual(states(a, b), ['active', 'backup']);
      assert.match(b.status('r1').differences.join(), /192\.0\.2\.11 sends every \d+ ms, configured here: \d+ ms \(version 2 needs the same everywhere\)/);
      await want(second, { ...(second === a ? strong : weak), interval });
      await pulses.network.advance(60_000);
      assert.deepEqual(b.status('r1').differences, []);
    }
  }
  assert.deepEqual([a, b].map((one) => one.transitions().length), before);
  assert.deepEqual(b.status('r1').counters.dropped, {});
}));

test('two hosts with one source: the weaker one stays Backup, and it is shown', () => withPulses(async (pulses) => {
  const [a, b] = [pulses.start('a'), pulses.start('b')];
  for (const { ground } of [a, b]) ground.setSources('e0', [parseIpAddress('192.0.2.77')]);
  await want(a, { priority: 200 });
  await want(b, { priority: 100 });
  await pulses.network.advance(20_000);
  assert.deepEqual(states(a, b), ['active', 'backup']);
  assert.match(b.status('r1').differences.join(), /own address 192\.0\.2\.77/);
  assert.equal(b.lines.filter((line) => line.includes('own address')).length, 1);
}));
