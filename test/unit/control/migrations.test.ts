/** Migrations from being asked for to their end, with agents that are plain objects. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControlWorld, type Told, codeOf, vmOn } from './world.ts';

const source = (change: Partial<Told> = {}): Told => ({ migration: 'web-1-1', role: 'source', phase: 'copy', ...change });
const destination = (change: Partial<Told> = {}): Told => ({ migration: 'web-1-1', role: 'destination', phase: 'prepare', ...change });

/** web-1 runs on host-a and has begun to move to host-b. */
async function moving(hosts?: readonly string[]): Promise<ControlWorld> {
  const world = await ControlWorld.open(hosts);
  await world.running('host-a', 'web-1');
  const { name, status } = await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  assert.deepEqual([name, status?.phase], ['web-1-1', 'plan']);
  return world;
}

test('what cannot be moved is refused at once, with its own code', async () => {
  const world = await ControlWorld.open(['host-a', 'host-b', 'host-c']);
  await world.running('host-a', 'web-1');
  await world.plane.apply([vmOn('off', { running: false })]);
  const refused = async (vm: string, to: string): Promise<string> => codeOf(world.plane.migrate({ vm, to }));
  assert.equal(await refused('nobody', 'host-b'), 'CONTROL_NOT_FOUND');
  assert.equal(await refused('web-1', 'nowhere'), 'CONTROL_NOT_FOUND');
  assert.equal(await refused('web-1', 'host-a'), 'CONTROL_SAME_HOST');
  assert.equal(await refused('off', 'host-b'), 'CONTROL_VM_NOT_RUNNING');
  await world.live(6000, ['host-a', 'host-b']);
  assert.equal(await refused('web-1', 'host-c'), 'CONTROL_HOST_SILENT');
  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  await assert.rejects(world.plane.migrate({ vm: 'web-1', to: 'host-b' }), /web-1-1.*cancel web-1-1/);
  assert.equal(await codeOf(world.plane.remove('Vm', 'web-1')), 'CONTROL_VM_MOVING');
  await world.close();
});

test('a move from plan to done: both agents are told, the commit changes the placement, the end is acknowledged when stored', async () => {
  const world = await moving();
  const [a, b] = [world.agent('host-a'), world.agent('host-b')];
  const before = await world.vm('web-1');
  assert.deepEqual([before.state, before.migration], ['moving', 'web-1-1']);
  const [out] = (await a.wanted()).moves;
  const [into] = (await b.wanted()).moves;
  assert.deepEqual(out, { ...out, role: 'source', vm: 'web-1', epoch: before.placement?.epoch, peer: { host: 'host-b', address: '10.0.0.2', port: 7444 }, dryRun: false, cancel: false });
  assert.deepEqual(into, { ...out, role: 'destination', peer: { host: 'host-a', address: '10.0.0.1', port: 7444 } });
  assert.match(out?.move ?? '', /^[0-9a-f]{5}0$/);
  assert.equal(Buffer.from(out?.token ?? '', 'base64url').length, 32);
  assert.ok(!JSON.stringify(await world.plane.list('Migration')).includes(out?.token ?? '?'), 'the token is shown');

  a.moves = [source({ phase: 'switch' })];
  await a.report();
  a.moves = [source({ phase: 'copy' })];
  await a.report();
  assert.equal((await world.migration('web-1-1')).phase, 'switch');

  b.moves = [destination({ decision: 'committed' })];
  await b.report();
  const at = await world.vm('web-1');
  assert.deepEqual(at.placement, { host: 'host-b', epoch: (before.placement?.epoch ?? 0) + 1, start: before.placement?.start });
  assert.equal(at.state, 'moving');
  assert.equal((await a.wanted()).moves[0]?.decision, 'committed');
  assert.equal((await a.wanted()).vms.length, 0);

  a.vms = [];
  a.moves = [source({ phase: 'done', end: { kind: 'moved' } })];
  assert.deepEqual((await a.report()).acknowledged, ['web-1-1']);
  assert.equal((await world.vm('web-1')).state, 'running');
  const ended = await world.migration('web-1-1');
  assert.deepEqual([ended.phase, ended.end?.kind, ended.decision], ['done', 'moved', 'committed']);
  assert.deepEqual((await a.wanted()).moves, []);
  assert.deepEqual((await b.wanted()).moves[0]?.end, { kind: 'moved' });

  b.moves = [destination({ decision: 'committed', end: { kind: 'moved' } })];
  assert.deepEqual((await b.report()).acknowledged, ['web-1-1']);
  assert.deepEqual((await b.wanted()).moves, []);
  // Late, and again.
  assert.deepEqual((await a.report()).acknowledged, ['web-1-1']);
  assert.equal((await world.store.list('/moves/')).entries.length, 0);
  await world.close();
});

