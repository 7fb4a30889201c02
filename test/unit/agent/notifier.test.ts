/** Routers' notify hooks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Notifier } from '../../../src/agent/notifier.ts';
import { silentLog } from '../../../src/base/log.ts';
import type { RouterTransition } from '../../../src/model/virtual-router.ts';
import { drain } from './manual-clock.ts';

const transition = (router: string, sequence: number): RouterTransition => ({
  sequence, pulse: 'p1', router, at: 0, from: 'backup', to: sequence % 2 === 1 ? 'active' : 'backup', rule: `rule ${sequence}`, priority: 100, adverts: [],
  lateness: { now: 0, worst: 0 }, link: 'up', down: [],
});

test('of what comes while a hook runs the newest alone follows it; routers do not wait for each other; a failure stops nothing', async () => {
  const runs: { readonly words: string; end(): void; fail(error: Error): void }[] = [];
  const notifier = new Notifier((script, args) => new Promise((end, fail) => void runs.push({ words: [script, ...args].join(' '), end, fail })), silentLog);
  for (let sequence = 1; sequence <= 20; sequence++) notifier.notify('hook', transition('gw', sequence));
  notifier.notify('hook', transition('other', 1));
  assert.deepEqual(runs.map(({ words }) => words), ['hook gw active 100 rule 1', 'hook other active 100 rule 1']);
  runs[0]?.fail(new Error('no'));
  await drain();
  assert.deepEqual(runs.slice(2).map(({ words }) => words), ['hook gw backup 100 rule 20']);
  notifier.notify('hook', transition('gw', 21));
  runs[2]?.end();
  await drain();
  assert.equal(runs[3]?.words, 'hook gw active 100 rule 21');
  notifier.notify('hook', transition('gw', 22));
  for (const { end } of runs) end();
  // What waits is not begun any more.
  await notifier.close();
  assert.equal(runs.length, 4);
});
