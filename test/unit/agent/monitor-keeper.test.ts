/** The agent's side of its monitor, on one that lives in the test. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { answerHistory } from '../../../src/agent/keep-monitor.ts';
import { type MonitorEvents, MonitorKeeper } from '../../../src/agent/monitor-keeper.ts';
import type { MonitorReport } from '../../../src/api/agent-protocol.ts';
import { ApiError } from '../../../src/api/api.ts';
import { type Log, silentLog } from '../../../src/base/log.ts';
import { ms } from '../../../src/base/units.ts';
import type { History, HistoryQuery } from '../../../src/model/history.ts';
import type { ClassFigures, PathTurnReport } from '../../../src/model/path.ts';
import type { AlertReport, WatchPlan } from '../../../src/model/watch-plan.ts';
import { MonitorError } from '../../../src/monitor/errors.ts';
import type { WatchedNic } from '../../../src/monitor/monitor-protocol.ts';
import { ManualClock } from './manual-clock.ts';

const plan = (host = 'h1'): WatchPlan => ({
  host, local: { main: '192.0.2.1' }, peers: [], paths: { main: { capacity: 1e8, classes: [0] } },
  detector: { falseAlarmsPerDay: 1, floor: 100, ceiling: 1000 },
  probing: { enabled: true, rate: 10, leastRate: 1, core: 0.05, link: 0.001, dwell: 60_000, timeout: 1000, port: 862, reflectTo: [] },
  quality: { loss: { rising: 0.02, falling: 0.005 }, history: 400, hold: 1, holdMost: 1, relapse: 1 }, alerts: {},
});
const none: ClassFigures = { dscp: 0, sent: 0, answered: 0, lost: { forward: 0, backward: 0, unknown: 0 }, late: 0, duplicates: 0, reordered: { forward: 0, backward: 0 } };
const turn = (sequence: number, monitor = 'm1'): PathTurnReport => ({
  sequence, monitor, peer: 'h2', path: 'main', at: 0, from: 'fit', to: 'down', because: 'test', window: none,
});
const report = (at: number, alerts: readonly AlertReport[] = []): MonitorReport => ({
  paths: [], alerts, troubles: ['its own'],
  counters: { at, links: [], nics: [], tcp: [], host: { softirq: 0, backlogDrops: 0, squeezed: 0, lateness: 0, cost: 0 } },
});
const query: HistoryQuery = { host: 'h1', series: 'host/softirq', from: 0, to: 1, points: 1 };
const history: History = { ...query, kind: 'gauge', data: [] };

class World {
  readonly clock = new ManualClock();
  readonly plans: [WatchPlan, readonly WatchedNic[]][] = [];
  nics: readonly WatchedNic[] = [];
  events: MonitorEvents | undefined;
  changes = 0;
  closed = 0;
  readonly log: Log = silentLog;
  answer: () => Promise<History> = async () => history;

  keeper({ always = false } = {}): MonitorKeeper {
    return new MonitorKeeper({
      start: (events) => {
        assert.equal(this.events, undefined, 'one monitor');
        this.events = events;
        return { plan: (...told) => void this.plans.push(told), query: () => this.answer(), close: async () => void this.closed++ };
      },
      clock: this.clock, log: this.log, changed: () => this.changes++, nics: () => this.nics, always,
    });
  }

  say(what: MonitorReport): void {
    this.events?.onReport({ kind: 'report', ...what });
  }
}

test('it runs from the first plan on, is told what changed and no more, and ends with its agent', async () => {
  const world = new World();
  const keeper = world.keeper();
  await world.clock.advance(2000);
  assert.equal(world.events, undefined);
  await assert.rejects(keeper.query(query), { code: 'MONITOR_UNREACHABLE' });
  keeper.want(plan());
  keeper.want(plan());
  keeper.want(undefined);
  await world.clock.advance(2000);
  assert.deepEqual(world.plans, [[plan(), []]]);
  world.nics = [{ device: 'gt-1-0', vm: 'web', nic: 0 }];
  await world.clock.advance(1000);
  keeper.want(plan('h9'));
  assert.deepEqual(world.plans.slice(1), [[plan(), world.nics], [plan('h9'), world.nics]]);
  await keeper.close();
  assert.deepEqual([world.closed, world.clock.sleepers], [1, 0]);
  keeper.want(plan());
  assert.equal(world.plans.length, 3, 'after its end nothing is told');
});

test('one that serves /metrics runs before there is a plan', async () => {
  const world = new World();
  const keeper = world.keeper({ always: true });
  assert.ok(world.events);
  keeper.want(plan());
  assert.equal(world.plans.length, 1);
  await keeper.close();
});

test('what it said last is reported, until it ends or says nothing for 3 s', async () => {
  const world = new World();
  const keeper = world.keeper();
  keeper.want(plan());
  assert.equal(keeper.report(), undefined);
  for (let at = 1; at <= 3; at++) {
    world.say(report(at));
    await world.clock.advance(1000);
    assert.equal(keeper.report()?.counters.at, at);
  }
  const before = world.changes;
  await world.clock.advance(2000);
  assert.deepEqual([keeper.report(), world.changes], [undefined, before + 1]);
  world.say(report(9));
  assert.equal(keeper.report()?.counters.at, 9);
  world.events?.onEnd('was ended by SIGKILL', ms(1000));
  assert.deepEqual([keeper.report(), world.changes], [undefined, before + 2]);
  await keeper.close();
});

test('one that does not run is told with the reason, logged once, and forgotten when it speaks', async () => {
  const world = new World();
  const logged = mock.method(world.log, 'error');
  const keeper = world.keeper();
  keeper.want(plan());
  assert.deepEqual(keeper.troubles(), []);
  for (let n = 0; n < 3; n++) world.events?.onEnd('ended with 1 (error: no namespace)', ms(1000));
  assert.deepEqual(keeper.troubles(), ['the monitor does not run: ended with 1 (error: no namespace); it is started again by itself']);
  assert.equal(logged.mock.callCount(), 1);
  world.say(report(1));
  assert.deepEqual(keeper.troubles(), []);
  await world.clock.advance(3000);
  assert.match(keeper.troubles().join(), /^the monitor runs and says nothing/);
  world.events?.onEnd('ended with 1 (error: no namespace)', ms(1000));
  assert.equal(logged.mock.callCount(), 2);
  logged.mock.restore();
  await keeper.close();
});

test('of hundreds of troubles the first are told, and how many more there are', async () => {
  const world = new World();
  const keeper = world.keeper();
  keeper.want(plan());
  world.say({ ...report(1), troubles: Array.from({ length: 400 }, (_, n) => `trouble ${n}`) });
  const { troubles = [] } = keeper.report() ?? {};
  assert.deepEqual([troubles.length, troubles[31], troubles[32]], [33, 'trouble 31', '368 more like these: its log has them']);
  await keeper.close();
});

test('an alert that goes on or off is told at once, its figures with the next report', async () => {
  const world = new World();
  const keeper = world.keeper();
  keeper.want(plan());
  const alert = (state: 'on' | 'off', last: number): AlertReport => ({ alert: 'a', on: 'h2/main', state, since: 0, value: 1, last, because: 'test', severity: 'alarm' });
  const changes = [report(1), report(2, [alert('on', 1)]), report(3, [alert('on', 2)]), report(4, [alert('off', 2)])].map((said) => {
    const before = world.changes;
    world.say(said);
    return world.changes - before;
  });
  assert.deepEqual(changes.slice(1), [1, 0, 1]);
  await keeper.close();
});

test('a turn is told at once and until the server has it, also one of a monitor that is no more', async () => {
  const world = new World();
  const keeper = world.keeper();
  keeper.want(plan());
  for (const one of [turn(1), turn(2), turn(1, 'm2'), turn(2, 'm2')]) world.events?.onTurn(one);
  assert.equal(world.changes, 4);
  keeper.acknowledged({ monitor: 'm0', sequence: 9 });
  keeper.acknowledged(undefined);
  assert.equal(keeper.turns().length, 4);
  keeper.acknowledged({ monitor: 'm1', sequence: 1 });
  assert.deepEqual(keeper.turns(), [turn(2), turn(1, 'm2'), turn(2, 'm2')]);
  keeper.acknowledged({ monitor: 'm2', sequence: 1 });
  assert.deepEqual(keeper.turns(), [turn(2, 'm2')]);
  await keeper.close();
});

test('of more turns than fit the oldest are dropped, and that is told', async () => {
  const world = new World();
  const keeper = world.keeper();
  keeper.want(plan());
  world.say(report(1));
  for (let sequence = 1; sequence <= 503; sequence++) world.events?.onTurn(turn(sequence));
  assert.deepEqual([keeper.turns().length, keeper.turns()[0]?.sequence], [500, 4]);
  assert.match(keeper.report()?.troubles.join() ?? '', /^its own,3 turns of paths were dropped/);
  await keeper.close();
});

test('a history is told to the server, or why there is none; whoever asked may be gone', async () => {
  const world = new World();
  const keeper = world.keeper();
  keeper.want(plan());
  const told: unknown[] = [];
  const ask = (failure?: Error): Promise<void> => answerHistory({ id: 'x', query }, keeper, {
    answerHistory: async (id, answer) => {
      told.push([id, answer]);
      if (failure) throw failure;
    },
  }, silentLog);
  await ask();
  await ask(new ApiError(404, 'CONTROL_NOT_FOUND', 'nobody waits'));
  world.answer = () => Promise.reject(new MonitorError('MONITOR_NO_SUCH_SERIES', 'There is no such series'));
  await ask();
  assert.deepEqual(told, [['x', history], ['x', history], ['x', { code: 'MONITOR_NO_SUCH_SERIES', message: 'There is no such series' }]]);
  await keeper.close();
});