test('the source is gone after the commit: the end comes from the destination, and what the source tells later adds its receipt', async () => {
  const world = await moving();
  const b = world.agent('host-b');
  world.agent('host-a').moves = [source()];
  await world.agent('host-a').report();
  b.moves = [destination({ decision: 'committed', end: { kind: 'moved', undrained: 'the source is gone' } })];
  await b.report();
  assert.equal((await world.migration('web-1-1')).end, undefined, 'the source has it in hand');
  await world.restart();
  b.moves = [];
  await world.live(6000, ['host-b']);
  assert.equal((await world.migration('web-1-1')).end?.kind, 'moved');
  assert.equal((await world.vm('web-1')).placement?.host, 'host-b');
  const back = world.agent('host-a');
  back.instance = 'host-a-2';
  back.vms = [];
  back.moves = [];
  await back.report();
  assert.equal((await back.wanted()).moves[0]?.decision, 'committed');
  back.moves = [source({ end: { kind: 'moved' } })];
  assert.deepEqual((await back.report()).acknowledged, ['web-1-1']);
  assert.equal((await world.store.list('/moves/')).entries.length, 0);
  await world.close();
});

test('the source knows nothing of the move: the end comes from the destination at once', async () => {
  const world = await moving();
  world.agent('host-b').moves = [destination({ decision: 'committed', end: { kind: 'moved' } })];
  await world.agent('host-b').report();
  await world.restart();
  assert.equal((await world.migration('web-1-1')).end, undefined);
  await world.agent('host-a').report();
  await world.clock.advance(600);
  assert.equal((await world.migration('web-1-1')).end?.kind, 'moved');
  assert.deepEqual((await world.agent('host-a').wanted()).moves[0]?.end, { kind: 'moved' });
  await world.close();
});

test('aborted: the source is told, even by a server that has forgotten everything', async () => {
  const world = await moving();
  world.agent('host-b').moves = [destination({ decision: 'aborted', end: { kind: 'rolled-back', reason: 'no memory' } })];
  await world.agent('host-b').report();
  await world.restart();
  assert.equal((await world.agent('host-a').wanted()).moves[0]?.decision, 'aborted');
  world.agent('host-a').moves = [source({ phase: 'done', end: { kind: 'rolled-back', reason: 'no memory' } })];
  await world.agent('host-a').report();
  const { phase, end } = await world.migration('web-1-1');
  assert.deepEqual([phase, end?.kind], ['plan', 'rolled-back']);
  const vm = await world.vm('web-1');
  assert.deepEqual([vm.state, vm.placement?.host], ['running', 'host-a']);
  await world.close();
});

test('in doubt is shown at the VM, said once, and gone when settled', async () => {
  const world = await moving();
  const a = world.agent('host-a');
  a.moves = [source({ phase: 'switch', inDoubt: 'host-b cannot be spoken with' })];
  await a.report();
  await a.report();
  assert.deepEqual([(await world.vm('web-1')).state, (await world.vm('web-1')).reason], ['in-doubt', 'host-b cannot be spoken with']);
  assert.equal((await world.migration('web-1-1')).reason, 'host-b cannot be spoken with');
  assert.equal((await world.events()).filter((e) => e === 'InDoubt').length, 1);
  a.moves = [source({ phase: 'switch' })];
  await a.report();
  assert.equal((await world.vm('web-1')).state, 'moving');
  assert.equal((await world.migration('web-1-1')).reason, undefined);
  await world.close();
});

