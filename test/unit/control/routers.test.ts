/** Virtual routers on the server: what agents say of them, as shown; transitions, each stored once; who is Active. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RouterStatus, RouterTransition } from '../../../src/model/virtual-router.ts';
import { gateway, routerStatus, transition } from './router-parts.ts';
import { type Agent, ControlWorld, codeOf } from './world.ts';

async function opened(): Promise<{ world: ControlWorld; a: Agent; b: Agent }> {
  const world = await ControlWorld.open(['host-a', 'host-b']);
  await world.plane.apply([gateway()]);
  return { world, a: world.agent('host-a'), b: world.agent('host-b') };
}

const statusOf = async (world: ControlWorld) => (await world.plane.get('VirtualRouter', 'gw')).status;
const told = async (world: ControlWorld): Promise<readonly string[]> =>
  (await world.plane.list('Event')).filter(({ spec }) => spec.reason.startsWith('Router')).map(({ spec }) => `${spec.severity} ${spec.reason}`);

test('each host is told its part, and an empty one when it has none', async () => {
  const { world, a } = await opened();
  const [plan, ...more] = (await a.wanted()).routers ?? [];
  assert.deepEqual([plan?.name, plan?.priority, plan?.device, plan?.interval, more], ['gw', 150, 'eth0', 100, []]);
  await world.plane.apply([gateway({ unicast: true })]);
  assert.deepEqual((await a.wanted()).routers?.[0]?.peers, ['10.0.0.2'], "the other host's address");
  await world.plane.remove('VirtualRouter', 'gw');
  assert.deepEqual((await a.wanted()).routers, []);
  await world.close();
});

test('what hosts say is shown, and one that is silent is unknown', async () => {
  const { world, a, b } = await opened();
  assert.equal(await statusOf(world), undefined);
  a.routers = { gw: routerStatus({ state: 'active' }), nobody: routerStatus({}) };
  b.routers = { gw: routerStatus({}) };
  await world.live(1000);
  assert.deepEqual((await statusOf(world))?.active, ['host-a']);
  await world.live(7000, ['host-b']);
  const status = await statusOf(world);
  assert.deepEqual([status?.active, status?.hosts['host-a']?.state, status?.hosts['host-b']?.state], [[], 'unknown', 'backup']);
  assert.equal(status?.hosts['host-a']?.reason, 'host-a is silent: it was active when last heard');
  await world.live(1000);
  assert.deepEqual((await statusOf(world))?.active, ['host-a']);
  // Its agent was started anew and has not heard its pulse.
  a.routers = undefined;
  await a.report();
  assert.match((await statusOf(world))?.hosts['host-a']?.reason ?? '', /hears nothing of its pulse: it was active/);
  a.routers = {};
  await a.report();
  assert.deepEqual(Object.keys((await statusOf(world))?.hosts ?? {}), ['host-b']);
  assert.equal(await codeOf(world.plane.remove('Host', 'host-a')), 'CONTROL_IN_USE');
  await world.close();
});

test('counters and timing are shown at once and written every 10 s; anything else is written at once', async () => {
  const { world, a, b } = await opened();
  b.routers = { gw: routerStatus({}) };
  const say = (n: number, more: object = {}): void => {
    const { counters, timing, ...rest } = routerStatus({ state: 'active', ...more });
    a.routers = { gw: { ...rest, counters: { ...counters, sent: n }, timing: { ...timing, worst: n } } };
  };
  say(0);
  await world.live(10_000);
  const before = (await world.store.list('/')).revision;
  for (let i = 1; i <= 20; i++) {
    say(i);
    await world.live(1000);
    assert.equal((await statusOf(world))?.hosts['host-a']?.counters.sent, i);
  }
  assert.equal((await world.store.list('/')).revision - before, 2);
  say(20, { effectivePriority: 50 });
  await a.report();
  assert.equal((await world.store.list('/')).revision - before, 3);
  await world.close();
});

test('a transition becomes an event with its evidence, and says so when it is old', async () => {
  const { world, a } = await opened();
  const at = world.clock.now();
  a.transitions = [
    transition(1, { at, to: 'active', rule: 'Active_Down_Timer expired', adverts: [{ from: '10.0.0.2', priority: 100, interval: 100, ago: 361.25 }] }),
    transition(2, { at: at - 60_000, from: 'active', to: 'fault', rule: 'the link is down', link: 'down', down: ['interface eth1'] }),
  ];
  assert.deepEqual((await a.report()).transitions, { pulse: 'p1', sequence: 2 });
  const [first, second] = (await world.plane.list('Event')).filter(({ spec }) => spec.evidence);
  assert.deepEqual(first?.spec, {
    at, severity: 'info', about: { kind: 'VirtualRouter', name: 'gw' }, host: 'host-a', reason: 'RouterActive', evidence: a.transitions[0],
    message: 'gw on host-a: backup to active: Active_Down_Timer expired; priority 150; last heard 10.0.0.2 (priority 100) 361.3 ms before; 0.1 ms late; link up',
  });
  assert.deepEqual([second?.spec.severity, second?.spec.reason], ['warning', 'RouterFault']);
  assert.match(second?.spec.message ?? '', /; link down; down: interface eth1 \(at \d{4}-.* by its clock\)$/);
  await world.close();
});

test('two hosts that go on saying they are Active are an alarm, once; a handover is none', async () => {
  const { world, a, b } = await opened();
  a.routers = { gw: routerStatus({ state: 'active' }) };
  b.routers = { gw: routerStatus({}) };
  await world.live(2000);
  // The new one is heard at once; the old one says once more what it said before.
  b.routers = { gw: routerStatus({ state: 'active' }) };
  await b.report();
  await world.live(1000);
  a.routers = { gw: routerStatus({}) };
  await world.live(5000);
  assert.deepEqual(await told(world), []);
  // The old one's host died: what it said last is no second word.
  a.routers = { gw: routerStatus({ state: 'active' }) };
  await a.report();
  await world.live(8000, ['host-b']);
  assert.deepEqual(await told(world), []);
  await world.live(6000);
  assert.deepEqual(await told(world), ['alarm RouterContested']);
  await world.restart();
  await world.live(6000);
  assert.deepEqual(await told(world), ['alarm RouterContested']);
  a.routers = { gw: routerStatus({}) };
  await world.live(1000);
  assert.deepEqual(await told(world), ['alarm RouterContested', 'info RouterSettled']);
  await world.close();
});

test('the alarm says what each of them knows: what it dropped most, what it could not send, in what the other differs', async () => {
  const { world, a, b } = await opened();
  const counters = (dropped: Readonly<Record<string, number>>, unsent?: typeof dropped): RouterStatus['counters'] =>
    ({ sent: 9, received: 0, dropped, ...(unsent ? { unsent } : {}), transitions: 1 });
  a.routers = { gw: routerStatus({ state: 'active', counters: counters({ checksum: 2 }) }) };
  b.routers = { gw: routerStatus({ state: 'active', differences: ['192.0.2.3 sends every 3 s'], counters: counters({ ttl: 0 }, { EPERM: 1, peers: 7 }) }) };
  await world.live(1000);
  // Counters alone are no news: they are only written when something else is.
  a.routers = { gw: routerStatus({ state: 'active', counters: counters({ checksum: 2, ttl: 30 }) }) };
  await world.live(5000);
  const alarm = (await world.plane.list('Event')).find(({ spec }) => spec.reason === 'RouterContested');
  assert.match(alarm?.spec.message ?? '', /host-a: 30 adverts dropped: ttl; host-b: 192\.0\.2\.3 sends every 3 s, 7 adverts not sent: peers\. Look/);
  await world.close();
});

test('a report that comes too late is not acknowledged for what it tells first', async () => {
  const { world, a } = await opened();
  a.transitions = [transition(1), transition(2)];
  const late = a.next();
  a.transitions = [transition(1)];
  assert.deepEqual((await a.report()).transitions, { pulse: 'p1', sequence: 1 });
  assert.deepEqual((await world.plane.report('host-a', late)).transitions, { pulse: 'p1', sequence: 1 });
  assert.equal((await world.plane.list('Event')).filter(({ spec }) => spec.evidence).length, 1);
  a.transitions = [];
  assert.equal((await a.report()).transitions, undefined);
  await world.close();
});

/**
 * Agents as they are: a pulse numbers its transitions and keeps them until they are seen; an agent tells all it has, keeps telling
 * until it is acknowledged, and may lose answers, be started anew, and have a new pulse. A list is told whole, in order.
 */
