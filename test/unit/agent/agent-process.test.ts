import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { AgentProcess, type Moves } from '../../../src/agent/agent-process.ts';
import { DurableDisk } from '../../../src/host/disk.ts';
import { silentLog } from '../../../src/base/log.ts';
import type { ServerLink } from '../../../src/agent/reporter.ts';
import type { AgentReport, Wanted } from '../../../src/api/agent-protocol.ts';
import type { BfdSessionPlan } from '../../../src/model/bfd-session.ts';
import type { PathTurnReport } from '../../../src/model/path.ts';
import type { WatchPlan } from '../../../src/model/watch-plan.ts';
import { World, vm, wants } from './keeper-world.ts';
import { ManualClock } from './manual-clock.ts';

/** Lists the VM, as long as there is an agent. */
class Server implements ServerLink {
  readonly reports: AgentReport[] = [];
  readonly list: Wanted;

  constructor(list: Wanted) {
    this.list = list;
  }

  async report(report: AgentReport): Promise<{ acknowledged: string[] }> {
    this.reports.push(report);
    return { acknowledged: ['web-1'] };
  }

  async *wanted(signal: AbortSignal): AsyncGenerator<Wanted> {
    yield this.list;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  }
}

test('what the server wants runs and is reported; moves begin when all is adopted and are let go at the end; the VM is not touched', async () => {
  const world = new World();
  const clock = new ManualClock();
  const heard: string[] = [];
  const moves: Moves = {
    want: () => void heard.push('want'), reports: () => [], incoming: () => [], acknowledged: (names) => void heard.push(...names),
    close: async () => void heard.push('close'),
  };
  const facts = { qemu: '10.0.2', kernel: '6.18', cpu: 'x', cpus: 2, accelerators: [], memory: 1, freeMemory: 1, bridges: {}, missingFeatures: [] };
  const live = async (server: Server): Promise<AgentReport | undefined> => {
    const agent = new AgentProcess({
      hypervisor: { ...world.hypervisor(() => false), status: async () => facts }, disk: new DurableDisk(world.files), runDir: '/run', clear: () => undefined,
      server, clock, log: silentLog,
      measure: () => ({ version: '0.1.0', cpuTime: 5, residentMemory: 6, lateness: 0 }),
      moves: ({ keeper }) => {
        heard.push(keeper.guest('web') ? 'moves, web adopted' : 'moves');
        return moves;
      },
    });
    await clock.advance(1500);
    await agent.close();
    assert.equal(clock.sleepers, 0);
    return server.reports.at(-1);
  };

  const first = await live(new Server(wants(vm('web'))));
  assert.deepEqual(first?.vms, [{ name: 'web', placement: { host: 'host-a', epoch: 1, start: 1 }, state: 'running' }]);
  assert.equal(first?.host.agent.version, '0.1.0');
  assert.deepEqual([heard[0], heard.at(-1)], ['moves', 'close']);
  assert.ok(heard.includes('want') && heard.includes('web-1'));
  assert.ok(world.alive('web'));

  heard.length = 0;
  const second = await live(new Server(wants()));
  assert.equal(heard[0], 'moves, web adopted');
  assert.equal(second?.vms[0]?.state, 'running');
  assert.notEqual(second?.instance, first?.instance);
  assert.deepEqual(world.boots, ['web/1']);

  await live(new Server({ ...wants(vm('web', 2, { running: false }), vm('mail')), instance: 'another agent of this name' }));
  assert.deepEqual([world.boots, world.qemu('web').asked], [['web/1'], 0]);
});