test('dead: the VM is failed; two hosts that contradict each other are an alarm', async () => {
  const world = await moving();
  world.agent('host-a').moves = [source({ end: { kind: 'dead', at: 'source', reason: 'its QEMU was killed' } })];
  world.agent('host-a').vms = [];
  await world.agent('host-a').report();
  assert.deepEqual([(await world.vm('web-1')).state, (await world.vm('web-1')).reason], ['failed', 'its QEMU was killed']);
  world.agent('host-b').moves = [destination({ decision: 'aborted', end: { kind: 'dead', at: 'source', reason: 'x' } })];
  await world.agent('host-b').report();
  await world.close();

  const other = await moving();
  other.agent('host-a').moves = [source({ end: { kind: 'rolled-back', reason: 'x' } })];
  await other.agent('host-a').report();
  other.agent('host-b').moves = [destination({ decision: 'committed' })];
  await other.agent('host-b').report();
  await other.agent('host-b').report();
  assert.equal((await other.vm('web-1')).placement?.host, 'host-a');
  assert.equal((await other.events()).filter((e) => e === 'MoveContradiction').length, 1);
  await other.close();
});

test('cancelled while it waits, it never begins; later, both agents are told', async () => {
  const world = await ControlWorld.open();
  await world.running('host-a', 'web-1', 'web-2');
  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  const second = await world.plane.migrate({ vm: 'web-2', to: 'host-b' });
  assert.equal(second.status?.phase, 'queued');
  assert.match(second.status?.reason ?? '', /web-1-1 runs between host-a and host-b/);
  assert.equal((await world.plane.cancel('web-2-1')).status?.end?.kind, 'cancelled');
  assert.equal(await codeOf(world.plane.cancel('web-2-1')), 'CONTROL_MIGRATION_ENDED');
  await world.plane.cancel('web-1-1');
  assert.equal((await world.agent('host-a').wanted()).moves[0]?.cancel, true);
  assert.equal((await world.agent('host-b').wanted()).moves[0]?.cancel, true);
  await world.close();
});

test('the next move of a VM waits until the hosts have cleared up after the last, and after four in three minutes', async () => {
  const world = await ControlWorld.open();
  await world.running('host-a', 'web-1');
  const [a, b] = [world.agent('host-a'), world.agent('host-b')];
  for (let n = 1; n <= 4; n++) {
    const [from, to] = n % 2 === 1 ? [a, b] : [b, a];
    const { name } = await world.plane.migrate({ vm: 'web-1', to: to.host });
    assert.equal((await world.migration(name)).phase, 'plan');
    from.vms = [];
    from.moves = [source({ migration: name, end: { kind: 'moved' } })];
    await from.report();
    if (n === 1) {
      await world.plane.migrate({ vm: 'web-1', to: 'host-a' });
      assert.match((await world.migration('web-1-2')).reason ?? '', /host-b has not cleared up after web-1-1/);
      await world.plane.cancel('web-1-2');
      await world.plane.remove('Migration', 'web-1-2');
    }
    to.moves = [destination({ migration: name, decision: 'committed', end: { kind: 'moved' } })];
    await to.report();
    [from.moves, to.moves] = [[], []];
    await to.run();
    await from.report();
  }
  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  assert.match((await world.migration('web-1-5')).reason ?? '', /moved 4 times in the last 3 minutes/);
  await world.restart();
  await world.live(170_000);
  assert.equal((await world.migration('web-1-5')).phase, 'queued');
  await world.live(20_000);
  assert.equal((await world.migration('web-1-5')).phase, 'plan');
  await world.close();
});

