import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgentProcess, type Moves } from '../../../src/agent/agent-process.ts';
import { DurableDisk } from '../../../src/host/disk.ts';
import { silentLog } from '../../../src/base/log.ts';
import type { ServerLink } from '../../../src/agent/reporter.ts';
import type { AgentReport, Wanted } from '../../../src/api/agent-protocol.ts';
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
