/** Reports of a whole move, twice, late, out of order, and to a server that restarts in between: the outcome is the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AgentReport, VmReport } from '../../../src/api/agent-protocol.ts';
import { ControlWorld, type Told } from './world.ts';

/** Reports of both hosts, each in the order in which its agent made them. */
async function story(world: ControlWorld, moves: boolean): Promise<Readonly<Record<'host-a' | 'host-b', readonly AgentReport[]>>> {
  const [a, b] = [world.agent('host-a'), world.agent('host-b')];
  const placement = (await world.vm('web-1')).placement!;
  const there = { host: 'host-b', epoch: placement.epoch + 1, start: placement.start };
  const end = moves ? { kind: 'moved' } as const : { kind: 'rolled-back', reason: 'so' } as const;
  const decision = moves ? 'committed' : 'aborted';
  const says = (agent: typeof a, vms: VmReport[], report: Omit<Told, 'migration'>): AgentReport => {
    agent.vms = vms;
    agent.moves = [{ migration: 'web-1-1', ...report }];
    return agent.next();
  };
  const vm = (state: VmReport['state'], at = placement): VmReport => ({ name: 'web-1', placement: at, state });
  return {
    'host-a': [
      says(a, [vm('running')], { role: 'source', phase: 'copy' }),
      says(a, [vm('paused')], { role: 'source', phase: 'switch', inDoubt: 'cannot be reached' }),
      says(a, [vm(moves ? 'gone' : 'running')], { role: 'source', phase: moves ? 'drain' : 'switch' }),
      says(a, [vm(moves ? 'gone' : 'running')], { role: 'source', phase: 'done', end }),
    ],
    'host-b': [
      says(b, [vm('incoming', there)], { role: 'destination', phase: 'prepare' }),
      says(b, moves ? [vm('running', there)] : [], { role: 'destination', phase: 'drain', decision }),
      says(b, moves ? [vm('running', there)] : [], { role: 'destination', phase: 'done', decision, end }),
    ],
  };
}

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ host: fc.constantFrom('host-a', 'host-b'), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constantFrom('restart', 'a while') },
);

test('one placement, one end, nothing left over', async () => {
  await fc.assert(fc.asyncProperty(fc.boolean(), fc.array(action, { maxLength: 20 }), async (moves, actions) => {
    const world = await ControlWorld.open();
    await world.running('host-a', 'web-1');
    const before = (await world.vm('web-1')).placement!;
    await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
    const reports = await story(world, moves);
    for (const act of actions) {
      if (act === 'restart') await world.restart();
      else if (act === 'a while') await world.clock.advance(2000);
      else {
        const report = reports[act.host][act.n];
        if (report) await world.plane.report(act.host, report);
      }
      // At no time has the VM two homes, or a home that was not decided.
      const { placement } = await world.vm('web-1');
      assert.ok(placement && (placement.epoch === before.epoch ? placement.host === 'host-a' : moves && placement.epoch === before.epoch + 1 && placement.host === 'host-b'));
    }
    // In the end each agent's last word arrives.
    for (const host of ['host-b', 'host-a'] as const) {
      const last = reports[host].at(-1)!;
      assert.deepEqual((await world.plane.report(host, last)).acknowledged, ['web-1-1']);
    }
    const vm = await world.vm('web-1');
    assert.deepEqual([vm.state, vm.migration, vm.placement], ['running', undefined, moves ? { host: 'host-b', epoch: before.epoch + 1, start: before.start } : before]);
    assert.equal((await world.migration('web-1-1')).end?.kind, moves ? 'moved' : 'rolled-back');
    assert.equal((await world.store.list('/moves/')).entries.length, 0);
    const said = await world.events();
    assert.equal(said.filter((e) => e === 'Moved' || e === 'MoveRolledBack').length, 1);
    assert.ok(!said.includes('MoveContradiction') && !said.includes('Failed'));
    await world.close();
  }), { numRuns: 60 });
});