test('moves share what each host has, and a dry run takes nothing', async () => {
  const world = await ControlWorld.open(['host-a', 'host-b', 'host-c']);
  await world.running('host-a', 'web-1', 'web-2', 'web-3');
  await world.plane.migrate({ vm: 'web-1', to: 'host-b' });
  const cap = 125_000_000;
  assert.equal((await world.agent('host-b').wanted()).moves[0]?.maxBandwidth, cap);
  await world.plane.migrate({ vm: 'web-2', to: 'host-c' });
  assert.deepEqual((await world.agent('host-a').wanted()).moves.map((m) => m.maxBandwidth), [cap / 2, cap / 2]);
  const dry = await world.plane.migrate({ vm: 'web-3', to: 'host-b', dryRun: true });
  assert.equal(dry.status?.phase, 'plan');
  assert.equal((await world.vm('web-3')).state, 'running');
  world.agent('host-a').moves = [source({ migration: 'web-3-1', phase: 'plan', end: { kind: 'possible', warnings: [], notes: [] } })];
  await world.agent('host-a').report();
  assert.equal((await world.migration('web-3-1')).end?.kind, 'possible');
  assert.equal((await world.vm('web-3')).placement?.host, 'host-a');
  await world.close();
});

test('progress is shown at once, never falls, and is written every 2 s', async () => {
  const world = await moving();
  const a = world.agent('host-a');
  const progress = (fraction: number) => ({ fraction, pass: 1, transferred: 1, remaining: 1, throughput: 1, dirtyRate: 1 });
  a.moves = [source({ progress: progress(0.4) })];
  await a.report();
  const written = (await world.store.list('/')).revision;
  for (const fraction of [0.5, 0.3]) {
    a.moves = [source({ progress: progress(fraction) })];
    await a.report();
  }
  assert.equal((await world.store.list('/')).revision, written);
  assert.equal((await world.migration('web-1-1')).progress?.fraction, 0.5);
  await world.clock.advance(2500);
  assert.equal((await world.store.list('/')).revision, written + 1);
  await world.restart();
  assert.equal((await world.migration('web-1-1')).progress?.fraction, 0.5);
  await world.close();
});

test('16 moves at once over 3 hosts: all end, the limits hold', async () => {
  const hosts = ['host-a', 'host-b', 'host-c'];
  const world = await ControlWorld.open(hosts);
  const names = Array.from({ length: 16 }, (_, i) => `vm-${i}`);
  await world.plane.apply(names.map((name, i) => vmOn(name, { host: hosts[i % 3] })));
  for (const agent of world.agents.values()) await agent.run();
  for (const [i, vm] of names.entries()) await world.plane.migrate({ vm, to: hosts[(i + 1 + (i % 2)) % 3]! });
  for (let round = 0; ; round++) {
    const open = (await world.plane.list('Migration')).filter((m) => !m.status?.end);
    if (open.length === 0) break;
    assert.ok(round < 16, 'some never end');
    const running = open.filter((m) => m.status?.phase !== 'queued');
    assert.ok(running.length > 0, 'nothing runs');
    for (const host of hosts) assert.ok(running.filter((m) => m.status?.from === host || m.spec.to === host).length <= 2);
    assert.equal(new Set(running.map((m) => [m.status?.from ?? '', m.spec.to].toSorted((a, b) => (a < b ? -1 : 1)).join())).size, running.length);
    for (const m of running) {
      for (const [role, host] of [['source', m.status!.from], ['destination', m.spec.to]] as const) {
        world.agent(host).moves = [{ migration: m.name, role, phase: 'done', end: { kind: 'moved' } }];
        await world.agent(host).report();
      }
    }
  }
  await world.close();
});

test('what is said of a move of another id is not said of this one: its name may have been given out before', async () => {
  const world = await moving();
  const b = world.agent('host-b');
  b.moves = [destination({ move: 'abcde0', decision: 'aborted' })];
  await b.report();
  assert.equal((await world.migration('web-1-1')).decision, undefined);
  b.moves = [destination({ decision: 'committed' })];
  await b.report();
  assert.equal((await world.migration('web-1-1')).decision, 'committed');
});