type Step =
  | { readonly do: 'happen'; readonly count: number } | { readonly do: 'report'; readonly lost: boolean } | { readonly do: 'again' | 'pulse' | 'agent' | 'server' };

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('happen' as const), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('report' as const), lost: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('again' as const, 'pulse' as const, 'agent' as const, 'server' as const) }) },
);

test('whatever is told again, each transition is stored once, in its order, and only what is stored is acknowledged', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30, size: 'max' }), async (steps: readonly Step[]) => {
    const { world, a } = await opened();
    const happened: RouterTransition[] = [];
    let unseen: RouterTransition[] = [];
    let [pulse, sequence, agents] = [1, 0, 1];
    let last: ReturnType<Agent['next']> | undefined;
    const stored = async (): Promise<string[]> =>
      (await world.plane.list('Event')).flatMap(({ spec }) => (spec.evidence && 'router' in spec.evidence ? [`${spec.evidence.pulse}/${spec.evidence.sequence}`] : []));
    const report = async (lost: boolean): Promise<void> => {
      a.transitions = unseen;
      last = a.next();
      const { transitions: seen } = await world.plane.report('host-a', last);
      if (!seen) return assert.deepEqual(unseen, []);
      const upTo = unseen.findIndex((t) => t.pulse === seen.pulse && t.sequence === seen.sequence);
      const there = await stored();
      for (const t of unseen.slice(0, upTo + 1)) assert.ok(there.includes(`${t.pulse}/${t.sequence}`), 'acknowledged, and not there');
      if (!lost) unseen = unseen.slice(upTo + 1);
    };
    for (const s of steps) {
      // A server that was just started hears a new agent only when it has heard nothing of the former for a while.
      if (s.do === 'report') await world.clock.advance(2000);
      if (s.do === 'happen') {
        for (let n = 0; n < s.count; n++) {
          const t = transition(++sequence, { pulse: `p${pulse}` });
          happened.push(t);
          unseen.push(t);
        }
      } else if (s.do === 'report') await report(s.lost);
      else if (s.do === 'again') {
        if (last) await codeOf(world.plane.report('host-a', last));
      } else if (s.do === 'pulse') [pulse, sequence] = [pulse + 1, 0];
      else if (s.do === 'server') await world.restart();
      else {
        a.instance = `host-a-${++agents}`;
        a.sequence = 0;
        await world.clock.advance(2000);
      }
    }
    // Until all is acknowledged.
    await world.clock.advance(2000);
    await report(false);
    assert.deepEqual(unseen, []);
    assert.deepEqual(await stored(), happened.map((t) => `${t.pulse}/${t.sequence}`));
    await world.close();
  }), { numRuns: 60 });
});

test('transitions of more pulses than are remembered, told in one report, are stored once', async () => {
  const { world, a } = await opened();
  a.transitions = Array.from({ length: 50 }, (_, n) => transition(1, { pulse: `p${n}` }));
  await a.report();
  await a.report();
  await world.restart();
  assert.deepEqual((await a.report()).transitions, { pulse: 'p49', sequence: 1 });
  assert.equal((await world.plane.list('Event')).filter(({ spec }) => spec.evidence).length, 50);
  await world.close();
});