test('sessions, watching and paths: what is wanted is handed on, kept on the disk, and what is said of them is reported', async () => {
  const world = new World();
  const clock = new ManualClock();
  const facts = { qemu: '10.0.2', kernel: '6.18', cpu: 'x', cpus: 2, accelerators: [], memory: 1, freeMemory: 1, bridges: {}, missingFeatures: [] };
  const watch: WatchPlan = {
    host: 'host-a', local: { main: '192.0.2.1', second: '198.51.100.1' }, peers: [], paths: {}, detector: { falseAlarmsPerDay: 1, floor: 2, ceiling: 3 },
    probing: { enabled: true, rate: 1, leastRate: 1, core: 1, link: 1, dwell: 1, timeout: 1, port: 862, reflectTo: [] },
    quality: { loss: { rising: 1, falling: 1 }, history: 20, hold: 1, holdMost: 1, relapse: 1 }, alerts: {},
  };
  const session: BfdSessionPlan = {
    name: 'h2/main', peer: '192.0.2.2', way: { hops: 'multi', local: '192.0.2.1', minTtl: 250 }, interval: 100, receive: 100, multiplier: 3, echoReceive: 0,
  };
  const turn: PathTurnReport = {
    sequence: 1, monitor: 'm', peer: 'h2', path: 'main', at: 0, from: 'fit', to: 'down', because: 'test',
    window: { dscp: 0, sent: 0, answered: 0, lost: { forward: 0, backward: 0, unknown: 0 }, late: 0, duplicates: 0, reordered: { forward: 0, backward: 0 } },
  };
  const live = async (wanted: Wanted): Promise<{ readonly heard: unknown[]; readonly report: AgentReport | undefined }> => {
    const heard: unknown[] = [];
    const server = new Server(wanted);
    const agent = new AgentProcess({
      hypervisor: { ...world.hypervisor(() => false), status: async () => facts }, disk: new DurableDisk(world.files), runDir: '/run', clear: () => undefined,
      server: { report: async (report) => ({ ...(await server.report(report)), turns: { monitor: 'm', sequence: 1 } }), wanted: (signal) => server.wanted(signal) },
      clock, log: silentLog, measure: () => ({ version: '0.1.0', cpuTime: 5, residentMemory: 6, lateness: 0 }),
      moves: () => ({
        want: () => undefined, reports: () => [], incoming: () => [], acknowledged: () => undefined, close: async () => undefined,
        callAt: (addresses) => void heard.push(['call at', ...addresses]),
      }),
      routers: () => ({
        want: () => void heard.push('routers'), wantSessions: (plans, detector) => void heard.push(['sessions', plans?.length, detector?.floor]),
        statuses: () => undefined, sessions: () => ({}), opinions: () => [], transitions: () => [], acknowledged: () => undefined, close: async () => undefined,
      }),
      monitor: () => ({
        want: (plan) => void heard.push(['watch', plan?.host]), report: () => undefined, turns: () => [turn], troubles: () => ['it does not run'],
        acknowledged: (last) => void heard.push(['has turn', last?.sequence]), close: async () => void heard.push('monitor ends'),
      }),
    });
    await clock.advance(1500);
    await agent.close();
    return { heard, report: server.reports.at(-1) };
  };
  const first = await live({ vms: [], moves: [], sessions: [session], watch });
  assert.deepEqual(first.heard.slice(0, 3), [['watch', undefined], ['sessions', 1, 2], 'routers']);
  for (const one of [['watch', 'host-a'], ['call at', '192.0.2.1', '198.51.100.1'], ['has turn', 1], 'monitor ends']) assert.ok(first.heard.some((other) => isDeepStrictEqual(one, other)), String(one));
  const { report } = first;
  assert.ok(report);
  assert.deepEqual({ sessions: report.sessions, opinions: report.opinions, turns: report.turns, troubles: report.troubles }, { sessions: {}, opinions: [], turns: [turn], troubles: ['it does not run'] });
  for (const absent of ['routers', 'transitions', 'monitor']) assert.ok(!(absent in report), absent);
  const second = await live({ vms: [], moves: [] });
  for (const one of [['watch', 'host-a'], ['call at', '192.0.2.1', '198.51.100.1']]) assert.ok(second.heard.some((other) => isDeepStrictEqual(one, other)), `${one.join(' ')} is known from the disk`);
});
