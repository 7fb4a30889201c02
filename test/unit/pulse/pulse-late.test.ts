/** A pulse that slept, and is woken by what came in before its own deadline wakes it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mib, ms } from '../../../src/base/units.ts';
import { PathWatch } from '../../../src/pulse/path-watch.ts';
import { readSessions } from '../../../src/pulse/session-plan.ts';
import { parseIpAddress } from '../../../src/wire/ip-address.ts';
import { plan, withPulses } from './memory-pulses.ts';
import { detector, session, told, want, withSessions } from './memory-sessions.ts';

test('a Backup that slept past its deadline knows it, though the advert that wakes it moves that on', () => withPulses(async (pulses) => {
  const [a, b] = [pulses.start('a'), pulses.start('b')];
  await a.pulse.command({ kind: 'routers', routers: [plan('r', { interval: 10, priority: 200 })] });
  await b.pulse.command({ kind: 'routers', routers: [plan('r', { interval: 10 })] });
  await pulses.network.advance(5000);
  assert.deepEqual([a.status('r').state, b.status('r').state, b.status('r').timing.worst], ['active', 'backup', 0]);
  const turns = b.transitions().length;
  b.oversleep(500);
  await pulses.network.advance(20);
  const { timing } = b.status('r');
  // It was due 20 to 40 ms after it fell asleep.
  assert.ok(timing.worst >= 450 && timing.worst <= 500, JSON.stringify(timing));
  await pulses.network.advance(100);
  assert.equal(b.status('r').timing.worst, timing.worst);
  assert.equal(b.transitions().length, turns);
}));

test('the failure detector hears of a sleep before what came in, once, by the interval that is agreed now', () => withSessions(async (world) => {
  const { a, b } = world;
  const watched = (host: string) => ({ watches: { host, path: 'main' }, multiplier: 30 });
  await want(a, [session('s', '192.0.2.12', watched('b'))]);
  await want(b, [session('s', '192.0.2.11', watched('a'))]);
  await world.advance(3000);
  const health = () => told(a).opinions[0]?.health;
  assert.deepEqual(health(), { score: 0, worstLateness: 0, sleptAgo: undefined, unwell: false });
  a.oversleep(140);
  const socket = b.ground.native.udpSocket(b.ground.netns, { family: 4, port: 40_000, ttl: 255 });
  socket.send(new Uint8Array(24), { address: parseIpAddress('192.0.2.11').bytes(), port: 3784 });
  await world.advance(0);
  const after = health();
  // It was due 50 ms after it fell asleep, at the latest.
  assert.ok(after && after.worstLateness >= 90 && after.worstLateness <= 140, JSON.stringify(after));
  assert.deepEqual([after.score, after.sleptAgo], [1, 0]);
  await world.advance(100);
  assert.deepEqual([health()?.score, health()?.worstLateness], [1, after.worstLateness]);
}));

test('what can wait and is due first hides no sleep', () => withPulses(async (pulses) => {
  const [a, b] = [pulses.start('a'), pulses.start('b')];
  await a.pulse.command({ kind: 'routers', routers: [plan('r', { interval: 10, priority: 200 })] });
  await b.pulse.command({ kind: 'routers', routers: [plan('r', { interval: 10 })] });
  await pulses.network.advance(5000);
  // A status waits to be told.
  b.ground.setUp('e0', true);
  b.oversleep(500);
  await pulses.network.advance(20);
  assert.ok((b.status('r').timing.worst) >= 450, JSON.stringify(b.status('r').timing));
}));

test('a collection that it chose itself is no lateness', () => withPulses(async (pulses) => {
  let collected = 0;
  let used = 0;
  const heap = {
    used: () => mib(used),
    collect: () => {
      // At its start there is nothing yet.
      if (used === 0) return;
      b.oversleep(200);
      collected++;
      used = 0;
    },
  };
  const [a, b] = [pulses.start('a'), pulses.start('b', 'realtime', heap)];
  await a.pulse.command({ kind: 'routers', routers: [plan('r', { interval: 10, priority: 200 })] });
  await b.pulse.command({ kind: 'routers', routers: [plan('r', { interval: 10 })] });
  used = 9;
  await pulses.network.advance(11_000);
  assert.deepEqual([collected, b.status('r').state, b.status('r').timing.worst], [1, 'backup', 0]);
}));

test('the gap before a change of intervals counts by the interval that was agreed in it', () => {
  const { wanted } = readSessions([session('s', '192.0.2.12', { watches: { host: 'b', path: 'main' } })], {}, new Map());
  const watch = new PathWatch();
  watch.want(wanted, detector, ms(0));
  let at = 0;
  const hear = (gap: number, next: number): void => {
    at += gap;
    watch.heard('s', ms(at), 'up', ms(next));
  };
  for (let i = 0; i < 100; i++) hear(200, 200);
  hear(200, 20);
  for (let i = 0; i < 100; i++) hear(20, 20);
  assert.equal(watch.opinions(ms(at))[0]?.paths[0]?.timeout, detector.floor);
});
